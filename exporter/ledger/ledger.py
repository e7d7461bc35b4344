"""The ledger's asynchronous face. SQLite lives in one thread of its own; the event loop never waits for it."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

import msgspec
import structlog

from exporter.domain import Counts
from exporter.errors import LedgerError
from exporter.ledger.account import Account
from exporter.ledger.cursor import CursorState
from exporter.ledger.database import StateFile, open_state
from exporter.ledger.tally import Finished

P = ParamSpec("P")
T = TypeVar("T")
log = structlog.get_logger(component="ledger")


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """Which database a store's counts belong to; ``system`` is the cluster's identifier where the role may read it."""

    system: str | None
    database: str
    oid: int

    def other_than(self, known: Identity) -> bool:
        """Whether this is certainly another database than ``known``."""
        if self.system is not None and known.system is not None and self.system != known.system:
            return True
        return self.database != known.database


class Ledger:
    """Open with ``async with``. Every method may raise LedgerError; nothing half-written is ever kept."""

    def __init__(self, directory: str, *, budget: int) -> None:
        self._directory = directory
        self._budget = budget
        self._file: StateFile | None = None
        self._accounts: dict[str, Account] = {}
        self._exposed: list[str] = []
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ledger")
        #: Writes by result, and the file's size in bytes after the latest: read by the process collector.
        self.writes = {"success": 0, "failure": 0}
        self.size = 0
        self._writable = True

    async def __aenter__(self) -> Ledger:
        try:
            await self._run(self._open)
        except BaseException:
            self._thread.shutdown()
            raise
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._run(self._close)
        self._thread.shutdown()

    @property
    def exposed(self) -> list[str]:
        """Keys of the series that a scrape had seen when the file was opened."""
        return self._exposed

    async def attach(self, store: str, identity: Identity) -> CursorState | None:
        """Open ``store``'s account; returns where its reading stands, None before the first poll.

        Raises LedgerError when the account belongs to another database.
        """
        return await self._run(self._attach, store, identity)

    async def counts(self, store: str) -> Counts | None:
        """What is committed for ``store``, also while it is down; None when it has never been polled."""
        return await self._run(self._counts, store)

    async def stage(self, store: str, rows: Sequence[Finished], *, count: bool) -> None:
        """Take in a chunk of the poll under way."""
        await self._run(lambda: self._accounts[store].stage(rows, count=count))

    async def discard(self, store: str) -> None:
        """Forget what the poll under way has staged."""
        await self._run(self._discard, store)

    async def commit(
        self,
        store: str,
        cursor: CursorState,
        *,
        task_types: Iterable[str] = (),
        recurring: frozenset[str] = frozenset(),
    ) -> Counts:
        """Write what was staged and the moved cursor, both or neither; returns the new totals.

        ``task_types`` run now, ``recurring`` are the ids of recurring jobs.
        """
        return await self._run(self._commit, store, cursor, tuple(task_types), recurring)

    async def expose(self, keys: list[str]) -> None:
        """Remember that a scrape has seen these series as 0."""
        await self._run(self._expose, keys)

    async def set_budget(self, budget: int) -> None:
        """Take over another series budget: a larger one lets new labels in, a smaller one turns none out."""
        await self._run(self._set_budget, budget)

    @property
    def writable(self) -> bool:
        """Whether the latest write succeeded; True before the first."""
        return self._writable

    async def _run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        loop = asyncio.get_running_loop()
        future = loop.run_in_executor(self._thread, lambda: function(*args, **kwargs))
        try:
            # Shielded: a write that has begun ends before the next one, whoever gave up waiting for it.
            return await asyncio.shield(future)
        except sqlite3.Error as e:
            raise LedgerError(f"the state file cannot be written: {e}") from e

    def _open(self) -> None:
        self._file = open_state(self._directory)
        self._exposed = [key for (key,) in self._file.db.execute("SELECT key FROM exposed")]
        self.size = self._file.size()

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()

    @property
    def _db(self) -> sqlite3.Connection:
        if self._file is None:
            raise LedgerError("the ledger is not open")
        return self._file.db

    def _attach(self, store: str, identity: Identity) -> CursorState | None:
        row = self._db.execute("SELECT identity FROM store WHERE name = ?", (store,)).fetchone()
        if row is None:
            self._db.execute(
                "INSERT INTO store (name, identity, created_at) VALUES (?, ?, ?)",
                (store, msgspec.json.encode(identity).decode(), time.time()),
            )
        elif identity.other_than(known := msgspec.json.decode(row[0], type=Identity)):
            raise LedgerError(
                f"store {store!r} now leads to database {identity.database!r} of system {identity.system}, but its "
                f"counters belong to database {known.database!r} of system {known.system}. They are not mixed: name "
                f"the new store differently, or point its dsn back"
            )
        return self._account(store).cursor

    def _account(self, store: str) -> Account:
        if store not in self._accounts:
            self._accounts[store] = Account(self._db, store, self._budget)
        return self._accounts[store]

    def _set_budget(self, budget: int) -> None:
        self._budget = budget
        for account in self._accounts.values():
            account.set_budget(budget)

    def _discard(self, store: str) -> None:
        self._accounts[store].discard()

    def _counts(self, store: str) -> Counts | None:
        if self._db.execute("SELECT 1 FROM store WHERE name = ? AND cursor IS NOT NULL", (store,)).fetchone() is None:
            return None
        return self._account(store).counts()

    def _commit(
        self, store: str, cursor: CursorState, task_types: tuple[str, ...], recurring: frozenset[str]
    ) -> Counts:
        account = self._accounts[store]
        account.book.recurring = recurring
        return self._written(lambda: account.commit(cursor, task_types))

    def _expose(self, keys: list[str]) -> None:
        rows = [(key,) for key in keys]
        self._written(lambda: self._db.executemany("INSERT OR IGNORE INTO exposed VALUES (?)", rows))

    def _written(self, write: Callable[[], T]) -> T:
        try:
            result = write()
        except sqlite3.Error:
            self.writes["failure"] += 1
            self._writable = False
            raise
        self.writes["success"] += 1
        self._writable = True
        if self._file is not None:
            self.size = self._file.size()
        return result
