"""Executions that appear so far behind the reading that no poll looks there any more.

Local time taken for UTC, a program's clock that is slow, a cursor that is set before the end: what ends so lies where
the reading has passed when it appears, and only the table itself tells. So two things are looked up now and then. The
latest stamp: where it has moved, lies where the reading has passed, and nothing was counted meanwhile, executions were
missed. And the newest of those that are not read again: one that was not among them at the last look was missed.
"""

from __future__ import annotations

import math
import time
from typing import Final, NamedTuple

from exporter.config.durations import format_duration
from exporter.errors import StoreError, StoreUnavailable
from exporter.ledger.cursor import CursorState, Position
from exporter.stores.checking.savepoint import savepoint
from exporter.stores.queries import Wrapped, bounds
from exporter.stores.session import Row, Transaction

#: The planner's cost of a look-up that an index serves is far below, that of sorting a table far above.
_DEAR: Final = 1_000.0
#: Seconds for which a look-up that is too dear, or was refused, rests: an index may come.
REST_SECONDS: Final = 3600.0
#: How many executions are looked at again, and what that may cost.
PASSED: Final = 1_000
_DEAR_PASSED: Final = 20_000.0


class Passed(NamedTuple):
    """The newest executions up to ``high``, which nothing is read below any more: their keys; all above ``low``."""

    wrapped: Wrapped
    epoch: int
    low: Position
    high: Position
    keys: frozenset[str]


class Behind:
    """Looks at one store's latest stamps, and at what the reading has passed."""

    def __init__(self) -> None:
        self._newest: float | None = None
        self._counted = 0
        self._passed: Passed | None = None
        #: A statement -> until when (monotonic) it rests.
        self._rests: dict[str, float] = {}

    async def look(
        self, transaction: Transaction, wrapped: Wrapped, state: CursorState, counted: int, late_window: float
    ) -> str | None:
        """What stands against exactness, in words. ``counted`` executions were counted in all, up to ``state``."""
        appeared = await self._again(transaction, wrapped, state)
        if wrapped.cursor.kind == "id":
            return appeared
        return await self._stamps(transaction, wrapped, state, counted, late_window) or appeared

    async def _stamps(
        self, transaction: Transaction, wrapped: Wrapped, state: CursorState, counted: int, late_window: float
    ) -> str | None:
        rows = await self._cheap(transaction, wrapped.latest(), (float(state.upto),), _DEAR)
        if rows is None:
            return None
        newest = float(rows[0][0]) if rows else -math.inf
        before, self._newest = self._newest, newest
        same, self._counted = counted == self._counted, counted
        passed = min([state.upto - late_window, *(x.mark for x in state.open)])
        if before is None or not same or not before < newest <= passed:
            return None
        return _late(
            f"the latest one's lies {_ago(state, newest)} behind the server's clock. Does"
            " the cursor hold local time, or that of a clock that is slow?"
        )

    async def _again(self, transaction: Transaction, wrapped: Wrapped, state: CursorState) -> str | None:
        """What has appeared since the last look where nothing is read again."""
        before, self._passed = self._passed, None
        doubt = None
        # What was noted by another profile, before ids began again, or of a state that was taken back, tells nothing.
        if before is not None and before[:2] == (wrapped, state.epoch) and before.high <= state.floor:
            both = bounds(wrapped.cursor, before.low, before.high) if before.low > -math.inf else None
            parameters = (before.high, PASSED * 2) if both is None else (both[1], PASSED * 2, both[0])
            rows = await self._cheap(transaction, wrapped.passed(above=both is not None), parameters, _DEAR_PASSED)
            new = [row[1] for row in rows or () if row[1] > before.low and row[0] not in before.keys]
            doubt = _appeared(wrapped, state, max(new)) if new else None
        high = bounds(wrapped.cursor, state.floor, state.floor)[1]
        rows = await self._cheap(transaction, wrapped.passed(above=False), (high, PASSED), _DEAR_PASSED)
        if rows is not None:
            low: Position = -math.inf if len(rows) < PASSED else min(row[1] for row in rows)
            keys = frozenset(row[0] for row in rows)
            self._passed = Passed(wrapped, state.epoch, low, high, keys)
        return doubt

    async def _cheap(
        self, transaction: Transaction, sql: str, parameters: tuple[object, ...], most: float
    ) -> list[Row] | None:
        """What a statement gives; None where that is too dear, or refused: then it rests."""
        if time.monotonic() < self._rests.get(sql, 0.0):
            return None
        try:
            async with savepoint(transaction):
                plan = (await transaction.fetch("latest", f"EXPLAIN (FORMAT JSON) {sql}", *parameters))[0][0]
                if plan[0]["Plan"]["Total Cost"] <= most:
                    return await transaction.fetch("latest", sql, *parameters)
        except StoreUnavailable:
            raise
        except StoreError:  # the polls tell what is wrong
            pass
        self._rests[sql] = time.monotonic() + REST_SECONDS
        return None


def _ago(state: CursorState, position: Position) -> str:
    return format_duration(max(0, round(state.read_at - position)))


def _late(told: str) -> str:
    return f"executions appear with stamps that late_window does not reach, and are not counted: {told}"


def _appeared(wrapped: Wrapped, state: CursorState, position: Position) -> str:
    if wrapped.cursor.kind == "id":
        return (
            f"executions appear with ids that were passed, and are not counted: {position} is one. Is its row inserted"
            " when it begins? Then take a cursor by the end's time, or give `at_end: false` with `unfinished`"
        )
    return _late(
        f"one lies {_ago(state, position)} behind the server's clock. Is {wrapped.cursor.column} set when the execution"
        " ends, and by a clock that is right? Or were rows loaded?"
    )
