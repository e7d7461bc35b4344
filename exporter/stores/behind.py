"""Executions whose stamps lie so far behind the server's clock that no poll looks there any more.

Local time taken for UTC, a program's clock that is slow: what ends so is behind the reading when it appears, and only
the table itself tells. So the latest stamp is looked up now and then: where it has moved, lies where the reading has
passed, and nothing was counted meanwhile, executions were missed.
"""

from __future__ import annotations

import math
from typing import Final

from exporter.config.durations import format_duration
from exporter.errors import StoreError, StoreUnavailable
from exporter.ledger.cursor import CursorState
from exporter.stores.checking.savepoint import savepoint
from exporter.stores.queries import Wrapped
from exporter.stores.session import Transaction

#: The planner's cost of a look-up that an index serves is far below, that of sorting a table far above.
_DEAR: Final = 1_000.0


class Behind:
    """Looks at one store's latest stamps."""

    def __init__(self) -> None:
        self._newest: float | None = None
        self._counted = 0
        self._too_dear = False

    async def look(
        self, transaction: Transaction, wrapped: Wrapped, state: CursorState, counted: int, late_window: float
    ) -> str | None:
        """What stands against exactness, in words. ``counted`` executions were counted in all, up to ``state``."""
        if self._too_dear or wrapped.cursor.kind == "id":
            return None
        try:
            async with savepoint(transaction):
                newest = await self._latest(transaction, wrapped, state.upto)
        except StoreUnavailable:
            raise
        except StoreError:  # the polls tell what is wrong
            self._too_dear = True
            return None
        before, self._newest = self._newest, newest
        same, self._counted = counted == self._counted, counted
        passed = min([state.upto - late_window, *(x.mark for x in state.open)])
        if before is None or not same or not before < newest <= passed:
            return None
        return (
            "executions appear with stamps that late_window does not reach, and are not counted: the latest one's lies"
            f" {format_duration(round(state.read_at - newest))} behind the server's clock. Does the cursor hold local"
            " time, or that of a clock that is slow?"
        )

    async def _latest(self, transaction: Transaction, wrapped: Wrapped, upto: float) -> float:
        plan = (await transaction.fetch("latest", f"EXPLAIN (FORMAT JSON) {wrapped.latest()}", float(upto)))[0][0]
        if plan[0]["Plan"]["Total Cost"] > _DEAR:
            self._too_dear = True
            return -math.inf
        rows = await transaction.fetch("latest", wrapped.latest(), float(upto))
        return float(rows[0][0]) if rows else -math.inf
