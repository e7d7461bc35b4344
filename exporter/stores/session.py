"""One connection to a store: transactions under statement and lock timeouts, errors translated.

Everything runs inside ``BEGIN`` with ``SET LOCAL``, read-only but for what asks to write, and nothing is prepared, so
that the same code works through PgBouncer in transaction mode.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, Literal

import psycopg
from psycopg import errors as pg
from psycopg.raw_cursor import AsyncRawServerCursor

from exporter import tracing
from exporter.credentials import Credentials
from exporter.errors import StoreError, StoreTooSlow, StoreUnavailable
from exporter.instruments import QueryInstruments
from exporter.logs import without_secrets
from exporter.stores.connecting import Connection, Row, connect
from exporter.stores.credentials import StoreCredentials

__all__ = ["Row", "Session", "Transaction", "explain"]

#: Seconds beyond the server's own statement timeout after which the client gives the connection up.
PATIENCE: Final = 2.0
CHUNK: Final = 1_000


class Session:
    """A connection that is opened when needed and opened anew after it broke. One user at a time: it has a lock."""

    def __init__(self, store: str, credentials: StoreCredentials, timeout: float, clock: QueryInstruments) -> None:
        self._store = store
        self._credentials = credentials
        self._used = Credentials(None, None)
        self._timeout = timeout
        self._clock = clock
        self._lock = asyncio.Lock()
        self._connection: Connection | None = None
        #: Called with each new connection's first transaction; raises StoreError to refuse it.
        self.on_connect: Callable[[Transaction], Awaitable[object]] | None = None

    @property
    def backend_pid(self) -> int | None:
        """The server process behind the open connection."""
        connection = self._connection
        return None if connection is None or connection.closed else connection.info.backend_pid

    async def close(self) -> None:
        """Close the connection, if there is one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    async def renew(self) -> None:
        """Close the connection once nobody uses it: the next user opens another one, at which ``on_connect`` looks."""
        async with self._lock:
            await self.close()

    @contextlib.asynccontextmanager
    async def transaction(self, timeout: float | None = None, *, writing: bool = False) -> AsyncIterator[Transaction]:
        """A transaction, read-only unless ``writing``. Raises StoreUnavailable when no connection is to be had."""
        async with self._lock:
            connection = await self._connected()
            try:
                async with self._begun(connection, timeout or self._timeout, writing=writing) as transaction:
                    yield transaction
            except BaseException:
                # Whatever went wrong, the next user finds an idle connection or none.
                if connection.closed or connection.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
                    await self.close()
                raise

    @contextlib.asynccontextmanager
    async def _begun(
        self, connection: psycopg.AsyncConnection[Row], timeout: float, *, writing: bool = False
    ) -> AsyncIterator[Transaction]:
        transaction = Transaction(self._store, connection, timeout, self._clock)
        await transaction.begin("READ WRITE" if writing else "READ ONLY")
        try:
            yield transaction
        except BaseException:
            if not connection.closed:
                with contextlib.suppress(StoreError):
                    await transaction.end("ROLLBACK")
            raise
        await transaction.end("COMMIT")

    async def _connected(self) -> psycopg.AsyncConnection[Row]:
        if self._connection is not None and await self._credentials.replaced(self._used):
            await self.close()
        if self._connection is not None and not self._connection.closed:
            return self._connection

        async def attempt(parameters: Mapping[str, Any]) -> Connection:
            return await connect(parameters, self._credentials.timeout)

        connection, self._used = await self._credentials.login(attempt)
        self._connection = connection
        if self.on_connect is not None:
            try:
                async with self._begun(connection, self._timeout) as transaction:
                    await self.on_connect(transaction)
            except BaseException:
                await self.close()
                raise
        return connection


