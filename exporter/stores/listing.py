"""A store's ``connections`` table: servers to check that the scheduler itself knows.

Belongs here: finding the table and reading it. Does not: what becomes of its rows (``connections.roster``), results
(``status``).
"""

from __future__ import annotations

from typing import Final

import structlog

from exporter.config.model import Profile
from exporter.directory import StoreConnection, StoreConnections
from exporter.stores import recognition
from exporter.stores.checking.columns import describe
from exporter.stores.queries import WHOLE, Wrapped
from exporter.stores.session import Transaction

log = structlog.get_logger(component="store")

ENTITY: Final = "connections"
#: How many rows are read at most.
LISTED: Final = 10_000
#: A SELECT that the server refused is tried again at every so many polls: each time is an error in the server's log.
REFUSED_POLLS: Final = 20


class Listing:
    """Reads the ``connections`` of one store. ``read`` gives None while the store has no such table."""

    def __init__(self, store: str) -> None:
        self._store = store
        self._wrapped: Wrapped | None = None
        self._said: str | None = None
        self._skip = 0
        self._full = False

    async def read(self, transaction: Transaction, profile: Profile) -> StoreConnections | None:
        """The rows in the order of their ids. Raises StoreError once there was a table to be read."""
        if self._wrapped is None:
            self._wrapped = await self._find(transaction, profile)
        if self._wrapped is None:
            return None
        rows = await transaction.fetch("targets", self._wrapped.listed_connections(), LISTED + 1)
        if len(rows) > LISTED and not self._full:
            log.warning("more connections than are checked", store=self._store, checked=LISTED)
        self._full = len(rows) > LISTED
        whole = self._wrapped.columns[ENTITY]["id"] in WHOLE
        return StoreConnections(
            connections=tuple(
                StoreConnection(
                    id=int(row_id) if whole else row_id, name=name, host=host or "", port=port, database=database,
                    user=user, sslmode=sslmode, vault_path=vault_path,
                )
                for row_id, name, host, port, database, user, sslmode, vault_path in rows[:LISTED]
                if row_id is not None
            )
        )  # fmt: skip

    async def _find(self, transaction: Transaction, profile: Profile) -> Wrapped | None:
        """The SELECT with its columns, None where it cannot be read; why is said once."""
        if profile.connections is None:
            return None
        self._skip -= 1
        if self._skip >= 0:
            return None
        reasons = await recognition.missing(transaction, profile.connections_require)
        if not reasons:
            described = await describe(transaction, profile, (ENTITY,))
            reasons = [str(fault) for fault in described.faults[ENTITY]]
            if not reasons:
                self._said = None
                log.info("store lists connections", store=self._store, columns=list(described.columns[ENTITY]))
                return described.wrapped
            self._skip = REFUSED_POLLS
        if (reason := "; ".join(reasons)) != self._said:
            self._said = reason
            log.info("store lists no connections to check", store=self._store, reason=reason)
        return None
