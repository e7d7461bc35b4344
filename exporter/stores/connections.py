"""What a store is asked, and told, about the servers that its ``connections`` table lists.

Belongs here: the two collectors around ``listing`` and ``status``, and the visitor, which has no other questions: a
shard that does not count a store's executions still checks its share of the store's connections.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from exporter.config.model import PostgresStore, Profile
from exporter.directory import Directory, StatusWritten, StoreConnection
from exporter.errors import StoreError
from exporter.instruments import QueryInstruments
from exporter.poller import Collected, Collector
from exporter.stores import recognition
from exporter.stores.credentials import StoreCredentials
from exporter.stores.lease import HOLDER, Lease
from exporter.stores.listing import Listing
from exporter.stores.reads import Reads
from exporter.stores.session import Session, Transaction
from exporter.stores.status import StatusTable
from exporter.vault.references import Secrets

log = structlog.get_logger(component="store")

#: A visitor calls at every so many intervals of the store.
VISITED_INTERVALS: Final = 4
#: A visit may take so many statement timeouts before the poller gives it up.
DEADLINE_TIMEOUTS: Final = 6
#: A lease lasts for so many intervals of the store, and at least for so many seconds: then another replica takes over.
LEASE_INTERVALS: Final = 4
LEASE_SECONDS: Final = 10.0
NOTHING: Final = Collected(value=None)


class StoreConnections:
    """Asks one store for its connections, and writes the results of their checks where ``writes`` says so.

    ``share`` is which of the targets are checked here: replicas of one share take turns at writing, by a lease.
    """

    def __init__(
        self, config: PostgresStore, directory: Directory, *, writes: bool, share: str = "0/1", holder: str = HOLDER
    ) -> None:
        self._store = config.name
        self._timeout = float(config.timeout)
        self._holder = holder
        self._lease_name = f"connection_status {share}"
        self._lease_seconds = max(LEASE_INTERVALS * config.interval, LEASE_SECONDS)
        self._lease: Lease | None = None
        self._theirs = False
        self._directory = directory
        self._writes = writes
        self._listing = Listing(config.name)
        self._status: StatusTable | None = None
        self._listed = False
        self._said = False

    @property
    def writes(self) -> bool:
        """Whether results are to be written."""
        return self._writes

    async def ask(self, session: Session, profile: Profile) -> Collected:
        """The store's rows, handed to the directory. Nothing where the store has no such table."""
        self._directory.asked(self._store)
        if profile.connections is None:
            return NOTHING
        async with session.transaction() as transaction:
            value = await self._listing.read(transaction, profile)
        if value is not None:
            self._listed = True
            self._directory.listed(self._store, value.connections)
        return Collected(value=value, load_seconds=transaction.seconds)

    async def tell(self, session: Session, profile: Profile) -> Collected:
        """Write the results that the store does not have yet: one statement in a short transaction of its own."""
        if not self._listed:
            return NOTHING
        if profile.connection_status is None:
            if not self._said:
                self._said = True
                log.warning("results are not written: the profile names no connection_status", store=self._store)
            return NOTHING
        try:
            return await self._write(session, profile.connection_lease, self._status_table(profile.connection_status))
        except StoreError:
            self._status = None  # the tables may be others by now: they are looked at again
            raise

    def _status_table(self, relation: str) -> StatusTable:
        if self._status is None:
            self._status = StatusTable(relation)
        return self._status

    async def _write(self, session: Session, lease: str | None, table: StatusTable) -> Collected:
        load = 0.0
        statuses = table.unwritten(self._directory.checked(self._store))
        if not statuses:
            return Collected(value=StatusWritten(results=0))
        if not table.ready:
            async with session.transaction(self._timeout) as transaction:
                await table.prepare(transaction)
                await self._look_for_lease(transaction, lease)
            load = transaction.seconds
        async with session.transaction(self._timeout, writing=True) as transaction:
            ours = self._lease is None or await self._lease.take(transaction)
            if ours:
                await table.write(transaction, statuses)
        self._tell_whose(ours=ours)
        if ours:
            table.done(statuses)
        written = StatusWritten(results=len(statuses) if ours else 0)
        return Collected(value=written, load_seconds=load + transaction.seconds)

    async def _look_for_lease(self, transaction: Transaction, relation: str | None) -> None:
        lease = Lease(relation, self._lease_name, self._lease_seconds, self._holder) if relation is not None else None
        self._lease = lease if lease is not None and await lease.there(transaction) else None

    def _tell_whose(self, *, ours: bool) -> None:
        if ours == self._theirs:
            self._theirs = not ours
            log.info(
                "results are written here" if ours else "results are written by another replica", store=self._store
            )


class Visitor:
    """A store as a shard sees it that only checks connections: a connection for the moment of the visit, no more.

    Rows change seldom, and every shard but one reads them beside the one that polls the store: so they are read at
    every fourth interval, unless results have to be written.
    """

    #: It answers no requests.
    reads: Reads | None = None

    def __init__(
        self,
        config: PostgresStore,
        secrets: Secrets,
        directory: Directory,
        instruments: QueryInstruments,
        *,
        writes: bool,
        share: str = "0/1",
    ) -> None:
        self.config = config
        self._credentials = StoreCredentials(config, secrets)
        self._session = Session(config.name, self._credentials, config.timeout, instruments)
        self._connections = StoreConnections(config, directory, writes=writes, share=share)
        self._profile: Profile | None = None

    def collectors(self) -> list[Collector]:
        """The visit; with results to write, two that share a connection which stays."""
        writes = self._connections.writes
        found = [self._collector("targets", self._ask, 1 if writes else VISITED_INTERVALS)]
        if writes:
            found.append(self._collector("connection_status", self._tell, 1))
        return found

    def _collector(self, name: str, collect: Callable[[], Awaitable[Collected]], intervals: int) -> Collector:
        return Collector(
            name=name,
            source=self.config.name,
            collect=collect,
            interval=self.config.interval * intervals,
            deadline=self.config.timeout * DEADLINE_TIMEOUTS,
            staleness=self.config.staleness * intervals,
            max_load=self.config.max_db_load,
        )

    async def close(self) -> None:
        """End the connection, if there is one, and what credentials were lent for it."""
        await self._session.close()
        await self._credentials.close()

    async def _ask(self) -> Collected:
        try:
            return await self._connections.ask(self._session, await self._known_profile())
        finally:
            if not self._connections.writes:
                await self._session.close()

    async def _tell(self) -> Collected:
        return await self._connections.tell(self._session, await self._known_profile())

    async def _known_profile(self) -> Profile:
        if self._profile is None:
            async with self._session.transaction() as transaction:
                self._profile = (await recognition.resolve(transaction, self.config)).profile
        return self._profile


async def list_connections(config: PostgresStore, secrets: Secrets) -> tuple[StoreConnection, ...]:
    """The servers that a store lists now, none where it has no such table. Raises StoreError, ProfileError."""
    credentials = StoreCredentials(config, secrets)
    session = Session(config.name, credentials, config.timeout, QueryInstruments())
    try:
        async with session.transaction() as transaction:
            profile = (await recognition.resolve(transaction, config)).profile
            found = await Listing(config.name).read(transaction, profile)
    finally:
        await session.close()
        await credentials.close()
    return found.connections if found is not None else ()
