"""Packs as they are run, whatever form their file has. Frozen, no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from exporter.config.model import Cursor

Kind = Literal["gauge", "counter", "histogram", "untyped"]
#: How a column's value becomes a number: as it is, as text by ``mapping``, as a duration such as 1h2m (in ms), or from
#: the four columns of a histogram.
Usage = Literal["number", "mapped", "duration", "histogram"]


class Metric(msgspec.Struct, frozen=True, kw_only=True):
    """A metric family that a query gives.

    ``labels`` are columns, which the labels have their names from. ``column`` is the value; None of a counter: each row
    is 1. ``buckets`` are the bounds of a histogram that is counted. ``values`` are label values that are known before a
    row has them: those series are there from the beginning, as 0. ``versions`` is the range of server versions that
    have the column.
    """

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    column: str | None = None
    usage: Usage = "number"
    mapping: Mapping[str, float] = msgspec.field(default_factory=dict)
    buckets: tuple[float, ...] = ()
    values: Mapping[str, tuple[str, ...]] = msgspec.field(default_factory=dict)
    versions: str | None = None


class Condition(msgspec.Struct, frozen=True, kw_only=True):
    """When a query is asked: server versions, databases, an answer of yes to ``predicate``, on a primary only."""

    versions: str | None = None
    databases: tuple[str, ...] = ()
    predicate: str | None = None
    primary: bool = False


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """A SELECT and the metrics that its columns give.

    With a ``cursor`` each row is counted once, by its ``key``; without one the rows are what is now. ``prefix`` is
    what the names of columns that no metric mentions are put behind; None: they are not shown. ``place`` is
    ``file:line``; ``interval`` and ``timeout`` are seconds, None: the store's.
    """

    name: str
    sql: str
    metrics: tuple[Metric, ...]
    place: str
    cursor: Cursor | None = None
    key: tuple[str, ...] = ()
    interval: float | None = None
    timeout: float | None = None
    prefix: str | None = None
    labels: tuple[str, ...] = ()
    discarded: tuple[str, ...] = ()
    condition: Condition = Condition()


class Pack(msgspec.Struct, frozen=True, kw_only=True):
    """Queries of one file; ``name`` is the shipped pack's, or the file's without its ending."""

    name: str
    file: str
    queries: tuple[Query, ...]
