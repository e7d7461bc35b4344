"""Whether an index lets finished executions be read a slice at a time."""

from __future__ import annotations

from exporter.ledger.cursor import Position
from exporter.stores.checking import plans
from exporter.stores.checking.savepoint import savepoint
from exporter.stores.queries import Wrapped, bounds
from exporter.stores.session import Transaction


async def sliced(transaction: Transaction, wrapped: Wrapped, low: Position, high: Position) -> bool:
    """False where the cursor's bounds can only be tried on each row: then every slice reads the whole table."""
    async with savepoint(transaction):
        await transaction.fetch("explain", "SELECT set_config('enable_seqscan', 'off', true)")
        sql = f"EXPLAIN (VERBOSE, FORMAT JSON) {wrapped.finished()}\n"
        rows = await transaction.fetch("explain", sql, *bounds(wrapped.cursor, low, high))
    return not any(plans.bounded(scan.filters) is not None for scan in plans.scans(rows[0][0][0]["Plan"]))
