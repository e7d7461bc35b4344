"""Queries whose rows are counted: each once, through restarts, late commits and rows that are pruned.

The reading is that of executions: the server's clock, then the open transactions, then the rows between the bounds
(``stores.marks`` says why that misses nothing); the ledger counts by key and moves the cursor in one transaction.
"""

from __future__ import annotations

import contextlib
import math
import time
from typing import Any, Final

import structlog

from exporter.domain import Histogram
from exporter.errors import StoreTooSlow
from exporter.ledger.cursor import CursorState, Position
from exporter.ledger.packs import Book, Labels, PackLedger, Series, Slice
from exporter.packs.answer import PackAnswer, Shown
from exporter.packs.model import Metric, Query
from exporter.packs.statement import Statement, columns_of, counted_metrics, cursor_of, prepare
from exporter.packs.telling import Complaints
from exporter.stores import catalog
from exporter.stores.beside import Beside
from exporter.stores.checking.savepoint import savepoint
from exporter.stores.marks import Reading
from exporter.stores.queries import Wrapped, bounds
from exporter.stores.reader import plan
from exporter.stores.rows import TooManyRows, Width
from exporter.stores.session import Row, Transaction

log = structlog.get_logger(component="packs")

#: Rows that a slice should give; all of one are in memory at once.
SLICE_ROWS: Final = (1_000, 4_000)
#: A poll gives way to the store's other questions after so many seconds of slices.
TURN_SECONDS: Final = 1.0
#: Seconds after which a cursor that moved over nothing is written all the same.
WRITTEN_EVERY: Final = 60.0

#: Label sets by metric.
Also = dict[str, set[Labels]]
#: A plan that is not read to its end, and the position that was reached.
UnderWay = tuple[Reading, Position]


