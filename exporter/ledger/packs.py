"""What packs have counted: each row of a query once, by its key, however often it is read. Runs in the ledger's thread.

The rules are those of executions (``account``): keys are kept back to the oldest point that a poll may read again, and
rows, keys and the moved cursor are written in one transaction, or none of them. Which label sets a metric has is
sticky; those that come when the budget is spent add to one whose labels are all ``other``.
"""

from __future__ import annotations

import math
import sqlite3
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from exporter.domain import OTHER
from exporter.errors import StateUnavailable
from exporter.ledger.cursor import CursorState, Position
from exporter.ledger.identity import Identity, recognise
from exporter.ledger.ledger import Ledger

#: Keys kept for each query at most.
KEYS_KEPT: Final = 500_000

Labels = tuple[str, ...]
#: metric -> labels -> numbers: the count, or a histogram's buckets with the sum at the end.
Series = dict[str, dict[Labels, list[float]]]


class CountedMetric(msgspec.Struct, frozen=True, kw_only=True):
    """How a row adds to a metric: which columns its labels are, and its amount or observation.

    ``column`` None: each row is 1. ``buckets`` makes it a histogram. ``shape`` tells its series from those of another
    definition under the same name. ``from_zero`` are label sets that are there before a row has them.
    """

    name: str
    shape: str
    labels: tuple[int, ...]
    column: int | None = None
    buckets: tuple[float, ...] | None = None
    from_zero: tuple[Labels, ...] = ()

    @property
    def cost(self) -> int:
        """Prometheus series of one label set."""
        return 1 if self.buckets is None else len(self.buckets) + 3

    def nothing(self) -> list[float]:
        """A series that has counted nothing."""
        return [0] if self.buckets is None else [0] * (len(self.buckets) + 1) + [0.0]


class Book(msgspec.Struct, frozen=True, kw_only=True):
    """One query's account: whose it is, and what it counts."""

    store: str
    pack: str
    query: str
    reads: str
    metrics: tuple[CountedMetric, ...]


class Slice(msgspec.Struct, frozen=True, kw_only=True):
    """Rows - (key, position, columns...) - up to where ``after`` says; ``before`` is the cursor of the poll before.

    Labels are texts, amounts are numbers or None.
    ``count`` is False of the first poll, whose rows are history; ``also`` are label sets that are shown as 0.
    """

    rows: Sequence[tuple[Any, ...]]
    before: CursorState | None
    after: CursorState
    counted_to: Position
    count: bool = True
    also: Mapping[str, Iterable[Labels]] = msgspec.field(default_factory=dict)


class PackLedger:
    """The asynchronous face. Every method may raise LedgerError; nothing half-written is ever kept."""

    def __init__(self, ledger: Ledger, book: Book, budget: int) -> None:
        self._ledger = ledger
        self._book = book
        self._budget = budget
        #: Label sets that the budget left out, as far as remembered since the start, by metric.
        self.dropped: dict[str, set[Labels]] = {metric.name: set() for metric in book.metrics}

    async def known(self) -> tuple[CursorState | None, Series]:
        """Where the reading stands and what was counted, also while the store is away; None and nothing if unknown."""
        return await self._ledger.read(lambda db: _known(db, self._book))

    async def attach(self, identity: Identity) -> CursorState | None:
        """Open the account for writing; where its reading stands. To be called before each poll."""
        cursor = await self._ledger.read(lambda db: _ready(db, self._book, identity))
        if cursor is None:
            cursor = await self._ledger.write(lambda db: _open(db, self._book, identity))
        return cursor

    async def remember(self, rows: Sequence[tuple[Any, ...]]) -> None:
        """Keep the keys of rows that are history, before the first cursor is written."""
        await self._ledger.write(lambda db: _keep(db, _id(db, self._book), ((row[0], row[1]) for row in rows)))

    async def commit(self, part: Slice) -> tuple[CursorState, Series]:
        """Count the rows of a slice and move the cursor, both or neither; returns the cursor as it was written."""
        writer = _Writer(self._book, self._budget, self.dropped)
        return await self._ledger.write(lambda db: writer.write(db, part))


def _row(db: sqlite3.Connection, book: Book) -> tuple[int, str, str | None] | None:
    found: tuple[int, str, str | None] | None = db.execute(
        "SELECT id, reads, cursor FROM pack_query WHERE store = ? AND pack = ? AND query = ?",
        (book.store, book.pack, book.query),
    ).fetchone()
    return found


def _id(db: sqlite3.Connection, book: Book) -> int:
    row = _row(db, book)
    if row is None:
        raise StateUnavailable("the state file was opened anew; what was not written is read again")
    return row[0]


def _known(db: sqlite3.Connection, book: Book) -> tuple[CursorState | None, Series]:
    row = _row(db, book)
    if row is None or row[1] != book.reads or row[2] is None:
        return None, {}
    return msgspec.json.decode(row[2], type=CursorState), _series(db, row[0], book)


def _ready(db: sqlite3.Connection, book: Book, identity: Identity) -> CursorState | None:
    """The cursor of an account that needs nothing done to it."""
    recognise(db, book.store, identity)
    return _known(db, book)[0]


def _open(db: sqlite3.Connection, book: Book, identity: Identity) -> CursorState | None:
    recognise(db, book.store, identity)
    row = _row(db, book)
    if row is None:
        db.execute(
            "INSERT INTO pack_query (store, pack, query, reads) VALUES (?, ?, ?, ?)",
            (book.store, book.pack, book.query, book.reads),
        )
        return None
    if row[1] == book.reads and row[2] is not None:
        return msgspec.json.decode(row[2], type=CursorState)
    # A first poll that did not come to its end, or positions that mean something else now.
    db.execute("DELETE FROM pack_seen WHERE query = ?", (row[0],))
    db.execute("UPDATE pack_query SET reads = ?, cursor = NULL WHERE id = ?", (book.reads, row[0]))
    return None


