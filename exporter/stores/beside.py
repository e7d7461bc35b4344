"""A store as packs see it: they ask on its second connection, after requests, under the limits of its polls."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from exporter.config.model import PostgresStore
from exporter.errors import StoreError
from exporter.ledger.identity import Identity
from exporter.poller import Collected, Collector
from exporter.stores.queries import Wrapped
from exporter.stores.second_connection import GaveWay, SecondConnection
from exporter.stores.session import Transaction

T = TypeVar("T")


class MakeCollector(Protocol):
    """Makes a question to the store a collector, with the store's interval, staleness and load budget."""

    def __call__(
        self,
        name: str,
        ask: Callable[[Wrapped], Awaitable[Collected]],
        deadline: float | None = None,
        interval: float | None = None,
    ) -> Collector: ...


class Beside:
    """What a store lends to whoever asks something beside its profile."""

    def __init__(
        self,
        config: PostgresStore,
        second: SecondConnection,
        collector: MakeCollector,
        pids: Callable[[], list[int]],
        identity: Callable[[], Identity | None],
    ) -> None:
        self.config = config
        self.collector = collector
        #: The server processes of the store's own connections.
        self.pids = pids
        self._second = second
        self._identity = identity

    async def ask(
        self, name: str, work: Callable[[Transaction], Awaitable[T]], timeout: float | None
    ) -> tuple[T, float]:
        """What ``work`` returns, and its database time (s). ``work`` is called again when a request came first."""
        while True:
            with contextlib.suppress(GaveWay):
                return await self._second.background(name, work, timeout or self.config.timeout)

    def identity(self) -> Identity:
        """Which database it is. Raises StoreError while that is not known."""
        identity = self._identity()
        if identity is None:
            raise StoreError("the store's database is not known yet")
        return identity
