"""Reads the store's history into the statistics, newest first, in slices, beside the counting of what is new.

What the first poll did not look at is history: it is read once, never counted in metrics. Each slice and how far it got
are one transaction of the ledger, so that a kill loses nothing and repeats nothing. Between slices it waits as long as
the load budget asks.
"""

from __future__ import annotations

import math
import time
from typing import Final

import structlog
from msgspec.structs import replace

from exporter.domain import Backfill as Progress
from exporter.errors import StoreTooSlow
from exporter.ledger.cursor import BackfillState, Position
from exporter.ledger.finished import Finished
from exporter.ledger.ledger import Ledger
from exporter.ledger.view import progress
from exporter.stores.rows import ExecutionRows, TooManyRows, Width
from exporter.stores.session import Transaction

log = structlog.get_logger(component="backfill")

#: Rows that a slice should give: few enough for a short statement and little memory.
SLICE_ROWS: Final = (500, 2_000)
#: Seconds between two lines of progress in the log.
SAY_EVERY: Final = 60.0


class Backfill:
    """One store's backfill. ``sliced`` is False where each slice would scan the table: then all is read in one."""

    def __init__(self, rows: ExecutionRows, ledger: Ledger, *, sliced: bool) -> None:
        self._store = rows.store
        self._rows = rows
        self._ledger = ledger
        self._sliced = sliced
        self._width = Width(rows.kind, *SLICE_ROWS, down=True)
        self._said: float | None = None

    async def step(self, transaction: Transaction, state: BackfillState, recurring: frozenset[str]) -> Progress:
        """Read the slice after ``state``."""
        self._say_begin(state)
        low = self._low(state)
        newest: list[float] = []

        async def take(rows: list[Finished]) -> None:
            ends = [math.inf if (at := row[_COMPLETED]) is None else float(at) for row in rows]
            newest.append(max(ends, default=-math.inf))
            await self._ledger.backfill_stage(self._store, rows, state.since)

        await self._ledger.backfill_discard(self._store)
        try:
            found = await self._rows.read(transaction, low, state.position, self._width, take, bounded=self._sliced)
        except TooManyRows:
            await self._ledger.backfill_discard(self._store)  # not kept in memory until the next turn
            return progress(state)
        except StoreTooSlow as e:
            if self._sliced:
                raise
            return await self._give_up(state, e, recurring)
        after = self._after(state, low, max(newest) if found else None)
        after = await self._ledger.backfill_commit(self._store, after, state.since, recurring)
        self._say(after)
        return progress(after)

    def _low(self, state: BackfillState) -> Position:
        end = self._end(state)
        return max(end, state.position - self._width.value) if self._sliced else end

    def _end(self, state: BackfillState) -> Position:
        # An id says nothing about its time: a slice whose newest execution is old enough ends it.
        return -1 if self._rows.kind == "id" else state.horizon

    def _after(self, state: BackfillState, low: Position, newest: float | None) -> BackfillState:
        if self._rows.kind == "time":
            reached = float(low)
        else:
            reached = state.reached if newest is None or newest == math.inf else min(state.reached, newest)
        done = low <= self._end(state) or reached < state.horizon
        return replace(state, position=low, reached=state.horizon if done else min(state.reached, reached), done=done)

    async def _give_up(self, state: BackfillState, error: StoreTooSlow, recurring: frozenset[str]) -> Progress:
        problem = (
            f"no index serves the cursor, and reading all of history at once took too long ({error}): statistics begin"
            f" with the first poll. `scheduler-exporter profile check` prints the index to create"
        )
        log.warning("history is not read", store=self._store, reason=problem)
        await self._ledger.backfill_discard(self._store)
        done = replace(state, done=True, problem=problem)
        return progress(await self._ledger.backfill_commit(self._store, done, state.since, recurring))

    def _say_begin(self, state: BackfillState) -> None:
        if self._said is None:
            self._said = time.monotonic()
            log.info(
                "reading history into the statistics",
                store=self._store,
                back_to=_moment(state.horizon),
                reached=_moment(state.reached),
                percent=round(100 * state.ratio, 1),
                in_slices=self._sliced,
            )

    def _say(self, state: BackfillState) -> None:
        now = time.monotonic()
        if state.done:
            log.info("history is read", store=self._store, executions=state.executions, back_to=_moment(state.horizon))
        elif self._said is not None and now - self._said >= SAY_EVERY:
            self._said = now
            log.info(
                "reading history",
                store=self._store,
                executions=state.executions,
                reached=_moment(state.reached),
                percent=round(100 * state.ratio, 1),
            )


_COMPLETED: Final = Finished._fields.index("completed_at")


def _moment(at: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))
