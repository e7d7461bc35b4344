"""What a request may ask of a store: one job and its log, operations, pages of history. Equal requests ask once.

All of it goes through the second connection (``second``), under the store's statement timeout and a deadline.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Hashable
from contextlib import asynccontextmanager
from typing import Final, TypeVar

import msgspec

from exporter.errors import StoreTooSlow
from exporter.stores import read_queries
from exporter.stores.answers import finite
from exporter.stores.flights import Flights
from exporter.stores.found import Job, JobTotals, LoggedExecution, Operation
from exporter.stores.pages import Pages
from exporter.stores.queries import Wrapped
from exporter.stores.read_queries import COUNTED_MOST, SUMMED_MOST, Conditions, job_of, logged
from exporter.stores.second_connection import SecondConnection
from exporter.stores.session import Row, Transaction

T = TypeVar("T")

#: Seconds beyond the store's timeout after which a request is given up.
DEADLINE_PATIENCE: Final = 2.0
#: Rows of an answer that is made of jobs waiting or running.
LISTED_MOST: Final = 10_000


class LogFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which of a job's executions: a final status; begun at or after, at or before a moment (Unix seconds)."""

    status: str | None = None
    since: float | None = None
    until: float | None = None


class LogPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of a job's log. ``total`` is all that the filter lets through; ``capped``: there are at least so many."""

    executions: tuple[LoggedExecution, ...]
    total: int
    capped: bool
    more: bool


