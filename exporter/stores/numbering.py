"""Whether an id cursor's ids are still given by what gave them before: if not, some may be given a second time.

A table that was dropped and made anew, a sequence that was restarted, a server that lost what it had (a promotion, a
restore): by the next poll their ids may be past those that were read, and the greatest id tells nothing. What gave the
ids is kept beside the cursor, so that it is noticed also where it happened while the exporter was down.
"""

from __future__ import annotations

from collections.abc import Iterator

from exporter.errors import StoreError, StoreUnavailable
from exporter.ledger.cursor import Numbering
from exporter.stores.checking.hidden import read_by
from exporter.stores.checking.savepoint import savepoint
from exporter.stores.queries import Wrapped
from exporter.stores.session import Transaction
from exporter.stores.sql import statement


class Numbers:
    """Looks at what gives one store's ids."""

    def __init__(self) -> None:
        self._refused = False

    async def look(self, transaction: Transaction, wrapped: Wrapped, *, standby: bool) -> Numbering:
        """What gives the ids now."""
        relations = {one.relation: one.oid for one in await read_by(transaction, wrapped, "executions")}
        rows = await transaction.fetch("server", statement("sequences"), list(relations.values()))
        sequences = {name: (oid, file) for name, oid, file in rows}
        timeline, written = (None, None) if standby else await self._written(transaction)
        return Numbering(relations=relations, sequences=sequences, timeline=timeline, written=written)

    async def _written(self, transaction: Transaction) -> tuple[int | None, int | None]:
        if self._refused:
            return None, None
        try:
            async with savepoint(transaction):
                ((timeline, written),) = await transaction.fetch("server", statement("written"))
        except StoreUnavailable:
            raise
        except StoreError:  # a server that is PostgreSQL's in name only may not have it
            self._refused = True
            return None, None
        return timeline, written


def doubts(before: Numbering | None, now: Numbering | None) -> Iterator[str]:
    """What stands against exactness since ``before``, in words."""
    if before is None or now is None or before == now:
        return
    anew = [name for name, oid in now.relations.items() if before.relations.get(name, oid) != oid]
    for name in anew:
        yield f"{name} was made anew: ids up to those that were read of the one before are not counted"
    for name, file in now.sequences.items():
        if not anew and before.sequences.get(name, file) != file:
            yield f"{name} was restarted, altered or made anew: ids that it gives a second time are not counted"
    if before.timeline is None or before.written is None or now.timeline is None or now.written is None:
        return
    if now.timeline != before.timeline or now.written < before.written:
        yield (
            "the server was promoted, or restored to an earlier state: ids that were read and then lost with it may be"
            " given a second time, and are not counted then"
        )