class Transaction:
    """Statements inside one transaction; each has a name under which its time is booked.

    It is read-only unless it was begun for ``writing``. ``seconds`` is the statement time so far, as the client
    measured it.
    """

    def __init__(
        self, store: str, connection: psycopg.AsyncConnection[Row], timeout: float, clock: QueryInstruments
    ) -> None:
        self._store = store
        self._connection = connection
        self._timeout = timeout
        self._clock = clock
        self.seconds = 0.0

    async def begin(self, access: Literal["READ ONLY", "READ WRITE"] = "READ ONLY") -> None:
        """Open the transaction under its limits, in one round trip.

        READ COMMITTED, whatever the role's default: each statement must see what was committed before it. All digits
        of a float: a clock that is rounded up would leave out what ends before it.
        """
        statement = int(self._timeout * 1000)
        # A lock is waited for much shorter than a statement may run: who holds it (a migration) has the right of way.
        lock = max(1, min(1000, statement // 2))
        async with self._bounded("begin"):
            await self._connection.execute(
                f"BEGIN ISOLATION LEVEL READ COMMITTED {access};"
                f" SET LOCAL statement_timeout = {statement}; SET LOCAL lock_timeout = {lock};"
                f" SET LOCAL idle_in_transaction_session_timeout = {statement + 10_000};"
                " SET LOCAL max_parallel_workers_per_gather = 0; SET LOCAL jit = off;"
                " SET LOCAL cursor_tuple_fraction = 1.0; SET LOCAL extra_float_digits = 3"
            )

    async def end(self, how: str) -> None:
        """COMMIT or ROLLBACK."""
        async with self._bounded("end"):
            await self._connection.execute(how)

    async def fetch(self, name: str, sql: str, *parameters: object) -> list[Row]:
        """All rows of a small answer."""
        async with self._bounded(name, sql):
            cursor = await self._connection.execute(sql, parameters or None)
            return await cursor.fetchall()

    async def run(self, name: str, sql: str, *parameters: object) -> tuple[int, Row | None]:
        """How many rows a statement changed or gave, and the first that it gave, if it gives any."""
        async with self._bounded(name, sql):
            cursor = await self._connection.execute(sql, parameters or None)
            return cursor.rowcount, await cursor.fetchone() if cursor.description else None

    async def describe(self, name: str, sql: str) -> Sequence[psycopg.Column]:
        """The columns of ``sql``, which is planned but yields nothing."""
        async with self._bounded(name):
            cursor = await self._connection.execute(f"SELECT * FROM ({sql}\n) q LIMIT 0")
            return cursor.description or ()

    async def stream(
        self, name: str, sql: str, *parameters: object, chunk: int = CHUNK
    ) -> AsyncGenerator[list[Row], None]:
        """The rows of a large answer, ``chunk`` at a time: memory does not follow their number."""
        cursor = AsyncRawServerCursor(self._connection, f"exporter_{name}")
        try:
            async with self._bounded(name, sql):
                await cursor.execute(sql, parameters or None)
            while True:
                async with self._bounded(name):
                    rows = await cursor.fetchmany(chunk)
                if rows:
                    yield rows
                if len(rows) < chunk:
                    return
        finally:
            try:
                if self._connection.info.transaction_status == psycopg.pq.TransactionStatus.INTRANS:
                    async with self._bounded(name):
                        await cursor.close()
            except StoreError:
                await self._connection.close()
                raise
            finally:
                # Nobody is asked a second time: the end of the transaction ends what the server still has.
                await psycopg.AsyncCursor.close(cursor)

    @contextlib.asynccontextmanager
    async def _bounded(self, name: str, sql: str = "") -> AsyncIterator[None]:
        with tracing.span(f"sql {name}", "sql", "client") as span:
            if span.recording:
                self._tell(span, name, sql)
            async with self._limits(name):
                yield

    def _tell(self, span: tracing.Span, name: str, sql: str) -> None:
        """What a trace has of a statement: never a value."""
        span.set("db.system.name", "postgresql")
        span.set("db.namespace", self._connection.info.dbname)
        span.set("server.address", self._connection.info.host)
        span.set("store.name", self._store)
        span.set("db.query.summary", name)
        if sql:
            span.set("db.query.text", tracing.without_values(sql))

    @contextlib.asynccontextmanager
    async def _limits(self, name: str) -> AsyncIterator[None]:
        started = time.perf_counter()
        try:
            async with asyncio.timeout(self._timeout + PATIENCE):
                yield
        except TimeoutError as e:
            await self._connection.close()
            raise StoreUnavailable(f"{name}: the server stopped answering") from e
        except pg.QueryCanceled as e:
            raise StoreTooSlow(
                f"{name}: longer than the timeout of {self._timeout:g} s", time.perf_counter() - started
            ) from e
        except pg.LockNotAvailable as e:
            raise StoreError(f"{name}: a table is locked by another session") from e
        except psycopg.Error as e:
            kind = StoreUnavailable if self._connection.closed else StoreError
            raise kind(f"{name}: {explain(e)}") from e
        finally:
            seconds = time.perf_counter() - started
            self.seconds += seconds
            self._clock.observe(query=name, seconds=seconds, store=self._store)


def explain(error: psycopg.Error) -> str:
    """The error in one line, with its SQLSTATE where there is one, without secrets."""
    text = without_secrets(error.diag.message_primary or str(error).strip().replace("\n", "; "))
    return f"{text} (SQLSTATE {error.sqlstate})" if error.sqlstate else text or type(error).__name__