class Reads:
    """One store's answers to requests. Each may raise StoreError: StoreUnavailable, or StoreTooSlow."""

    def __init__(self, second: SecondConnection, profile: Callable[[], Awaitable[Wrapped]], *, timeout: float) -> None:
        self._second = second
        self._profile = profile
        self._timeout = timeout
        self._flights = Flights()

    async def profile(self) -> Wrapped:
        """The wrapped profile, once the store has been reached for the first time."""
        async with self._deadline():
            return await self._profile()

    async def has(self, entity: str) -> bool:
        """Whether the profile maps an entity."""
        return (await self.profile()).has(entity)

    async def job(self, job_id: str) -> Job | None:
        """The job of this id, None when there is none, or the profile lists no jobs."""
        return await self._once(("job", job_id), lambda wrapped: self._job(wrapped, job_id))

    async def jobs(self, ids: Collection[str]) -> dict[str, Job]:
        """The jobs among these ids that there are."""
        wanted = tuple(sorted(ids))
        return await self._once(("jobs", wanted), lambda wrapped: self._jobs(wrapped, wanted))

    async def log(self, job_id: str, wanted: LogFilter, limit: int, offset: int) -> tuple[Job | None, LogPage | None]:
        """A job and a page of its executions, newest first. (None, None): nothing is known of such a job."""
        key = ("log", job_id, wanted, limit, offset)
        return await self._once(key, lambda wrapped: self._log(wrapped, job_id, wanted, limit, offset))

    async def totals(self, job_id: str) -> tuple[Job | None, LoggedExecution | None, JobTotals | None]:
        """A job, its newest execution, and all of them added up. Nones: nothing is known of such a job."""
        return await self._once(("totals", job_id), lambda wrapped: self._totals(wrapped, job_id))

    async def results(self, ids: Collection[str]) -> dict[tuple[str, int | None], str]:
        """Results by execution id and attempt, of those executions that have one."""
        wanted = tuple(sorted(ids))
        return await self._once(("results", wanted), lambda wrapped: self._results(wrapped, wanted))

    async def due(self) -> tuple[Job, ...]:
        """Jobs that are due and have not started."""
        return await self._once(("due",), self._due)

    async def operations(
        self, limit: int, *, operation_id: str | None = None, stage: str | None = None, worker_id: str | None = None
    ) -> tuple[Operation, ...]:
        """Operations, newest first, of one id, stage, worker if they are given."""
        wanted = {"operation_id": operation_id, "stage": stage, "worker_id": worker_id}
        given = tuple((name, value) for name, value in wanted.items() if value is not None)
        return await self._once(
            ("operations", limit, given), lambda wrapped: self._operations(wrapped, limit, dict(given))
        )

    async def pages(self) -> Pages:
        """Pages of history and of jobs, for answers that are longer than one."""
        return Pages(self._second, await self.profile(), timeout=self._timeout)

    async def integral(self, entity: str, column: str) -> bool | None:
        """Whether a column of ids holds whole numbers; None where the profile does not have it."""
        actual = (await self.profile()).columns.get(entity, {}).get(column)
        return None if actual is None else read_queries.integral(actual)

    # -- how a request is made

    async def _once(self, key: Hashable, ask: Callable[[Wrapped], Awaitable[T]]) -> T:
        async def within_deadline() -> T:
            async with self._deadline():
                return await ask(await self._profile())

        return await self._flights.join(key, within_deadline)

    @asynccontextmanager
    async def _deadline(self) -> AsyncIterator[None]:
        seconds = self._timeout + DEADLINE_PATIENCE
        try:
            async with asyncio.timeout(seconds):
                yield
        except TimeoutError as e:
            raise StoreTooSlow(f"no answer within {seconds:g} s", seconds) from e

    # -- jobs

    async def _job(self, wrapped: Wrapped, job_id: str) -> Job | None:
        if not _may_be_job(wrapped, job_id):
            return None
        async with self._second.request(self._timeout) as transaction:
            return await _look_up(transaction, wrapped, job_id)

    async def _jobs(self, wrapped: Wrapped, ids: tuple[str, ...]) -> dict[str, Job]:
        entity = read_queries.lookup_entity(wrapped)
        if entity is None:
            return {}
        fitting = [i for i in ids if read_queries.fits(i, wrapped.columns[entity]["id"])]
        if not fitting:
            return {}
        async with self._second.request(self._timeout) as transaction:
            rows = await transaction.fetch("job", read_queries.jobs_among(wrapped, entity), fitting)
        return {job.id: job for job in map(job_of, rows)}

    async def _due(self, wrapped: Wrapped) -> tuple[Job, ...]:
        if not (wrapped.has("live_jobs") or wrapped.has("jobs")):
            return ()
        async with self._second.request(self._timeout) as transaction:
            rows = await transaction.fetch("due", read_queries.due_jobs(wrapped), LISTED_MOST)
        return tuple(map(job_of, rows))

    # -- one job's executions

    async def _log(
        self, wrapped: Wrapped, job_id: str, wanted: LogFilter, limit: int, offset: int
    ) -> tuple[Job | None, LogPage | None]:
        conditions = _of_job(wrapped, job_id, wanted)
        if conditions is None and not _may_be_job(wrapped, job_id):
            return None, None
        async with self._second.request(self._timeout) as transaction:
            job = await _look_up(transaction, wrapped, job_id)
            if conditions is None:
                return job, None if job is None else LogPage(executions=(), total=0, capped=False, more=False)
            page = await _page(transaction, wrapped, conditions, limit, offset)
            if job is None and not page.total and not await _has_log(transaction, wrapped, job_id):
                return None, None
        return job, page

    async def _totals(
        self, wrapped: Wrapped, job_id: str
    ) -> tuple[Job | None, LoggedExecution | None, JobTotals | None]:
        conditions = _of_job(wrapped, job_id, LogFilter())
        if conditions is None and not _may_be_job(wrapped, job_id):
            return None, None, None
        async with self._second.request(self._timeout) as transaction:
            job = await _look_up(transaction, wrapped, job_id)
            if conditions is None:
                return job, None, None if job is None else _job_totals(_NOTHING, None, wrapped)
            where, bound = conditions.where, conditions.parameters
            sums = (await transaction.fetch("summary", read_queries.log_summary(wrapped, where), *bound))[0]
            first = None
            if sums[-1] >= SUMMED_MOST:
                rows = await transaction.fetch("summary", read_queries.first_start(wrapped, where), *bound)
                first = rows[0][0] if rows else None
            newest = await transaction.fetch("log", read_queries.log_page(wrapped, where, "1", "0"), *bound)
        if job is None and not newest:
            return None, None, None
        return job, logged(newest[0]) if newest else None, _job_totals(sums, first, wrapped)

    async def _results(self, wrapped: Wrapped, ids: tuple[str, ...]) -> dict[tuple[str, int | None], str]:
        columns = wrapped.columns.get("executions", {})
        if "result" not in columns:
            return {}
        fitting = [i for i in ids if read_queries.fits(i, columns["id"])]
        if not fitting:
            return {}
        async with self._second.request(self._timeout) as transaction:
            rows = await transaction.fetch("results", read_queries.results_among(wrapped), fitting)
        return {(execution, attempt): result for execution, attempt, result in rows if result is not None}

    # -- operations

    async def _operations(self, wrapped: Wrapped, limit: int, wanted: dict[str, str]) -> tuple[Operation, ...]:
        columns = wrapped.columns.get("operations", {})
        conditions = Conditions()
        for name, value in wanted.items():
            if name not in columns or not read_queries.fits(value, columns[name]):
                return ()
            conditions.add(read_queries.id_equals(name, columns[name], conditions.bind(value)))
        bound = conditions.bind(limit)
        sql = read_queries.operation_page(wrapped, conditions.where, bound)
        async with self._second.request(self._timeout) as transaction:
            rows = await transaction.fetch("operations", sql, *conditions.parameters)
        return tuple(Operation(**dict(zip(read_queries.OPERATION_FIELDS, row, strict=True))) for row in rows)


