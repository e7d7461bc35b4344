"""A writer's connection, which a crashed server ends at any moment and which is made again."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

import psycopg

from chaos.work import Connection

T = TypeVar("T")
A = TypeVar("A")
#: Generous: crash recovery on a busy machine.
PATIENCE = 90.0


class Outage(Exception):
    """The server went away: what had not been committed is gone, and whether COMMIT came through is not known."""


class Link:
    """One connection at a time, in autocommit mode: BEGIN and COMMIT are said aloud."""

    def __init__(self, dsn: str, name: str) -> None:
        self._dsn = dsn
        self._name = name
        self._connection: Connection | None = None

    async def ready(self) -> None:
        """Be connected, however long the server is away."""
        if self._connection is None:
            await self._connect()

    @contextlib.asynccontextmanager
    async def use(self) -> AsyncIterator[Connection]:
        """The connection. Raises Outage when the server ends it."""
        connection = self._connection or await self._connect()
        try:
            yield connection
        except (psycopg.OperationalError, psycopg.InterfaceError) as e:
            await self.close()
            raise Outage(str(e)) from e

    async def execute(self, statement: str | bytes) -> None:
        """A statement without an answer. Raises Outage."""
        async with self.use() as connection:
            await connection.execute(statement.encode() if isinstance(statement, str) else statement)

    async def ask(self, question: Callable[[Connection, A], Awaitable[T]], about: A) -> T:
        """Ask until the server answers: after a crash all that was under way before is decided."""
        while True:
            with contextlib.suppress(Outage):
                async with self.use() as connection:
                    return await question(connection, about)

    async def close(self) -> None:
        """Leave the server."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    async def _connect(self) -> Connection:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                connection: psycopg.AsyncConnection[Any] = await psycopg.AsyncConnection.connect(
                    self._dsn, autocommit=True, application_name=self._name, connect_timeout=10
                )
            except psycopg.OperationalError:
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(0.1)
            else:
                self._connection = connection
                return connection