class Counting:
    """One query of one pack on one store."""

    def __init__(self, pack: str, query: Query, beside: Beside, ledger: PackLedger, complaints: Complaints) -> None:
        self._pack = pack
        self._query = query
        self._beside = beside
        self._ledger = ledger
        self._complaints = complaints
        self._listed = columns_of(query.metrics)
        self._metrics = counted_metrics(query.metrics)
        self._reading: UnderWay | None = None
        self._statement: Statement | None = None
        self._provable = True
        self._doubted = False
        #: Where the reading stands, and where the state file says that it does: behind, if nothing came since.
        self._state: CursorState | None = None
        self._written: CursorState | None = None
        self._series: Series = {}

    async def known(self) -> PackAnswer | None:
        """What was counted before the store is asked; None before the first poll."""
        cursor, self._series = await self._ledger.known()
        return self._answer() if cursor is not None else None

    async def ask(self, transaction: Transaction) -> tuple[PackAnswer, bool]:
        """Count for one turn: the totals, and whether more is waiting. Raises PackError, StoreError, LedgerError."""
        under_way, self._reading = self._reading, None
        written = await self._ledger.attach(self._beside.identity())
        if written is None or written != self._written:
            self._state = self._written = written
            _, self._series = await self._ledger.known()
            under_way = None
        try:
            statement = self._statement or await self._prepare(transaction)
            more = await self._turn(transaction, statement, under_way)
        except Exception:
            self._statement = None  # the table may be another one since
            raise
        self._complaints.tell()
        return self._answer(), more

    async def _prepare(self, transaction: Transaction) -> Statement:
        query, store = self._query, self._beside.config
        statement = await prepare(transaction, query)
        server = await catalog.server(transaction)
        exactness = await catalog.exactness(transaction, statement.wrapped, server, store)
        if exactness.reasons and self._provable:
            log.warning("a pack's counting is not provably exact", store=store.name, place=query.place,
                        query=query.name, reasons=exactness.reasons)  # fmt: skip
        self._provable = exactness.exact
        self._width = Width("id" if statement.wrapped.cursor.kind == "id" else "time", *SLICE_ROWS)
        self._late_window = max(store.counting.late_window, statement.wrapped.granularity)
        self._statement = statement
        return statement

    # -- the reading

    async def _turn(self, transaction: Transaction, statement: Statement, under_way: UnderWay | None) -> bool:
        reading, position = under_way or await self._plan(transaction, statement.wrapped)
        started = time.monotonic()
        also = await self._seen_before(transaction, statement, reading) if reading.first else {}
        while True:
            end = reading.high if reading.first else min(reading.high, position + self._width.value)
            more = end < reading.high
            try:
                await self._slice(transaction, statement, reading, (position, end), also)
            except TooManyRows:
                continue
            except StoreTooSlow:
                self._width.too_wide()
                raise
            position = end
            if not more or time.monotonic() - started > TURN_SECONDS:
                self._reading = (reading, position) if more else None
                return more

    async def _plan(self, transaction: Transaction, wrapped: Wrapped) -> UnderWay:
        reading = await plan(transaction, wrapped, self._state, self._beside.pids(), self._late_window)
        if reading.doubt is not None:
            self._doubted = True
            log.warning("rows of a pack may have been missed", store=self._beside.config.name, query=self._query.name,
                        place=self._query.place, reason=reading.doubt)  # fmt: skip
        return reading, reading.low

    async def _slice(
        self,
        transaction: Transaction,
        statement: Statement,
        reading: Reading,
        span: tuple[Position, Position],
        also: Also,
    ) -> None:
        parameters = bounds(statement.wrapped.cursor, *span)
        rows: list[tuple[Any, ...]] = []
        found = 0
        if span[0] < span[1]:
            stream = transaction.stream("packs", statement.rows, *parameters, chunk=self._width.chunk)
            async with contextlib.aclosing(stream):
                async for chunk in stream:
                    found += len(chunk)
                    if reading.first:
                        await self._ledger.remember(chunk)
                        continue
                    if found > self._width.most:
                        self._width.crowded(*span, [*(row[1] for row in rows), *(row[1] for row in chunk)])
                        raise TooManyRows
                    rows += (self._cleaned(row) for row in chunk)
            self._width.found(found)
        await self._commit(reading, reading.upto(span[1]), rows, also)

    async def _commit(self, reading: Reading, after: CursorState, rows: list[tuple[Any, ...]], also: Also) -> None:
        before = self._written
        recent = before is not None and after.read_at - before.read_at < WRITTEN_EVERY
        if before is not None and recent and not rows and before.epoch == after.epoch:
            # Nothing came: a poll that goes on from the older cursor would read this stretch again, and find as much.
            self._state = after
            return
        cursor, self._series = await self._ledger.commit(
            Slice(
                rows=rows,
                before=before,
                after=after,
                counted_to=reading.counted_to,
                count=not reading.first,
                also=also,
            )
        )
        if cursor.floor > after.floor:
            self._doubted = True
            log.warning("a transaction is open for so long that a pack's rows are no longer told apart",
                        store=self._beside.config.name, query=self._query.name, floor=cursor.floor)  # fmt: skip
        self._state = self._written = cursor

    async def _seen_before(self, transaction: Transaction, statement: Statement, reading: Reading) -> Also:
        """The label sets that the newest rows of history have, by metric: shown as 0 from now on. None if slow."""
        earliest = -(2**62) if statement.wrapped.cursor.kind == "id" else 0.0
        found: Also = {metric.name: set() for metric in self._metrics}
        with contextlib.suppress(StoreTooSlow):  # who has no index for it does without
            async with savepoint(transaction):
                parameters = bounds(statement.wrapped.cursor, earliest, reading.high)
                for row in await transaction.fetch("packs", statement.newest_labels, *parameters):
                    for metric in self._metrics:
                        found[metric.name].add(tuple(row[i] or "" for i in metric.labels))
        return found

    def _cleaned(self, row: Row) -> tuple[Any, ...]:
        """A row whose labels are texts and whose amounts can be counted; what cannot is NULL, which adds nothing."""
        values = list(row)
        for place, (column, is_label) in enumerate(self._listed, 2):
            value = values[place]
            if is_label:
                values[place] = value or ""
            elif value is not None and not (math.isfinite(value) and value >= 0):
                what = "negative" if value < 0 and math.isfinite(value) else f"{value}, which is no finite number"
                self._complaints.add(f"column {column}: a value is {what}; it is not counted")
                values[place] = None
        return tuple(values)

    # -- the answer

    def _answer(self) -> PackAnswer:
        state = self._state or self._written
        by_id = cursor_of(self._query).kind == "id"
        reached = None if state is None else (state.read_at if by_id else float(state.upto))
        shown = tuple(self._shown(metric) for metric in self._query.metrics)
        return PackAnswer(
            pack=self._pack,
            query=self._query.name,
            shown=shown,
            cursor_time=reached,
            exact=self._provable and not self._doubted,
        )

    def _shown(self, metric: Metric) -> Shown:
        series = self._series.get(metric.name, {})
        counted = metric.kind == "counter"
        cost = 1 if counted else len(metric.buckets) + 3
        return Shown(
            name=metric.name,
            kind=metric.kind,
            help=metric.help,
            labels=metric.labels,
            samples=tuple(
                (labels, numbers[0] if counted else _histogram(numbers)) for labels, numbers in series.items()
            ),
            buckets=metric.buckets,
            kept=True,
            dropped=len(self._ledger.dropped.get(metric.name, ())) * cost,
        )


def book(store: str, pack: str, query: Query) -> Book:
    """The account of a query."""
    cursor = cursor_of(query)
    reads = " ".join((cursor.kind, cursor.column, *query.key))
    return Book(store=store, pack=pack, query=query.name, reads=reads, metrics=counted_metrics(query.metrics))


def _histogram(numbers: list[float]) -> Histogram:
    return Histogram(tuple(int(n) for n in numbers[:-1]), float(numbers[-1]))
