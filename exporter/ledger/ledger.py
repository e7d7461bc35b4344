"""The ledger's asynchronous face. SQLite lives in one thread of its own; the event loop never waits for it."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, ParamSpec, TypeVar

import msgspec
import structlog

from exporter.config.model import Retention
from exporter.domain import Counts, ErrorGroup, RecentExecution, Statistics
from exporter.errors import LedgerError
from exporter.ledger import error_groups, recent
from exporter.ledger.account import Account
from exporter.ledger.cursor import BackfillState, CursorState, Position
from exporter.ledger.database import StateFile, open_state
from exporter.ledger.finished import Finished

P = ParamSpec("P")
T = TypeVar("T")
#: What is kept unless the configuration says otherwise.
RETENTION: Final = Retention()

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

    def __init__(self, directory: str, *, budget: int, retention: Retention = RETENTION) -> None:
        self._directory = directory
        self._budget = budget
        self._retention = retention
        self._file: StateFile | None = None
        self._accounts: dict[str, Account] = {}
        self._answers: dict[tuple[object, ...], tuple[int, asyncio.Future[Any]]] = {}
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

    async def stage(
        self, store: str, rows: Sequence[Finished], *, count: bool, now: float, upto: Position, keep_above: Position
    ) -> None:
        """Take in a chunk of the slice under way; see :meth:`Account.stage`."""
        account = self._accounts[store]
        await self._run(lambda: account.stage(rows, count=count, now=now, upto=upto, keep_above=keep_above))

    async def discard(self, store: str) -> None:
        """Forget what the slice under way has staged."""
        await self._run(self._accounts[store].discard)

    async def commit(
        self,
        store: str,
        cursor: CursorState,
        *,
        count: bool,
        horizon: float,
        task_types: Iterable[str] = (),
        recurring: frozenset[str] = frozenset(),
    ) -> tuple[Counts, CursorState]:
        """Write what was staged and the moved cursor, both or neither; returns the new totals, and the cursor.

        ``task_types`` run now, ``recurring`` are the ids of recurring jobs; ``count`` and ``horizon`` as in
        :meth:`Account.commit`.
        """
        account, running = self._accounts[store], tuple(task_types)

        def write() -> tuple[Counts, CursorState]:
            account.book.recurring = recurring
            written = self._written(lambda: account.commit(cursor, running, count=count, horizon=horizon))
            return account.counts(), written

        return await self._run(write)

    async def backfill(self, store: str) -> BackfillState | None:
        """How far history has been read; None before the first poll."""
        return await self._run(lambda: self._account(store).backfill)

    async def backfill_stage(self, store: str, rows: Sequence[Finished], now: float) -> None:
        """Take in a chunk of a slice of history."""
        await self._run(lambda: self._accounts[store].backfill_stage(rows, now))

    async def backfill_discard(self, store: str) -> None:
        """Forget what the slice of history has staged."""
        await self._run(self._accounts[store].backfill_discard)

    async def backfill_commit(
        self, store: str, state: BackfillState, now: float, recurring: frozenset[str] = frozenset()
    ) -> BackfillState:
        """Write the slice of history and how far it has been read, both or neither."""
        return await self._run(self._backfill_commit, store, state, now, recurring)

    async def statistics(self, store: str, seconds: float) -> Statistics | None:
        """What ended in the last ``seconds``, by task type; None before the first poll. Once for each snapshot."""
        return await self._answer(store, "statistics", seconds, self._statistics)

    async def workers(self, store: str, seconds: float) -> Statistics | None:
        """What ended in the last ``seconds``, by worker; None before the first poll. Once for each snapshot."""
        return await self._answer(store, "workers", seconds, self._workers)

    async def errors(self, store: str, seconds: float) -> list[ErrorGroup]:
        """The error groups of the last ``seconds``. Once for each snapshot."""
        return await self._answer(store, "errors", seconds, self._errors)

    async def recent(
        self, store: str, *, limit: int, offset: int = 0, status: str | None = None, task_type: str | None = None
    ) -> list[RecentExecution]:
        """The newest finished executions, newest first."""
        return await self._run(
            lambda: recent.read(
                self._db, self._account(store).id, limit=limit, offset=offset, status=status, task_type=task_type
            )
        )

    async def _answer(self, store: str, name: str, seconds: float, ask: Callable[[str, float], T]) -> T:
        account = self._accounts.get(store)
        version = account.version if account is not None else -1
        key = (store, name, seconds)
        known = self._answers.get(key)
        if known is None or known[0] != version or (known[1].done() and known[1].exception() is not None):
            known = (version, asyncio.ensure_future(self._run(ask, store, seconds)))
            self._answers[key] = known
        answer: T = await asyncio.shield(known[1])
        return answer

    async def expose(self, keys: list[str]) -> None:
        """Remember that a scrape has seen these series as 0."""
        await self._run(self._expose, keys)

    async def set_limits(self, budget: int, retention: Retention) -> None:
        """Take over another series budget and retention. A larger one lets new labels in, a smaller turns none out."""
        await self._run(self._set_limits, budget, retention)

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
                "INSERT INTO store (name, identity, created_at, id)"
                " VALUES (?, ?, ?, (SELECT coalesce(max(id), 0) + 1 FROM store))",
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
            self._accounts[store] = Account(self._db, store, self._budget, self._retention)
        return self._accounts[store]

    def _set_limits(self, budget: int, retention: Retention) -> None:
        self._budget, self._retention = budget, retention
        for account in self._accounts.values():
            account.set_limits(budget, retention)

    def _known(self, store: str) -> Account | None:
        """The store's account if it was ever polled."""
        row = self._db.execute("SELECT 1 FROM store WHERE name = ? AND cursor IS NOT NULL", (store,)).fetchone()
        return self._account(store) if row is not None else None

    def _counts(self, store: str) -> Counts | None:
        account = self._known(store)
        return account.counts() if account is not None else None

    def _statistics(self, store: str, seconds: float) -> Statistics | None:
        account = self._known(store)
        if account is None or account.cursor is None:
            return None
        return account.statistics.statistics(account.cursor.read_at, seconds, account.covered_since())

    def _workers(self, store: str, seconds: float) -> Statistics | None:
        account = self._known(store)
        if account is None or account.cursor is None:
            return None
        return account.statistics.workers(account.cursor.read_at, seconds, account.covered_since())

    def _errors(self, store: str, seconds: float) -> list[ErrorGroup]:
        account = self._known(store)
        if account is None or account.cursor is None:
            return []
        return error_groups.read(self._db, account.id, account.cursor.read_at - seconds)

    def _backfill_commit(
        self, store: str, state: BackfillState, now: float, recurring: frozenset[str]
    ) -> BackfillState:
        account = self._accounts[store]
        account.book.recurring = recurring
        return self._written(lambda: account.backfill_commit(state, now))

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
