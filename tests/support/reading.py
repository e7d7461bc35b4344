"""A store that only answers requests, on a real database; what it asks is counted."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass

from exporter.config.model import Dsn, Duration, PostgresStore, Profile
from exporter.instruments import QueryInstruments
from exporter.ledger.ledger import Ledger
from exporter.poller import Collector
from exporter.snapshot import Hub
from exporter.stores.native import ddl
from exporter.stores.postgres import Store
from exporter.stores.reads import Reads
from support.postgres import Database


class CountingInstruments(QueryInstruments):
    """How often each question was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: Counter[str] = Counter()

    def observe(self, *, query: str, seconds: float, store: str | None = None) -> None:
        self.asked[query] += 1
        super().observe(query=query, seconds=seconds, store=store)


@dataclass
class Reading:
    """An opened store."""

    store: Store
    collectors: dict[str, Collector]
    asked: Counter[str]

    @property
    def reads(self) -> Reads:
        return self.store.reads


@contextlib.asynccontextmanager
async def reading(
    database: Database, profile: Profile | str = "native", *, timeout: float = 60.0
) -> AsyncIterator[Reading]:
    """A store of this profile. Nothing is polled unless the test does it; no deadline is the machine's."""
    config = PostgresStore(name="main", dsn=Dsn(database.dsn), profile=profile, timeout=Duration(timeout))
    instruments = CountingInstruments()
    async with Ledger(":memory:", budget=500) as ledger:
        store = Store(config, ledger=ledger, hub=Hub(), instruments=instruments, budget=500)
        try:
            yield Reading(store, {c.name: c for c in store.collectors()}, instruments.asked)
        finally:
            await store.close()


def with_native_schema(database: Database) -> None:
    """Make the native schema's tables."""
    with database.connect() as connection:
        connection.execute(ddl("public").encode())
