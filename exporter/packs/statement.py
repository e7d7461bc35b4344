"""The statements of a query whose rows are counted, and what their columns are to its metrics."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Final

import msgspec

from exporter.config.model import Cursor, Profile
from exporter.config.problems import quote
from exporter.errors import PackError
from exporter.ledger.packs import CountedMetric, Labels
from exporter.packs import columns as sql
from exporter.packs.columns import Types, at
from exporter.packs.model import Metric, Query
from exporter.stores.queries import CURSOR_TYPES, Wrapped, quoted
from exporter.stores.session import Transaction

#: The newest rows whose label sets are shown as 0 from the first poll on, and how many sets at most.
LOOKED_AT: Final = 10_000
MOST_SETS: Final = 2_000


class Statement(msgspec.Struct, frozen=True):
    """``rows`` gives key, position and columns with the cursor in ($1, $2], ``newest_labels`` the label sets there."""

    wrapped: Wrapped
    rows: str
    newest_labels: str


async def prepare(transaction: Transaction, query: Query) -> Statement:
    """Hold a query against the store. Raises PackError with everything that does not fit, StoreError."""
    types = sql.types_of(await transaction.describe("packs", query.sql), query)
    faults = list(_faults(query, types))
    if faults:
        raise PackError("; ".join(faults))
    wrapped = Wrapped(Profile(executions=query.sql, cursor=query.cursor, key=query.key), {"executions": types})
    between = wrapped.between("$1", "$2")
    # The line's end closes a comment that the SELECT may end with.
    source = f"({query.sql}\n) q WHERE {between}"
    keys = " || chr(31) || ".join(f"coalesce(q.{quoted(name)}::text, '')" for name in query.key)
    listed = columns_of(query.metrics)
    columns = [_expression(column, types) for column in listed]
    labels = [expression for expression, (_, is_label) in zip(columns, listed, strict=True) if is_label]
    newest = f"SELECT * FROM {source} ORDER BY q.{quoted(wrapped.cursor.column)} DESC LIMIT {LOOKED_AT}"
    return Statement(
        wrapped,
        f"SELECT {', '.join([keys, wrapped.position, *columns])} FROM {source}",
        f"SELECT DISTINCT {', '.join(labels) or 'NULL'} FROM ({newest}) q LIMIT {MOST_SETS}",
    )


def _faults(query: Query, types: Types) -> Iterable[str]:
    cursor = cursor_of(query)
    wanted = [("cursor.column", cursor.column), *(("key", name) for name in query.key)]
    values: dict[str, str] = {}
    for metric in query.metrics:
        wanted += [(f"metrics.{metric.name}.labels", name) for name in metric.labels]
        if metric.column is not None:
            wanted.append((f"metrics.{metric.name}.value", metric.column))
            values[metric.name] = metric.column
    yield from sql.lacking(query, wanted, types)
    kind, allowed = types.get(cursor.column), CURSOR_TYPES[cursor.kind]
    if kind is not None and kind not in allowed:
        yield (
            f"{at(query, 'cursor')}: column {quote(cursor.column)} is of type {kind}; a cursor of kind {cursor.kind}"
            f" needs {' or '.join(allowed)}"
        )
    for name, column in values.items():
        if column in types and not sql.is_number(types[column]):
            place = at(query, "metrics", name, "value")
            yield f"{place}: column {quote(column)} is of type {types[column]}, no number; cast it in the SELECT"


def cursor_of(query: Query) -> Cursor:
    """The cursor of a query that counts."""
    if query.cursor is None:
        raise PackError(f"{at(query)}: a query that counts needs a cursor")
    return query.cursor


def counted_metrics(metrics: Iterable[Metric]) -> tuple[CountedMetric, ...]:
    """How each metric counts the rows, whose columns are in the order of :func:`columns_of`."""
    metrics = tuple(metrics)
    places = {column: place for place, column in enumerate(columns_of(metrics))}
    return tuple(
        CountedMetric(
            name=metric.name,
            shape=" ".join((metric.kind, *metric.labels, *map(repr, metric.buckets))),
            labels=tuple(places[name, True] for name in metric.labels),
            column=None if metric.column is None else places[metric.column, False],
            buckets=metric.buckets if metric.kind == "histogram" else None,
            from_zero=_from_zero(metric),
        )
        for metric in metrics
    )


def columns_of(metrics: Iterable[Metric]) -> tuple[tuple[str, bool], ...]:
    """The columns that are read: (name, whether as a label)."""
    found = [(name, True) for metric in metrics for name in metric.labels]
    found += [(metric.column, False) for metric in metrics if metric.column is not None]
    return tuple(dict.fromkeys(found))


def _from_zero(metric: Metric) -> tuple[Labels, ...]:
    """Series that are there before a row has them: every set of known label values; the one series without labels."""
    if any(name not in metric.values for name in metric.labels):
        return ()
    return tuple(itertools.product(*(metric.values[name] for name in metric.labels)))


def _expression(column: tuple[str, bool], types: Types) -> str:
    name, is_label = column
    return sql.label(name) if is_label else sql.number(name, types[name])
