"""Queries whose rows are what is now: gauges, and totals and histograms that the store itself adds up."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Any, Final

import msgspec

from exporter.domain import Histogram
from exporter.errors import PackError
from exporter.packs import columns as sql
from exporter.packs.answer import PackAnswer, Sample, Shown
from exporter.packs.columns import Types, at
from exporter.packs.conditions import Server, fits
from exporter.packs.model import Metric, Query
from exporter.packs.names import metric_fault
from exporter.packs.telling import Complaints
from exporter.stores.session import Row, Transaction

#: Rows of one answer at most: each is a series, or several.
MOST_ROWS: Final = 10_000
#: The columns of a histogram beside the one with its bounds.
_PARTS: Final = ("_bucket", "_sum", "_count")


class _Column(msgspec.Struct, frozen=True):
    """Where in the rows a metric's labels and value are."""

    metric: Metric
    labels: tuple[int, ...]
    values: tuple[int, ...]


class _Plan(msgspec.Struct, frozen=True):
    """The statement, and what its columns are. ``remarks`` is what cannot be shown whatever the rows."""

    sql: str
    columns: tuple[_Column, ...]
    remarks: tuple[str, ...]


class Snapshot:
    """One query of one pack on one store. ``take`` takes the name of a metric that the file does not mention."""

    def __init__(
        self, pack: str, query: Query, complaints: Complaints, budget: int, take: Callable[[str, str, str], str | None]
    ) -> None:
        self._pack = pack
        self._query = query
        self._complaints = complaints
        self._budget = budget
        self._take = take
        self._extra: dict[str, str | None] = {}
        self._plan: _Plan | None = None

    async def ask(self, transaction: Transaction) -> PackAnswer | None:
        """What is now; None where the query is not for this server. Raises PackError, StoreError."""
        server = await Server.ask(transaction, self._query)
        if not await fits(transaction, self._query, server):
            return None
        try:
            return await self._ask(transaction, server)
        except Exception:
            self._plan = None  # the table may be another one since
            raise

    async def _ask(self, transaction: Transaction, server: Server) -> PackAnswer:
        if self._plan is None:
            described = await transaction.describe("packs", self._query.sql)
            self._plan = self._planned(sql.types_of(described, self._query), server)
        plan = self._plan
        rows: list[Row] = []
        if plan.columns:
            rows = await transaction.fetch("packs", plan.sql)
        if len(rows) > MOST_ROWS:
            text = f"more than {MOST_ROWS:,} rows; each is a series: GROUP BY fewer columns, or ORDER BY ... LIMIT"
            raise PackError(f"{at(self._query, 'sql')}: {text}")
        for remark in plan.remarks:
            self._complaints.add(remark)
        shown = tuple(self._shown(column, rows) for column in plan.columns)
        self._complaints.tell()
        return PackAnswer(pack=self._pack, query=self._query.name, shown=shown)

    # -- the plan

    def _planned(self, types: Types, server: Server) -> _Plan:
        remarks: list[str] = []
        wanted = [("labels", name) for metric in self._query.metrics for name in metric.labels]
        metrics = [metric for metric in self._query.metrics if server.has(metric.versions)]
        if self._query.prefix is None:
            wanted += [(f"metrics.{metric.name}.value", metric.column or "") for metric in metrics]
        else:
            wanted += [("metrics", name) for name in self._query.labels]
            remarks += self._left_out(metrics, types)
            metrics = [m for m in metrics if all(name in types for name in _needed(m)) and self._free(m, remarks)]
            metrics += self._unmentioned(types, remarks)
        faults = sql.lacking(self._query, dict.fromkeys(wanted), types)
        if faults:
            raise PackError("; ".join(faults))
        if self._query.prefix is None:
            self._check_types(metrics, types)
        return self._compiled(metrics, types, remarks)

    def _compiled(self, metrics: Sequence[Metric], types: Types, remarks: list[str]) -> _Plan:
        expressions: dict[str, int] = {}

        def place(expression: str) -> int:
            return expressions.setdefault(expression, len(expressions))

        columns = tuple(
            _Column(
                metric,
                tuple(place(sql.label(name)) for name in metric.labels),
                tuple(place(_expression(metric, name, types[name])) for name in _needed(metric)),
            )
            for metric in metrics
        )
        listed = ", ".join(expressions)
        # The line's end closes a comment that the SELECT may end with.
        statement = f"SELECT {listed} FROM ({self._query.sql}\n) q LIMIT {MOST_ROWS + 1}"
        return _Plan(statement, columns, tuple(remarks))

    def _check_types(self, metrics: Iterable[Metric], types: Types) -> None:
        faults = [
            f"{at(self._query, 'metrics', m.name, 'value')}: column {m.column} is of type {types[m.column or '']}, no"
            " number; cast it in the SELECT"
            for m in metrics
            if not sql.is_number(types[m.column or ""])
        ]
        if faults:
            raise PackError("; ".join(faults))

    def _left_out(self, metrics: Iterable[Metric], types: Types) -> list[str]:
        return [
            f"{metric.name}: the SELECT gives no column {name}"
            for metric in metrics
            for name in _needed(metric)
            if name not in types
        ]

    def _free(self, metric: Metric, remarks: list[str]) -> bool:
        """Whether a histogram's samples have names of their own."""
        if metric.usage != "histogram":
            return True
        refused = [why for part in _PARTS if (why := self._taken(f"{metric.name}{part}")) is not None]
        remarks += [f"{metric.name}: {why}" for why in refused]
        return not refused

    def _taken(self, name: str) -> str | None:
        """Why a name that the file does not spell out cannot be had, if it cannot."""
        if name not in self._extra:
            self._extra[name] = metric_fault(name) or self._take(name, "untyped", self._query.place)
        return self._extra[name]

    def _unmentioned(self, types: Types, remarks: list[str]) -> list[Metric]:
        """Metrics of columns that the file does not mention: like postgres_exporter, with no type."""
        query = self._query
        mentioned = {*query.labels, *query.discarded, *(metric.column for metric in query.metrics)}
        mentioned |= {f"{m.column}{part}" for m in query.metrics if m.usage == "histogram" for part in _PARTS}
        found = []
        for column, kind in types.items():
            if column in mentioned:
                continue
            name = f"{query.prefix}_{column}"
            if not sql.is_number(kind):
                remarks.append(f"column {column} is no number, and no metric mentions it")
                continue
            if (why := self._taken(name)) is not None:
                remarks.append(f"column {column}: {why}")
                continue
            text = f"Column {column} of the query {query.name}, which its pack does not describe."
            found.append(Metric(name=name, kind="untyped", help=text, labels=query.labels, column=column))
        return found

    # -- the rows

    def _shown(self, column: _Column, rows: Sequence[Row]) -> Shown:
        metric = column.metric
        read = self._histograms(column) if metric.usage == "histogram" else self._numbers(column)
        found: dict[tuple[str, ...], float | Histogram] = {}
        bounds: tuple[float, ...] = ()
        for row in rows:
            value = read(row)
            if value is None:
                continue
            labels = tuple(row[i] or "" for i in column.labels)
            if labels in found:
                named = ", ".join(metric.labels) or "no labels at all"
                raise PackError(f"{at(self._query, 'metrics', metric.name)}: two rows have the same labels ({named};"
                                f" the first {sql.LABEL_CHARACTERS} characters count): GROUP BY them, or add one"
                                " that tells the rows apart")  # fmt: skip
            if isinstance(value, tuple):
                bounds, value = value
            found[labels] = value
        return self._within_budget(metric, found, bounds)

    def _within_budget(
        self, metric: Metric, found: dict[tuple[str, ...], float | Histogram], bounds: tuple[float, ...]
    ) -> Shown:
        cost = len(bounds) + 3 if metric.kind == "histogram" else 1
        samples: list[Sample] = list(found.items())
        limit = max(1, self._budget // cost)
        if len(samples) > limit:
            samples = sorted(samples, key=_rank, reverse=True)[:limit]
        return Shown(
            name=metric.name,
            kind=metric.kind,
            help=metric.help,
            labels=metric.labels,
            samples=tuple(samples),
            buckets=bounds,
            dropped=(len(found) - len(samples)) * cost,
        )

    def _numbers(self, column: _Column) -> Callable[[Row], float | None]:
        metric, (place,) = column.metric, column.values

        def read(row: Row) -> float | None:
            value = self._number(metric, row[place])
            if value is not None and not math.isfinite(value):
                self._complaints.add(f"{metric.name}: a value is {value}, which is no finite number")
                return None
            if value is not None and value < 0 and metric.kind == "counter":
                self._complaints.add(f"{metric.name}: a counter's value is negative")
                return None
            return value

        return read

    def _number(self, metric: Metric, value: Any) -> float | None:
        """NULL is unknown, and unknown is absent."""
        if value is None or isinstance(value, float):
            return value
        text = str(value)
        if metric.usage == "mapped":
            found = metric.mapping.get(text)
        elif metric.usage == "duration":
            if text == "-1":
                return None
            found = sql.milliseconds(text)
        else:
            found = sql.parsed(text)
        if found is None:
            known = {"mapped": "in metric_mapping", "duration": "a duration such as 1h2m"}.get(metric.usage, "a number")
            self._complaints.add(f"{metric.name}: a value is not {known}")
        return found

    def _histograms(self, column: _Column) -> Callable[[Row], Any]:
        metric = column.metric
        known: list[tuple[float, ...]] = []

        def read(row: Row) -> tuple[tuple[float, ...], Histogram] | None:
            values = [row[i] for i in column.values]
            if any(value is None for value in values):
                return None
            found = histogram(*values)
            if found is None:
                self._complaints.add(f"{metric.name}: bounds, buckets, sum and count of a row make no histogram")
                return None
            if known and found[0] != known[0]:
                self._complaints.add(f"{metric.name}: the rows have different bounds; those of the first are shown")
                return None
            known[:] = [found[0]]
            return found

        return read


def _needed(metric: Metric) -> tuple[str, ...]:
    """The columns of a metric's value."""
    column = metric.column or ""
    return (column, *(f"{column}{part}" for part in _PARTS)) if metric.usage == "histogram" else (column,)


def _expression(metric: Metric, column: str, kind: str) -> str:
    if metric.usage == "duration" and kind == "interval":
        return f"{sql.number(column, kind)} * 1000"
    if metric.usage == "mapped":
        return sql.label(column)
    return sql.number(column, kind)


def _rank(sample: Sample) -> float:
    value = sample[1]
    return value.count if isinstance(value, Histogram) else value


def histogram(bounds: Any, buckets: Any, total: Any, count: Any) -> tuple[tuple[float, ...], Histogram] | None:
    """(bounds, histogram) of cumulative buckets in any order; None where they contradict each other."""
    total, count = (sql.parsed(v) if isinstance(v, str) else v for v in (total, count))
    if not isinstance(bounds, list) or not isinstance(buckets, list) or None in (total, count):
        return None
    pairs = sorted((b, n) for b, n in zip(bounds, buckets, strict=False) if b is not None and n is not None)
    pairs = [(b, n) for b, n in pairs if math.isfinite(b)]
    cumulative = [0.0, *(n for _, n in pairs), float(count)]
    steps = [after - before for before, after in pairwise(cumulative)]
    whole = all(math.isfinite(step) and step >= 0 for step in steps)
    if not pairs or not whole or not math.isfinite(total) or len({b for b, _ in pairs}) < len(pairs):
        return None
    return tuple(b for b, _ in pairs), Histogram(tuple(int(step) for step in steps), float(total))
