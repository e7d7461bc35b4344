"""Whether a store's executions are provably counted once: looked at with each connection, and again while it lasts.

Rights, settings and the server's role change under an open connection, and a proof that no longer holds has to be said.
"""

from __future__ import annotations

import time
from typing import Final

import structlog

from exporter.config.model import PostgresStore
from exporter.domain import Exactness
from exporter.stores import catalog
from exporter.stores.behind import Behind
from exporter.stores.catalog import Server
from exporter.stores.numbering import Numbers
from exporter.stores.queries import Wrapped
from exporter.stores.reader import Reader
from exporter.stores.session import Transaction

log = structlog.get_logger(component="store")

#: Seconds between two looks over one connection.
LOOK_SECONDS: Final = 60.0


class Proof:
    """What stands against the exactness of one store's counts."""

    def __init__(self, config: PostgresStore) -> None:
        self._config = config
        self._found = Exactness()
        self._next_look = 0.0
        self._standby = False
        self._numbers = Numbers()
        self._behind = Behind()

    async def look(self, transaction: Transaction, wrapped: Wrapped, server: Server, reader: Reader) -> None:
        """Ask the store, and say what has changed.

        In one transaction with a poll only after it: PostgreSQL shows a transaction the sessions as they were when it
        first asked for them, and a poll has to see those that are open after it has read the clock.
        """
        self._next_look = time.monotonic() + LOOK_SECONDS
        found = await catalog.exactness(transaction, wrapped, server, self._config)
        if self._standby and not server.standby:
            reader.doubt(
                "the server was a standby until now: what its primary's transactions added late, or it replayed late,"
                " is not looked for"
            )
        self._standby = reader.standby = server.standby
        if wrapped.cursor.kind == "id":
            reader.numbered(await self._numbers.look(transaction, wrapped, standby=server.standby))
        else:
            # Pools come and go: one such session is enough, and it is said once.
            for doubt in await catalog.untracked(transaction, self._config.counting.late_window):
                reader.doubt(doubt)
        if found == self._found:
            return
        self._found = found
        if not found.exact:
            log.warning("counting is not provably exact", store=self._config.name, reasons=found.reasons)
        elif reader.doubts:
            log.info("what stood against exact counting is gone, not what was missed", store=self._config.name)
        else:
            log.info("nothing stands against exact counting any more", store=self._config.name)

    async def look_again(self, transaction: Transaction, wrapped: Wrapped, reader: Reader) -> None:
        """Now and then, after a poll."""
        if time.monotonic() < self._next_look:
            return
        # What is not counted for its status is told already.
        if reader.state is not None and not reader.behind and not reader.rows.unknown_statuses:
            window = self._config.counting.late_window
            doubt = await self._behind.look(transaction, wrapped, reader.state, reader.counted, window)
            if doubt is not None:
                reader.doubt(doubt)
        await self.look(transaction, wrapped, await catalog.server(transaction), reader)

    def now(self, reader: Reader) -> Exactness:
        """What is known to stand against exactness now."""
        rows = reader.rows
        found = [*self._found.reasons, *reader.doubts, *rows.missed]
        found += rows.doubtful.coarse(self._config.counting.late_window)
        return Exactness(reasons=tuple(dict.fromkeys(found)))
