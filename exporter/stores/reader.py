"""Reads what finished since the last poll and has the ledger count it: slice by slice, exactly once.

One poll: the server's clock (and the greatest id), then the open transactions, then the rows - in this order, each
statement with a snapshot of its own; ``marks`` says why that misses nothing. A stretch too long for one answer
(catching up after downtime) is read in slices whose width follows the number of rows found, over as many turns as it
takes.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Final

import structlog
from msgspec.structs import replace

from exporter.domain import Counts
from exporter.ledger.account import KEYS_KEPT
from exporter.ledger.cursor import CursorState, Numbering, OpenTransaction, Position
from exporter.ledger.finished import Finished
from exporter.ledger.ledger import Ledger
from exporter.stores.marks import Reading, Session, plan_ids, plan_times
from exporter.stores.numbering import doubts
from exporter.stores.queries import Wrapped
from exporter.stores.rows import ExecutionRows, TooManyRows, Width
from exporter.stores.session import Transaction
from exporter.stores.sql import statement

log = structlog.get_logger(component="reader")

CLOCK: Final = "SELECT extract(epoch FROM clock_timestamp())::float8"
#: The mark of the lowest id that has not finished stands among those of open transactions under this name.
UNFINISHED: Final = "unfinished"
#: The marks of executions that run now stand there under names that begin so.
RUNNING: Final = "running"
#: Rows that a slice should give; its width is doubled or halved to stay near.
SLICE_ROWS: Final = (5_000, 14_000)
#: A poll gives way to the store's other questions after so many seconds of slices.
TURN_SECONDS: Final = 1.0


async def clock(transaction: Transaction) -> float:
    """The server's clock now (Unix seconds): what the store's stamps are held against, whatever ours shows."""
    return float((await transaction.fetch("clock", CLOCK))[0][0])


async def plan(
    transaction: Transaction,
    wrapped: Wrapped,
    state: CursorState | None,
    own_pids: Iterable[int],
    late_window: float,
    *,
    standby: bool = False,
) -> Reading:
    """What has to be read so that nothing is missed: the clock, then who is in a transaction; the rows come after."""
    now = await clock(transaction)
    position = wrapped.cursor.position
    greatest = 0
    if position is not None:
        greatest = await greatest_id(transaction, position)
        if standby and state is not None:  # it lags behind what was read: its ids have not begun again
            greatest = max(greatest, int(state.greatest or 0))
    rows = await transaction.fetch("sessions", statement("sessions"), list(own_pids))
    sessions = [Session(*row) for row in rows]
    if position is not None:
        return await _unfinished(transaction, wrapped, plan_ids(state, now, greatest, sessions, late_window))
    if wrapped.watches_running:
        sessions += await _running(transaction, wrapped)
    return plan_times(state, now, sessions, late_window)


async def greatest_id(transaction: Transaction, position: str) -> int:
    """What ``position`` gives; 0 where it gives NULL, or no row: there is no id yet."""
    rows = await transaction.fetch("position", position)
    return int(rows[0][0] or 0) if rows else 0


async def _running(transaction: Transaction, wrapped: Wrapped) -> list[Session]:
    """What runs now, as what may still make rows appear from its start on, where stamps are those of the start.

    It costs nothing until it ends, as an open transaction does: then it is read again from there.
    """
    rows = await transaction.fetch("running", wrapped.select("running", ("id", "attempt", "started_at")))
    return [
        Session(f"{RUNNING} {one}/{attempt}", began, began, None) for one, attempt, began in rows if began is not None
    ]


async def _unfinished(transaction: Transaction, wrapped: Wrapped, reading: Reading) -> Reading:
    """With a mark for what has begun and not finished, where ids are given at the start.

    It is looked for above what is read anyway: what lies below had finished, or its transaction has a mark. Before
    the rows are read, so that what finishes meanwhile is read again rather than never.
    """
    sql = wrapped.cursor.unfinished
    if sql is None:
        return reading
    found = await transaction.fetch("unfinished", sql, int(reading.low))
    lowest = found[0][0] if found else None
    if lowest is None:
        return reading
    # No session has this name: at the next poll it is one that has ended, and is read again from.
    unfinished = OpenTransaction(UNFINISHED, None, mark=int(lowest) - 1, since=reading.read_at)
    return replace(reading, open=(*reading.open, unfinished))


class Reader:
    """Reads one store's executions. ``state`` is where the reading stands (None before the first poll).

    ``backfill`` is how many seconds of history are wanted, which the first poll writes down.
    """

    def __init__(
        self,
        wrapped: Wrapped,
        rows: ExecutionRows,
        ledger: Ledger,
        *,
        late_window: float,
        backfill: float,
        doubts: tuple[str, ...] = (),
    ) -> None:
        self._store = rows.store
        self._wrapped = wrapped
        self.rows = rows
        self._ledger = ledger
        # A stamp in whole seconds says "within this one": what ends later in it must be looked for again.
        self._late_window = max(late_window, wrapped.granularity)
        self._backfill = backfill
        self._width = Width(rows.kind, *SLICE_ROWS)
        self._under_way: tuple[Reading, Position] | None = None
        self.state: CursorState | None = None
        #: Whether a plan is not read to its end yet.
        self.behind = False
        #: What was seen that makes the counts unprovable, in words, as long as this process runs.
        self.doubts = doubts
        self._numbering: Numbering | None = None
        #: Whether the server replays what another one writes.
        self.standby = False
        #: How many executions were counted in all, at the last turn.
        self.counted = 0

    def resume(self, state: CursorState | None) -> None:
        """Go on from where the ledger says that the reading stands; a plan made for another state is given up."""
        if state != self.state:
            self.state, self._under_way = state, None
            self._compare()

    def numbered(self, numbering: Numbering) -> None:
        """What gives an id cursor's ids was looked at: is it what gave them when the reading came to where it is?"""
        self._numbering = numbering
        self._compare()

    def _compare(self) -> None:
        if self._numbering is not None and self.state is not None:
            for doubt in doubts(self.state.numbering, self._numbers()):
                self.doubt(doubt)

    async def poll(
        self,
        transaction: Transaction,
        own_pids: Iterable[int],
        task_types: Iterable[str],
        recurring: frozenset[str],
    ) -> tuple[Counts, bool]:
        """Read and count for one turn; returns the totals and whether more is waiting."""
        # What one plan covers is read to its end, over several turns if need be: a plan of its own for each would read
        # the late window again every time.
        under_way, self._under_way = self._under_way, None
        self.behind = True
        try:
            counts, more = await self._turn(under_way, transaction, own_pids, task_types, recurring)
        except BaseException:
            self.behind = False
            raise
        self.behind = more
        self.counted = sum(map(sum, counts.executions.values()))
        return counts, more

    async def _turn(
        self,
        under_way: tuple[Reading, Position] | None,
        transaction: Transaction,
        own_pids: Iterable[int],
        task_types: Iterable[str],
        recurring: frozenset[str],
    ) -> tuple[Counts, bool]:
        reading, position = under_way or await self._plan(transaction, own_pids)
        started = time.monotonic()
        while True:
            end = reading.high if reading.first else min(reading.high, position + self._width.value)
            more = end < reading.high
            unlisted = self._unlisted(reading.low, more=more)
            after = replace(reading.upto(end), unlisted=unlisted, numbering=self._numbers())
            try:
                await self._slice(transaction, reading, position, end, after)
            except TooManyRows:
                continue
            counts, self.state = await self._ledger.commit(
                self._store,
                after,
                count=not reading.first,
                horizon=reading.read_at - self._backfill,
                task_types=task_types,
                recurring=recurring,
            )
            if self.state.floor > after.floor:
                self.doubt(
                    f"a transaction is open for so long that {KEYS_KEPT:,} executions ended meanwhile: what it adds at"
                    f" or below {self.state.floor} is not looked for"
                )
            position = end
            if not more and after.unlisted is not None:
                await self._list(transaction, after.unlisted, reading)
            if not more or time.monotonic() - started > TURN_SECONDS:
                self._under_way = (reading, position) if more else None
                return counts, more

    def _unlisted(self, low: Position, *, more: bool) -> Position | None:
        """Above which position executions are counted without a place in the ring of recent ones; None: all have one.

        While catching up nearly each would only push another one out of it. The newest are read again at the end.
        """
        known = self.state.unlisted if self.state is not None else None
        if known is not None:
            return min(known, low)  # ids may have begun again
        return low if more else None

    async def _list(self, transaction: Transaction, low: Position, reading: Reading) -> None:
        """Put the newest executions above ``low``, which have been counted, into the ring of recent ones."""
        high, room = reading.high, self._ledger.recent_size
        width = Width(self.rows.kind, *SLICE_ROWS, down=True)

        async def take(rows: list[Finished]) -> None:
            await self._ledger.list_recent(self._store, rows, reading.read_at)

        while room > 0 and high > low:
            start = max(low, high - width.value)
            try:
                room -= await self.rows.read(transaction, start, high, width, take, bounded=True)
            except TooManyRows:
                continue
            high = start
        self.state = await self._ledger.listed(self._store)

    async def _slice(
        self, transaction: Transaction, reading: Reading, low: Position, high: Position, after: CursorState
    ) -> None:
        async def take(rows: list[Finished]) -> None:
            await self._ledger.stage(
                self._store,
                rows,
                count=not reading.first,
                now=reading.read_at,
                counted_to=reading.counted_to,
                keep_above=after.floor,
                listed=after.unlisted is None,
            )

        await self._ledger.discard(self._store)
        await self.rows.read(transaction, low, high, self._width, take, bounded=not reading.first)

    async def _plan(self, transaction: Transaction, own_pids: Iterable[int]) -> tuple[Reading, Position]:
        reading = await plan(transaction, self._wrapped, self.state, own_pids, self._late_window, standby=self.standby)
        if reading.doubt is not None:
            self.doubt(reading.doubt)
        return reading, reading.low

    def _numbers(self) -> Numbering | None:
        known = None if self.state is None else self.state.numbering
        return known if self._numbering is None else self._numbering.after(known)

    def doubt(self, reason: str) -> None:
        """Say once, up to its colon, what makes the counts unprovable from now on."""
        if reason.partition(":")[0] not in {known.partition(":")[0] for known in self.doubts}:
            self.doubts = (*self.doubts[-4:], reason)
            log.warning("executions may have been missed", store=self._store, reason=reason)


def oldest_open(state: CursorState | None) -> float | None:
    """Since when (Unix seconds) the oldest transaction is open that was so at the last poll; None without one."""
    opened = () if state is None else state.open
    return min((x.since for x in opened if not x.ident.startswith((UNFINISHED, RUNNING))), default=None)
