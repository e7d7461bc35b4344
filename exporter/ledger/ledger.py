"""The ledger's asynchronous face. SQLite lives in one thread of its own; the event loop never waits for it."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, NamedTuple, ParamSpec, TypeVar

import structlog

from exporter.config.model import Retention
from exporter.domain import Counts, ErrorGroup, RecentExecution, Statistics
from exporter.errors import StateUnavailable
from exporter.ledger import error_groups, recent
from exporter.ledger.account import Account
from exporter.ledger.cursor import BackfillState, CursorState, Position
from exporter.ledger.database import MEMORY, StateFile
from exporter.ledger.finished import Finished
from exporter.ledger.identity import Identity, recognise
from exporter.ledger.jobs import JobState
from exporter.ledger.keeper import Keeper

P = ParamSpec("P")
T = TypeVar("T")
#: What is kept unless the configuration says otherwise.
RETENTION: Final = Retention()
#: Seconds for which the start waits for the state file; a slow disk keeps nothing else waiting.
OPENING_SECONDS: Final = 5.0

log = structlog.get_logger(component="ledger")


class Opened(NamedTuple):
    """A state file was opened: the keys of the series that a scrape had seen, and whether its counts are others."""

    exposed: list[str]
    anew: bool


class Ledger:
    """Open with ``async with``: that succeeds whatever has become of the state file, which is then tried again.

    Every method may raise LedgerError - StateUnavailable where a later attempt may succeed; nothing half-written is
    ever kept. ``on_open`` is called in the event loop after each opening of a file but the first.
    """

    def __init__(self, directory: str, *, budget: int, retention: Retention = RETENTION) -> None:
        self._in_memory = directory == MEMORY
        self._budget = budget
        self._retention = retention
        self._keeper = Keeper(directory, self._opened)
        self._accounts: dict[str, Account] = {}
        #: The accounts that polls may write to: those attached since the file was opened.
        self._attached: set[str] = set()
        self._histories: dict[str, Account] = {}
        self._answers: dict[tuple[object, ...], tuple[tuple[int, int], asyncio.Future[Any]]] = {}
        self._openings = 0
        self._news: deque[Opened] = deque()
        self._exposed: list[str] = []
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ledger")
        self.on_open: Callable[[Opened], None] | None = None

    async def __aenter__(self) -> Ledger:
        if self._in_memory:
            log.warning(
                "state is kept in memory only: counters start at zero with every start, what finishes while this is"
                " down is never counted, and statistics are read from the store's history again"
            )
        try:
            with contextlib.suppress(StateUnavailable, TimeoutError):
                async with asyncio.timeout(OPENING_SECONDS):
                    await self.look_after()
        except BaseException:
            self._thread.shutdown()
            raise
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._in_thread(self._keeper.close)
        self._thread.shutdown()

    @property
    def exposed(self) -> list[str]:
        """Keys of the series that a scrape had seen when the file was opened."""
        return self._exposed

    @property
    def opened(self) -> bool:
        """Whether the state file is open."""
        return self._keeper.opened

    @property
    def writable(self) -> bool:
        """Whether the state file is open and its latest write succeeded."""
        return self._keeper.up

    @property
    def in_use(self) -> bool:
        """Whether another process has the state file: it is ours when that one ends."""
        return self._keeper.in_use

    @property
    def writes(self) -> dict[str, int]:
        """Writes by result."""
        return self._keeper.writes

    @property
    def size(self) -> int:
        """The file's size in bytes after the latest write."""
        return self._keeper.size

    @property
    def recent_size(self) -> int:
        """How many executions the ring of recent ones holds for each store."""
        return self._retention.recent_executions

    async def look_after(self) -> None:
        """Open the state file if it is not open, and see that it is still in its place."""
        await self._in_thread(self._keeper.look_after)

    async def recognise(self, store: str, identity: Identity) -> None:
        """Make sure that ``store``'s counts, if there are any, belong to this database. Raises LedgerError if not."""
        await self._run(self._recognise, store, identity)

    async def attach(self, store: str, identity: Identity) -> CursorState | None:
        """Open ``store``'s account for writing; returns where its reading stands, None before the first poll.

        To be called before each poll: the file may be another one since, and a commit whose end nobody waited for may
        have moved the cursor. Raises LedgerError when the account belongs to another database.
        """
        return await self._run(self._attach, store, identity)

    async def counts(self, store: str) -> Counts | None:
        """What is committed for ``store``, also while it is down; None when it has never been polled."""
        return await self._run(self._counts, store)

    async def stage(
        self,
        store: str,
        rows: Sequence[Finished],
        *,
        count: bool,
        now: float,
        counted_to: Position,
        keep_above: Position,
        listed: bool = True,
    ) -> None:
        """Take in a chunk of the slice under way; see :meth:`Account.stage`."""
        await self._run(
            lambda: self._writing(store).stage(
                rows, count=count, now=now, counted_to=counted_to, keep_above=keep_above, listed=listed
            )
        )

    async def discard(self, store: str) -> None:
        """Forget what the slice under way has staged."""
        await self._run(lambda: self._writing(store).discard())

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
        running = tuple(task_types)

        def write() -> tuple[Counts, CursorState]:
            account = self._writing(store)
            account.book.recurring = recurring
            written = self._keeper.write(lambda: account.commit(cursor, running, count=count, horizon=horizon))
            return account.counts(), written

        return await self._run(write)

    async def list_recent(self, store: str, rows: Sequence[Finished], now: float) -> None:
        """Put executions that have been counted into the ring of recent ones."""
        await self._run(lambda: self._keeper.write(lambda: self._writing(store).list_recent(rows, now)))

    async def listed(self, store: str) -> CursorState | None:
        """Remember that the ring holds the newest of what has been counted; returns where the reading stands."""
        return await self._run(lambda: self._keeper.write(lambda: self._writing(store).listed()))

    async def backfill(self, store: str) -> BackfillState | None:
        """How far history has been read; None before the first poll."""
        return await self._run(self._backfill, store)

    async def backfill_stage(self, store: str, rows: Sequence[Finished], now: float) -> None:
        """Take in a chunk of a slice of history."""
        await self._run(lambda: self._reading_history(store).backfill_stage(rows, now))

    async def backfill_discard(self, store: str) -> None:
        """Forget what the slice of history has staged, and begin another."""
        await self._run(self._backfill_discard, store)

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

        def read() -> list[RecentExecution]:
            account = self._known(store)
            if account is None:
                return []
            return recent.read(
                self._keeper.db, account.id, limit=limit, offset=offset, status=status, task_type=task_type
            )

        return await self._run(read)

    async def job(self, store: str, job_id: str) -> JobState | None:
        """What is remembered of a job: of recurring and of failing ones."""
        account = await self._run(self._known, store)
        return account.book.jobs.get(job_id) if account is not None else None

    async def _answer(self, store: str, name: str, seconds: float, ask: Callable[[str, float], T]) -> T:
        account = self._accounts.get(store)
        version = self._openings, account.version if account is not None else -1
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

    @property
    def retention(self) -> Retention:
        """How long what belongs to no store is kept."""
        return self._retention

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """What ``work`` finds in the state file. For what belongs to no store: alerts, audit trail, idempotency."""
        return await self._run(lambda: work(self._keeper.db))

    async def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """The same in a transaction: all that ``work`` writes is kept, or nothing."""

        def transaction() -> T:
            self._keeper.db.execute("BEGIN IMMEDIATE")
            result = work(self._keeper.db)
            self._keeper.db.execute("COMMIT")
            return result

        return await self._run(lambda: self._keeper.write(transaction))

    async def set_limits(self, budget: int, retention: Retention) -> None:
        """Take over another series budget and retention. A larger one lets new labels in, a smaller turns none out."""
        await self._in_thread(self._set_limits, budget, retention)

    async def _run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._in_thread(lambda: self._keeper.run(lambda: function(*args, **kwargs)))

    async def _in_thread(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        future = asyncio.get_running_loop().run_in_executor(self._thread, lambda: function(*args, **kwargs))
        future.add_done_callback(self._tell)  # before those who wait for the answer go on
        # Shielded: a write that has begun ends before the next one, whoever gave up waiting for it.
        return await asyncio.shield(future)

    def _opened(self, file: StateFile, anew: bool) -> None:
        self._accounts.clear()
        self._attached.clear()
        self._news.append(Opened([key for (key,) in file.db.execute("SELECT key FROM exposed")], anew))

    def _tell(self, _: object) -> None:
        while self._news:
            news = self._news.popleft()
            self._openings += 1
            self._answers.clear()
            if self.on_open is None:
                self._exposed = news.exposed
            else:
                self.on_open(news)

    def _recognise(self, store: str, identity: Identity) -> None:
        recognise(self._keeper.db, store, identity)

    def _attach(self, store: str, identity: Identity) -> CursorState | None:
        self._recognise(store, identity)
        self._attached.add(store)
        return self._account(store).cursor

    def _writing(self, store: str) -> Account:
        """The account for a poll to write to."""
        if store not in self._attached:
            raise StateUnavailable("the state file was opened anew; what was not written is read again")
        return self._account(store)

    def _reading_history(self, store: str) -> Account:
        """The account for the backfill to write to: the one for which the slice was begun."""
        account = self._known(store)
        if account is None or self._histories.setdefault(store, account) is not account:
            raise StateUnavailable("the state file was opened anew; this slice of history is read again")
        return account

    def _backfill(self, store: str) -> BackfillState | None:
        account = self._known(store)
        return account.backfill if account is not None else None

    def _backfill_discard(self, store: str) -> None:
        self._histories.pop(store, None)
        self._reading_history(store).backfill_discard()

    def _account(self, store: str) -> Account:
        if store not in self._accounts:
            self._accounts[store] = Account(self._keeper.db, store, self._budget, self._retention)
        return self._accounts[store]

    def _set_limits(self, budget: int, retention: Retention) -> None:
        self._budget, self._retention = budget, retention
        for account in self._accounts.values():
            account.set_limits(budget, retention)

    def _known(self, store: str) -> Account | None:
        """The store's account if it was ever polled."""
        row = self._keeper.db.execute("SELECT 1 FROM store WHERE name = ? AND cursor IS NOT NULL", (store,)).fetchone()
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
        return error_groups.read(self._keeper.db, account.id, account.cursor.read_at - seconds)

    def _backfill_commit(
        self, store: str, state: BackfillState, now: float, recurring: frozenset[str]
    ) -> BackfillState:
        account = self._reading_history(store)
        if account.backfill is None or account.backfill.since != state.since:
            raise StateUnavailable("the state file was begun anew; its history is read from the beginning")
        account.book.recurring = recurring
        return self._keeper.write(lambda: account.backfill_commit(state, now))

    def _expose(self, keys: list[str]) -> None:
        rows = [(key,) for key in keys]
        self._keeper.write(lambda: self._keeper.db.executemany("INSERT OR IGNORE INTO exposed VALUES (?)", rows))