def _keep(db: sqlite3.Connection, query: int, keys: Iterable[tuple[str, Position]]) -> None:
    db.executemany(f"INSERT OR REPLACE INTO pack_seen VALUES ({query}, ?, ?)", keys)


def _series(db: sqlite3.Connection, query: int, book: Book) -> Series:
    """What has been counted, without what other definitions of the metrics have counted."""
    shapes = {metric.name: metric.shape for metric in book.metrics}
    series: Series = {name: {} for name in shapes}
    rows = db.execute("SELECT metric, labels, shape, data FROM pack_series WHERE query = ?", (query,))
    for metric, labels, shape, data in rows:
        if shapes.get(metric) == shape:
            series[metric][msgspec.json.decode(labels, type=Labels)] = msgspec.json.decode(data, type=list[float])
    return series


class _Writer:
    """Writes one slice, within one transaction."""

    def __init__(self, book: Book, budget: int, dropped: dict[str, set[Labels]]) -> None:
        self._book = book
        self._budget = budget
        self._dropped = dropped

    def write(self, db: sqlite3.Connection, part: Slice) -> tuple[CursorState, Series]:
        query = _id(db, self._book)
        if _known(db, self._book)[0] != part.before:
            raise StateUnavailable("the state file tells of another reading; what was not written is read again")
        series = _series(db, query, self._book)
        if part.before is not None and part.before.epoch != part.after.epoch:
            db.execute("DELETE FROM pack_seen WHERE query = ?", (query,))
        rows = {row[0]: row for row in part.rows}  # a JOIN may repeat a row
        known = self._seen(db, query, [key for key, row in rows.items() if row[1] <= part.counted_to])
        # A key that lies higher now than when it was counted has come once more since.
        fresh = [row for key, row in rows.items() if row[1] > known.get(key, -math.inf)]
        changed: set[tuple[str, Labels]] = set()
        for metric in self._book.metrics:
            for labels in (*metric.from_zero, *part.also.get(metric.name, ())):
                self._slot(series, metric, labels, changed)
        if part.count:
            self._add(series, fresh, changed)
        _keep(db, query, ((row[0], row[1]) for row in fresh if row[1] > part.after.floor))
        cursor = self._bounded(db, query, part.after)
        self._save(db, query, series, changed)
        text = msgspec.json.encode(cursor).decode()
        db.execute("UPDATE pack_query SET cursor = ? WHERE id = ?", (text, query))
        return cursor, series

    @staticmethod
    def _seen(db: sqlite3.Connection, query: int, keys: list[str]) -> dict[str, Position]:
        if not keys:
            return {}
        rows = db.execute(
            "SELECT key, stamp FROM pack_seen WHERE query = ? AND key IN (SELECT value FROM json_each(?))",
            (query, msgspec.json.encode(keys).decode()),
        )
        return dict(rows)

    @staticmethod
    def _bounded(db: sqlite3.Connection, query: int, cursor: CursorState) -> CursorState:
        """Forget keys that no poll will ask for; and the oldest, where a transaction is open for all too long."""
        db.execute("DELETE FROM pack_seen WHERE query = ? AND stamp <= ?", (query, cursor.floor))
        over = db.execute(
            "SELECT stamp FROM pack_seen WHERE query = ? ORDER BY stamp DESC LIMIT 1 OFFSET ?", (query, KEYS_KEPT)
        ).fetchone()
        if over is None:
            return cursor
        db.execute("DELETE FROM pack_seen WHERE query = ? AND stamp <= ?", (query, over[0]))
        return replace(cursor, floor=max(cursor.floor, over[0]))

    def _slot(
        self, series: Series, metric: CountedMetric, labels: Labels, changed: set[tuple[str, Labels]]
    ) -> list[float]:
        """The series to which a label set adds: its own, or ``other`` when the budget is spent."""
        own = series[metric.name]
        if labels not in own and metric.labels:
            others = (OTHER,) * len(metric.labels)
            room = (len(own) + 1 + (others not in own)) * metric.cost <= self._budget
            if not room and labels != others:
                if len(self._dropped[metric.name]) < 10_000:
                    self._dropped[metric.name].add(labels)
                labels = others
        if labels not in own:
            own[labels] = metric.nothing()
        changed.add((metric.name, labels))
        return own[labels]

    def _add(self, series: Series, rows: Iterable[tuple[Any, ...]], changed: set[tuple[str, Labels]]) -> None:
        for row in rows:
            for metric in self._book.metrics:
                amount = 1 if metric.column is None else row[metric.column + 2]
                if amount is None:
                    continue
                numbers = self._slot(series, metric, tuple(row[i + 2] for i in metric.labels), changed)
                if metric.buckets is None:
                    numbers[0] += amount
                else:
                    numbers[bisect_left(metric.buckets, amount)] += 1
                    numbers[-1] += amount

    def _save(self, db: sqlite3.Connection, query: int, series: Series, changed: set[tuple[str, Labels]]) -> None:
        shapes = {metric.name: metric.shape for metric in self._book.metrics}
        for name, shape in shapes.items():  # what another definition counted under this name is over
            db.execute("DELETE FROM pack_series WHERE query = ? AND metric = ? AND shape <> ?", (query, name, shape))
        rows = [
            (query, name, msgspec.json.encode(labels).decode(), shapes[name], _json(series[name][labels]))
            for name, labels in changed
        ]
        db.executemany("INSERT OR REPLACE INTO pack_series VALUES (?, ?, ?, ?, ?)", rows)


def _json(numbers: list[float]) -> str:
    return msgspec.json.encode(numbers).decode()