async def _look_up(transaction: Transaction, wrapped: Wrapped, job_id: str) -> Job | None:
    entity = read_queries.lookup_entity(wrapped)
    if entity is None or not read_queries.fits(job_id, wrapped.columns[entity]["id"]):
        return None
    rows = await transaction.fetch("job", read_queries.job_lookup(wrapped, entity), job_id)
    return job_of(rows[0]) if rows else None


async def _page(transaction: Transaction, wrapped: Wrapped, conditions: Conditions, limit: int, offset: int) -> LogPage:
    where, bound = conditions.where, list(conditions.parameters)
    places = (conditions.bind(limit + 1), conditions.bind(offset))
    rows = await transaction.fetch("log", read_queries.log_page(wrapped, where, *places), *conditions.parameters)
    more = len(rows) > limit
    reached = offset + min(len(rows), limit)
    if not more and (rows or not offset):
        total, capped = reached, False
    else:
        total = int((await transaction.fetch("log", read_queries.log_count(wrapped, where), *bound))[0][0])
        capped = total > COUNTED_MOST
        total = max(min(total, COUNTED_MOST), reached + more) if capped else total
    found = tuple(logged(row) for row in rows[:limit])
    return LogPage(executions=found, total=total, capped=capped, more=more)


async def _has_log(transaction: Transaction, wrapped: Wrapped, job_id: str) -> bool:
    """Whether a job that is listed nowhere has executions at all, which a filter may have hidden."""
    conditions = _of_job(wrapped, job_id, LogFilter())
    if conditions is None:
        return False
    sql = wrapped.select("executions", ("id",), f"{conditions.where} LIMIT 1")
    return bool(await transaction.fetch("log", sql, *conditions.parameters))


def _may_be_job(wrapped: Wrapped, job_id: str) -> bool:
    entity = read_queries.lookup_entity(wrapped)
    return entity is not None and read_queries.fits(job_id, wrapped.columns[entity]["id"])


def _of_job(wrapped: Wrapped, job_id: str, wanted: LogFilter) -> Conditions | None:
    """What makes an execution one of this job and filter; None where no execution can be."""
    columns = wrapped.columns.get("executions", {})
    if "job_id" not in columns or not read_queries.fits(job_id, columns["job_id"]):
        return None
    conditions = Conditions()
    conditions.add(read_queries.id_equals("job_id", columns["job_id"], conditions.bind(job_id)))
    if wanted.status is not None:
        conditions.add(f"{wrapped.column('executions', 'status')} = {conditions.bind(wanted.status)}::text")
    begun = next((name for name in ("started_at", "completed_at") if name in columns), None)
    for operator, value in ((">=", wanted.since), ("<=", wanted.until)):
        if value is not None and begun is not None:
            conditions.add(read_queries.moment(wrapped, "executions", begun, operator, conditions.bind(value)))
    return conditions


#: What a job without executions adds up to.
_NOTHING: Final[Row] = (0, 0, 0, 0, 0, None, None, None, None, None, 0)


def _job_totals(sums: Row, first: float | None, wrapped: Wrapped) -> JobTotals:
    *counts, retries, mean, most, least, oldest, newest, seen = sums
    return JobTotals(
        counts=tuple(counts),
        retries=retries if "attempt" in wrapped.columns.get("executions", {}) else None,
        mean=finite(mean),
        max=finite(most),
        min=finite(least),
        first=finite(oldest if first is None else first),
        last=finite(newest),
        capped=seen >= SUMMED_MOST,
    )
