"""What a pack's query told: the value of its part of the snapshot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from exporter.domain import Histogram

if TYPE_CHECKING:
    from exporter.packs.model import Kind

#: Between the parts of a collector's name: ``pack:scheduling-worker:goals``.
_SEPARATOR: Final = ":"

Sample = tuple[tuple[str, ...], float | Histogram]


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """A metric and its samples, without the label ``store``. ``dropped`` series are left out by the budget.

    ``kept`` says that it is counted by us, and in the state file. Else a counter is somebody else's total.
    """

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...]
    samples: tuple[Sample, ...]
    buckets: tuple[float, ...] = ()
    kept: bool = False
    dropped: int = 0


class PackAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A query's metrics. ``cursor_time`` is up to when rows have been counted (server's clock), ``exact`` whether each
    is provably counted once; both are None of a query that counts none.
    """

    pack: str
    query: str
    shown: tuple[Shown, ...]
    cursor_time: float | None = None
    exact: bool | None = None


def collector_name(pack: str, query: str) -> str:
    """The collector that asks a query."""
    return _SEPARATOR.join(("pack", pack, query))


def is_pack(collector: str) -> bool:
    """Whether a collector asks a query of a pack."""
    return collector.startswith(f"pack{_SEPARATOR}")
