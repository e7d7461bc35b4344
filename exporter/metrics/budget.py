"""The series budget of gauges: the top label values keep series of their own, the rest adds up under ``other``.

Gauges re-rank with every snapshot; counters do not, the ledger keeps their membership.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import reduce
from typing import TypeVar, cast

from exporter.domain import OTHER, StoreSettings
from exporter.metrics.family import View

T = TypeVar("T")
UNLIMITED = StoreSettings(series_per_metric=2**31)


def settings(view: View) -> StoreSettings:
    """The store's settings, from its part ``settings``."""
    part = view.parts.get("settings")
    return UNLIMITED if part is None else cast(StoreSettings, part.value)


def top(items: Iterable[T], limit: int, rank: Callable[[T], float]) -> list[T]:
    """The ``limit`` items that rank highest, highest first. For gauges that do not add up."""
    return sorted(items, key=rank, reverse=True)[: max(limit, 0)]


def folded(values: Mapping[str, T], limit: int, rank: Callable[[T], float], add: Callable[[T, T], T]) -> dict[str, T]:
    """At most ``limit`` labels, highest first; what is left out is added up under ``other``, which is one of them."""
    if len(values) <= limit:
        return dict(values)
    own = [item for item in values.items() if item[0] != OTHER]
    kept = dict(top(own, limit - 1, lambda item: rank(item[1])))
    rest = [value for label, value in values.items() if label not in kept]
    return {**kept, OTHER: reduce(add, rest)}
