"""A scheduler's store in PostgreSQL: its questions, each as a collector for the poller.

Two connections at most: one for the polls, one for requests, the full count and history (``second``).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Final

import structlog
from msgspec.structs import replace

from exporter.config.model import PostgresStore, Retention
from exporter.domain import Backfill as Progress
from exporter.domain import Counts, Executions, Schedules, Workers
from exporter.errors import ExporterError, LedgerError, StateUnavailable, StoreError, StoreUnavailable
from exporter.instruments import QueryInstruments
from exporter.ledger.identity import Identity
from exporter.ledger.ledger import RETENTION, Ledger
from exporter.ledger.view import progress
from exporter.poller import Collected, Collector
from exporter.snapshot import Hub
from exporter.stores import answers, catalog, recognition
from exporter.stores.backfill import Backfill
from exporter.stores.beside import Beside
from exporter.stores.catalog import Server
from exporter.stores.checking.sliced import sliced
from exporter.stores.connections import StoreConnections
from exporter.stores.credentials import StoreCredentials
from exporter.stores.proof import Proof
from exporter.stores.queries import RECURRING_LISTED, RUNNING_COLUMNS, WORKER_COLUMNS, Wrapped
from exporter.stores.reader import Reader, clock, oldest_open
from exporter.stores.reads import Reads
from exporter.stores.rows import ExecutionRows
from exporter.stores.second_connection import GaveWay, SecondConnection
from exporter.stores.session import Row, Session, Transaction
from exporter.stores.tables import Tables
from exporter.stores.trigger import JobTrigger
from exporter.stores.up import tell_up
from exporter.vault.references import Secrets

log = structlog.get_logger(component="store")

#: A collector may take so many statement timeouts before the poller gives it up.
DEADLINE_TIMEOUTS: Final = 6
#: Seconds for which a new connection waits for the state file. It is asked again before anything is counted.
STATE_SECONDS: Final = 2.0
#: Seconds between two slices of history at least; and until the next look while what is new is read first.
MIN_WAIT: Final = 0.01
BUSY_WAIT: Final = 1.0
#: What a collector answers that the profile does not map: nothing, which is shown as nothing.
ABSENT: Final = Collected(value=None)


class Store:
    """One configured store. ``collectors`` are for the poller; ``close`` ends its connections."""

    def __init__(
        self,
        config: PostgresStore,
        *,
        ledger: Ledger,
        hub: Hub,
        instruments: QueryInstruments,
        budget: int,
        retention: Retention = RETENTION,
        connections: StoreConnections | None = None,
        secrets: Secrets | None = None,
    ) -> None:
        self.config = config
        self._credentials = StoreCredentials(config, secrets)
        # History that retention would not keep is not worth reading.
        self._history = min(config.counting.backfill, retention.statistics)
        self._ledger = ledger
        self._hub = hub
        self._budget = budget
        self._connections = connections
        self._poll = self._session(instruments, config.timeout)
        # The full count may be slow; the load budget, not the timeout, keeps it from hurting the store.
        self._background = self._session(instruments, max(config.timeout, 30.0))
        self._poll.on_connect = self._prepare
        self._background.on_connect = self._verify
        self._second = SecondConnection(self._background, self._poll)
        #: What requests ask.
        self.reads = Reads(self._second, self._ready, timeout=config.timeout)
        #: How its jobs are triggered.
        self.trigger = JobTrigger(config, self._second, self.reads, self._ready)
        self._identity: Identity | None = None
        self._wrapped: Wrapped | None = None
        self._reader: Reader | None = None
        self._proof = Proof(config)
        self._tables = Tables(config)
        self._backfill: Backfill | None = None
        self._recurring: frozenset[str] | None = None
        self._first_seen: dict[str, float] = {}
        self._faults: set[str] = set()

    def _session(self, instruments: QueryInstruments, timeout: float) -> Session:
        return Session(self.config.name, self._credentials, timeout, instruments)

    async def close(self) -> None:
        """End both connections, and what credentials were lent for them."""
        await self._poll.close()
        await self._background.close()
        await self._credentials.close()

    def collectors(self) -> list[Collector]:
        """The store's questions. What its profile does not map answers nothing, at no cost."""
        slow = max(self.config.timeout, 30.0) + 10.0
        found = [
            self._collector("workers", self._workers),
            self._collector("running", self._running),
            self._collector("executions", self._executions, deadline=60.0),
            self._collector("queues", self._queues),
            self._collector("schedules", self._schedules),
            self._collector("operations", self._operations),
            self._collector("jobs", self._jobs, deadline=slow),
            self._collector("backfill", self._read_history, deadline=slow),
        ]
        if (connections := self._connections) is not None:
            found.append(self._collector("targets", lambda known: connections.ask(self._poll, known.profile)))
            if connections.writes:
                tell = self._collector(
                    "connection_status", lambda known: connections.tell(self._background, known.profile), deadline=slow
                )
                found.append(tell)
        return found

    def beside(self) -> Beside:
        """How packs ask this store."""
        return Beside(self.config, self._second, self._collector, self._pids, lambda: self._identity)

    def _pids(self) -> list[int]:
        """The server processes behind the open connections."""
        return [pid for s in (self._poll, self._background) if (pid := s.backend_pid) is not None]

    def _collector(
        self,
        name: str,
        ask: Callable[[Wrapped], Awaitable[Collected]],
        deadline: float | None = None,
        interval: float | None = None,
    ) -> Collector:
        async def collect() -> Collected:
            try:
                result = await ask(await self._ready())
            except StoreUnavailable:
                tell_up(self._hub, self.config, up=False)
                raise
            except ExporterError as e:
                if isinstance(e, StoreError):
                    self._tables.suspect(e)
                # No session is left: what answered was refused (another database, a profile that does not fit).
                if self._poll.backend_pid is None:
                    tell_up(self._hub, self.config, up=False)
                raise
            if result.load_seconds > 0:  # somebody was asked
                tell_up(self._hub, self.config, up=True)
            return result

        return Collector(
            name=name,
            source=self.config.name,
            collect=collect,
            interval=interval or self.config.interval,
            deadline=deadline or self.config.timeout * DEADLINE_TIMEOUTS,
            staleness=self.config.staleness,
            max_load=self.config.max_db_load,
        )

    async def _ready(self) -> Wrapped:
        """The wrapped profile, once the store has been reached for the first time."""
        if self._wrapped is None:
            async with self._poll.transaction():
                pass
        if self._wrapped is None:
            raise StoreError("the store's profile is not known yet")
        if self._tables.due():
            async with self._poll.transaction() as transaction:
                changed = await self._tables.look(transaction, self._wrapped)
                if changed is not None:
                    self._use(changed)
                    if self._reader is not None:
                        await self._proof.look(transaction, changed, await catalog.server(transaction), self._reader)
        return self._wrapped

    def _use(self, wrapped: Wrapped) -> None:
        """Read by this profile from now on."""
        doubts = () if (before := self._reader) is None else (*before.doubts, *before.rows.missed)
        self._backfill = self._reader = None
        if wrapped.has("executions"):
            self._rows = ExecutionRows(self.config.name, wrapped)
            late_window = self.config.counting.late_window
            self._reader = Reader(
                wrapped, self._rows, self._ledger, late_window=late_window, backfill=self._history, doubts=doubts
            )
        self._wrapped = wrapped

    async def _verify(self, transaction: Transaction) -> Server:
        """Each new connection: the same database as before? Raises LedgerError if not.

        While the state file cannot be used nobody knows, and everything but the counts goes on.
        """
        server = await catalog.server(transaction)
        with contextlib.suppress(StateUnavailable, TimeoutError):
            async with asyncio.timeout(STATE_SECONDS):
                await self._ledger.recognise(self.config.name, server.identity)
        self._identity = server.identity
        return server

    async def _prepare(self, transaction: Transaction) -> None:
        """Each new connection for the polls; on the first one: the profile."""
        server = await self._verify(transaction)
        if self._wrapped is None:
            profile = await recognition.opened(transaction, self.config)
            self._use(await catalog.wrap(transaction, profile))
            self._tell_profile(profile.name)
        if self._wrapped is not None and self._reader is not None:
            await self._proof.look(transaction, self._wrapped, server, self._reader)

    def _tell_profile(self, name: str) -> None:
        """Say which profile the store turned out to have."""
        part = self._hub.current.part("settings", self.config.name)
        if part is not None and part.value is not None:
            self._hub.publish(replace(part, value=replace(part.value, profile=name)))

    async def _executions(self, wrapped: Wrapped) -> Collected:
        reader = self._reader
        if reader is None:
            return ABSENT
        await self._attach(reader)
        if self._recurring is None:  # whose successes are remembered
            await self._schedules(wrapped)
        running = self._hub.current.part("running", self.config.name)
        task_types = running.value.by_task_type if running is not None and running.value is not None else ()
        async with self._poll.transaction() as transaction:
            counts, more = await reader.poll(transaction, self._pids(), task_types, self._recurring or frozenset())
            await self._proof.look_again(transaction, wrapped, reader)
        state = reader.state
        value = Executions(
            counts=counts,
            exactness=self._proof.now(reader),
            caught_up=not more,
            cursor_time=counts.upto if wrapped.cursor.kind != "id" else counts.read_at,
            oldest_open=oldest_open(state),
            outcomes=wrapped.profile.outcomes,
            attempts="attempt" in wrapped.columns["executions"],
        )
        return Collected(value=value, load_seconds=transaction.seconds, more=more)

    async def _attach(self, reader: Reader) -> None:
        """Have the reading go on from where the state file says, which may be another one than at the last poll."""
        if self._identity is None:  # refused before: is it this store's again?
            async with self._poll.transaction():
                pass
        if self._identity is None:
            raise StoreError("the store's database is not known yet")
        try:
            reader.resume(await self._ledger.attach(self.config.name, self._identity))
        except StateUnavailable:
            raise
        except LedgerError:  # learnt late: what else is asked of this database is not this store's either
            self._identity = None
            await self._poll.renew()
            await self._background.renew()
            raise

    async def _read_history(self, wrapped: Wrapped) -> Collected:
        if self._reader is None:
            return ABSENT
        state = await self._ledger.backfill(self.config.name)
        if state is None:  # the first poll has not been written yet
            return Collected(value=None, wait=BUSY_WAIT)
        if state.done:
            return Collected(value=progress(state))
        if self._reader.behind:  # one slice in memory at a time, and what is new comes first
            return Collected(value=progress(state), wait=BUSY_WAIT)

        async def step(transaction: Transaction) -> Progress:
            if self._backfill is None:
                in_slices = await sliced(transaction, wrapped, state.position - 1, state.position)
                self._backfill = Backfill(self._rows, self._ledger, sliced=in_slices)
            return await self._backfill.step(transaction, state, self._recurring or frozenset())

        try:
            value, seconds = await self._second.background("backfill", step)
        except GaveWay:  # what it has written, if anything, the state file tells
            return Collected(value=progress(state), wait=MIN_WAIT)
        rest = seconds / self.config.max_db_load - seconds
        wait = None if value.complete else max(MIN_WAIT, rest)
        return Collected(value=value, load_seconds=seconds, wait=wait)

    async def _workers(self, wrapped: Wrapped) -> Collected:
        if not wrapped.has("workers"):
            return ABSENT
        async with self._poll.transaction() as transaction:
            now = await clock(transaction)
            rows = await transaction.fetch("workers", wrapped.select("workers", tuple(WORKER_COLUMNS)))
        found = answers.workers(rows, now, self.config.worker_lost_after)
        return Collected(value=Workers(workers=found), load_seconds=transaction.seconds)

    async def _running(self, wrapped: Wrapped) -> Collected:
        if not wrapped.has("running"):
            return ABSENT
        async with self._poll.transaction() as transaction:
            now = await clock(transaction)
            tally = answers.RunningTally(now, self.config.stuck_after, self._worker_states(wrapped))
            async for rows in transaction.stream("running", wrapped.select("running", tuple(RUNNING_COLUMNS))):
                tally.add(rows)
        return Collected(value=tally.result(), load_seconds=transaction.seconds)

    def _worker_states(self, wrapped: Wrapped) -> dict[str, str] | None:
        """Worker states by id, None while they are not known: then nothing is called orphaned."""
        part = self._hub.current.part("workers", self.config.name)
        told = wrapped.has("workers") and "worker_id" in wrapped.columns["running"]
        if not told or part is None or part.value is None or not part.success:
            return None
        return {worker.id: worker.state for worker in part.value.workers}

    async def _queues(self, wrapped: Wrapped) -> Collected:
        if not (wrapped.has("live_jobs") or wrapped.has("jobs")):
            return ABSENT
        async with self._poll.transaction() as transaction:
            rows = await transaction.fetch("queues", wrapped.queues())
            overdue = await transaction.fetch("overdue", wrapped.overdue(), self.config.grace, self._budget)
        return Collected(value=answers.queues(rows, overdue), load_seconds=transaction.seconds)

    async def _jobs(self, wrapped: Wrapped) -> Collected:
        if not wrapped.has("jobs"):
            return ABSENT

        async def count(transaction: Transaction) -> list[Row]:
            return await transaction.fetch("jobs", wrapped.job_counts())

        while True:
            with contextlib.suppress(GaveWay):
                rows, seconds = await self._second.background("jobs", count)
                return Collected(value=answers.job_counts(rows), load_seconds=seconds)

    async def _operations(self, wrapped: Wrapped) -> Collected:
        if not wrapped.has("operations"):
            return ABSENT
        async with self._poll.transaction() as transaction:
            rows = await transaction.fetch("operations", wrapped.operation_counts())
            executing: list[Row] = []
            if {"operation_id", "worker_id"} <= wrapped.columns["operations"].keys():
                executing = await transaction.fetch("operations", wrapped.executing(), answers.RUNNING_LISTED)
        return Collected(value=answers.operations(rows, executing), load_seconds=transaction.seconds)

    async def _schedules(self, wrapped: Wrapped) -> Collected:
        if not wrapped.has("jobs") or "type" not in wrapped.columns["jobs"]:
            self._recurring = frozenset()
            return ABSENT
        async with self._poll.transaction() as transaction:
            now = await clock(transaction)
            rows = await transaction.fetch("schedules", wrapped.recurring(), RECURRING_LISTED)
        rows = [row for row in rows if row[0] is not None]
        self._recurring = frozenset(row[0] for row in rows)
        return Collected(value=self._recurring_jobs(rows, now), load_seconds=transaction.seconds)

    def _recurring_jobs(self, rows: list[Row], now: float) -> Schedules:
        executions = self._hub.current.part("executions", self.config.name)
        running = self._hub.current.part("running", self.config.name)
        counts = executions.value.counts if executions is not None and executions.value is not None else Counts()
        listed = running.value.oldest if running is not None and running.value is not None else ()
        started = {e.job_id: e.started_at for e in listed if e.started_at is not None}
        self._first_seen = {row[0]: self._first_seen.get(row[0], now) for row in rows}
        jobs = []
        for row in rows:
            starts = [t for t in (counts.last_started.get(row[0]), started.get(row[0])) if t is not None]
            job, fault = answers.recurring(
                row,
                now=now,
                grace=self.config.grace,
                known_since=self._first_seen[row[0]],
                last_started=max(starts, default=None),
                last_success=counts.last_success.get(row[0]),
                runs_now=row[0] in started,
            )
            if fault is not None and job.job_id not in self._faults:
                self._faults.add(job.job_id)
                log.warning("a job's next run is not known", store=self.config.name, job=job.job_id, reason=fault)
            jobs.append(job)
        return Schedules(jobs=tuple(jobs))
