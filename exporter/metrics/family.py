"""Metric families as values: what a collector returns, before it is bytes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import msgspec

from exporter.domain import Histogram
from exporter.snapshot import Part

Kind = Literal["gauge", "counter", "histogram", "untyped"]
#: A sample: label values in the order of the family's labels, and the value.
Sample = tuple[tuple[str, ...], float | Histogram]


class Family(msgspec.Struct, frozen=True):
    """A metric family. A counter's ``name`` ends in ``_total``; ``buckets`` are a histogram's bounds without +Inf.

    ``persistent`` counters and histograms survive a restart (the ledger has them), so that whether their series were
    shown is remembered too. ``foreign`` ones are totals that somebody else adds up: they are shown as they are, and a
    counter's name may be any.
    """

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    persistent: bool = False
    foreign: bool = False

    @property
    def gated(self) -> bool:
        """Whether a new series is held at 0 until a scrape has seen it."""
        return self.kind in ("counter", "histogram") and not self.foreign


class View(msgspec.Struct, frozen=True):
    """What a collector sees of one source: its parts by collector name; gone when absent or older than allowed.

    ``parts`` holds only parts with a value. A counter may be shown from a stale part (``stale`` names those), a gauge
    may not.
    """

    source: str
    parts: dict[str, Part]
    stale: frozenset[str]

    def fresh(self, collector: str) -> object | None:
        """The value of ``collector``'s part, None when absent or stale."""
        part = self.parts.get(collector)
        return None if part is None or collector in self.stale else part.value


Families = Iterator[tuple[Family, list[Sample]]]
