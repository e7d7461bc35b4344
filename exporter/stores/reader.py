"""Reads what finished since the last poll and has the ledger count it: slice by slice, exactly once.

One poll: the server's clock (and the greatest id), then the open transactions, then the rows - in this order, each
statement with a snapshot of its own; ``marks`` says why that misses nothing. A stretch too long for one answer
(catching up after downtime) is read in slices whose width follows the number of rows found.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterable
from math import isfinite
from typing import Final

import structlog

from exporter.domain import FINAL_STATUSES, Counts
from exporter.errors import StoreTooSlow
from exporter.ledger.cursor import CursorState, Position
from exporter.ledger.ledger import Ledger
from exporter.ledger.tally import Finished
from exporter.stores.answers import finite
from exporter.stores.marks import Reading, Session, plan_ids, plan_times
from exporter.stores.queries import Wrapped, bounds
from exporter.stores.session import Row, Transaction
from exporter.stores.sql import statement

log = structlog.get_logger(component="reader")

CLOCK: Final = "SELECT extract(epoch FROM clock_timestamp())::float8"
#: Rows that a slice should give; its width is doubled or halved to stay near.
SLICE_ROWS: Final = (5_000, 20_000)
#: A poll gives way to the store's other questions after so many seconds of slices.
TURN_SECONDS: Final = 1.0
NARROWEST: Final = {"time": 0.001, "id": 1}
#: How wide a slice may be at first: seconds, ids.
WIDEST_FIRST: Final = {"time": 120.0, "id": 20_000}


class Reader:
    """Reads one store's executions. ``state`` is where the reading stands (None before the first poll)."""

    def __init__(self, store: str, wrapped: Wrapped, ledger: Ledger, late_window: float) -> None:
        self._store = store
        self._wrapped = wrapped
        self._ledger = ledger
        # A stamp in whole seconds says "within this one": what ends later in it must be looked for again.
        self._late_window = max(late_window, wrapped.granularity)
        self._sql = wrapped.finished()
        self._kind = "id" if wrapped.cursor.kind == "id" else "time"
        self._width: float = WIDEST_FIRST[self._kind]
        self._unknown: set[str] = set()
        self.state: CursorState | None = None

    @property
    def unknown_statuses(self) -> frozenset[str]:
        """Statuses that the profile gave and that mean nothing: their executions are not counted."""
        return frozenset(self._unknown)

    async def poll(
        self,
        transaction: Transaction,
        own_pids: Iterable[int],
        task_types: Iterable[str],
        recurring: frozenset[str],
    ) -> tuple[Counts, bool]:
        """Read and count for one turn; returns the totals and whether more is waiting."""
        reading = await self._plan(transaction, own_pids)
        started = time.monotonic()
        position = reading.low
        while True:
            upto = self._slice_end(position, reading)
            await self._ledger.discard(self._store)
            rows = await self._slice(transaction, reading, position, upto)
            counts = await self._ledger.commit(
                self._store, reading.upto(upto), task_types=task_types, recurring=recurring
            )
            self.state = reading.upto(upto)
            self._adapt(rows)
            position = upto
            if position >= reading.high:
                return counts, False
            if time.monotonic() - started > TURN_SECONDS and not reading.first:
                return counts, True

    async def _plan(self, transaction: Transaction, own_pids: Iterable[int]) -> Reading:
        now = float((await transaction.fetch("clock", CLOCK))[0][0])
        position = self._wrapped.cursor.position
        greatest = 0
        if position is not None:
            greatest = int((await transaction.fetch("position", position))[0][0] or 0)
        rows = await transaction.fetch("sessions", statement("sessions"), list(own_pids))
        sessions = [Session(*row) for row in rows]
        if position is not None:
            return plan_ids(self.state, now, greatest, sessions, self._late_window)
        return plan_times(self.state, now, sessions, self._late_window)

    def _slice_end(self, position: Position, reading: Reading) -> Position:
        # The first poll remembers keys and counts nothing: it must be whole, or what it left out would be counted.
        if reading.first or position + self._width >= reading.high:
            return reading.high
        return position + (int(self._width) if self._kind == "id" else self._width)

    async def _slice(self, transaction: Transaction, reading: Reading, low: Position, high: Position) -> int:
        found = 0
        try:
            async for rows in self._rows(transaction, low, high):
                found += len(rows)
                await self._ledger.stage(self._store, rows, count=not reading.first)
        except StoreTooSlow:
            self._width = max(self._width / 4, NARROWEST[self._kind])
            raise
        return found

    async def _rows(self, transaction: Transaction, low: Position, high: Position) -> AsyncIterator[list[Finished]]:
        if low >= high:
            return
        parameters = bounds(self._wrapped.cursor, low, high)
        async for chunk in transaction.stream("executions", self._sql, *parameters):
            yield self._known(chunk)

    def _known(self, chunk: list[Row]) -> list[Finished]:
        make: Callable[[Row], Finished] = Finished._make
        rows = [_dated(row) for row in map(make, chunk) if row.status in FINAL_STATUSES]
        if len(rows) < len(chunk):
            found = {str(row[7]) for row in chunk if row[7] not in FINAL_STATUSES}
            for status in sorted(found - self._unknown):
                log.error(
                    "the profile gives a status that means nothing; such executions are not counted",
                    store=self._store,
                    status=status,
                    known=list(FINAL_STATUSES),
                )
            self._unknown |= found
        return rows

    def _adapt(self, rows: int) -> None:
        few, many = SLICE_ROWS
        if rows > many:
            self._width = max(self._width / 2, NARROWEST[self._kind])
        elif rows < few:
            self._width *= 4 if rows < few // 10 else 2
        # An idle stretch must not make the next busy one a single slice.
        self._width = min(self._width, WIDEST_FIRST[self._kind] * 512)


def _dated(row: Finished) -> Finished:
    """The row, its times None where they are ``infinity``: no moment, and no sum would ever be finite again."""
    if isfinite((row.scheduled_at or 0.0) + (row.started_at or 0.0) + (row.completed_at or 0.0)):
        return row
    return row._replace(
        scheduled_at=finite(row.scheduled_at),
        started_at=finite(row.started_at),
        completed_at=finite(row.completed_at),
    )
