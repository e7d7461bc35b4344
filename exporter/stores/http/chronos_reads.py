"""What requests ask of a CHRONOS scheduler: one job, its log, the log's summary; the newest executions of all jobs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Hashable
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

import msgspec

from exporter.domain import FINAL_STATUSES, RecentExecution
from exporter.errors import NotTold, StoreTooSlow
from exporter.reported import Recent
from exporter.stores.asked import KnowsNothing
from exporter.stores.flights import Flights
from exporter.stores.found import Job, JobTotals, LoggedExecution
from exporter.stores.http import chronos_wire as wire
from exporter.stores.http.around import Around
from exporter.stores.http.client import LARGEST_LIST, Client, Missing, segment
from exporter.stores.http.figures import moment, seconds
from exporter.stores.pages import Wanted
from exporter.stores.reads import DEADLINE_PATIENCE, LogFilter, LogPage

T = TypeVar("T")

#: Executions that one answer lists at most.
PAGE: Final = 100
_LOGS: Final = "/api/jobs/{id}/logs"
_SUMMARY: Final = "/api/jobs/{id}/logs/summary"


class ChronosReads(KnowsNothing):
    """One job is asked for then and there; all jobs' newest executions are those of the last poll."""

    def __init__(self, client: Client, around: Around, *, timeout: float) -> None:
        self._client = client
        self._around = around
        self._timeout = timeout
        self._flights = Flights()

    async def has(self, entity: str) -> bool:
        """Executions it has."""
        return entity == "executions"

    async def job(self, job_id: str) -> Job | None:
        """The job of this id, None when there is none."""
        return (await self.log(job_id, LogFilter(), 1, 0))[0]

    async def log(self, job_id: str, wanted: LogFilter, limit: int, offset: int) -> tuple[Job | None, LogPage | None]:
        """A job and a page of its executions, newest first. (None, None): the scheduler knows no such job."""
        key = ("log", job_id, wanted, limit, offset)
        return await self._once(key, lambda: self._log(job_id, wanted, limit, offset))

    async def totals(self, job_id: str) -> tuple[Job | None, LoggedExecution | None, JobTotals | None]:
        """A job and all of its executions added up; its newest one is not told. Nones: there is no such job."""
        return await self._once(("totals", job_id), lambda: self._totals(job_id))

    async def pages(self) -> RecentPages:
        """The newest executions; there are no pages of jobs."""
        return RecentPages(self._around)

    async def _once(self, key: Hashable, ask: Callable[[], Awaitable[T]]) -> T:
        async def within_deadline() -> T:
            limit = self._timeout + DEADLINE_PATIENCE
            try:
                async with asyncio.timeout(limit):
                    return await ask()
            except TimeoutError as e:
                raise StoreTooSlow(f"no answer within {limit:g} s", limit) from e

        return await self._flights.join(key, within_deadline)

    async def _log(self, job_id: str, wanted: LogFilter, limit: int, offset: int) -> tuple[Job | None, LogPage | None]:
        found: list[LoggedExecution] = []
        while True:
            query = [*_conditions(wanted), ("limit", str(min(PAGE, limit - len(found)))), ("offset", str(offset))]
            told = await self._of_job(_LOGS, wire.LogAnswer, job_id, query)
            if told is None:
                return None, None
            log = told.data
            found += [execution_of(entry, log.job) for entry in log.logs if entry.status in FINAL_STATUSES]
            offset += len(log.logs)
            if len(found) >= limit or not log.logs or not log.pagination.has_more:
                break
        page = LogPage(
            executions=tuple(found[:limit]),
            total=log.pagination.total,
            capped=log.pagination.total_capped,
            more=log.pagination.has_more,
        )
        return _job(log.job), page

    async def _totals(self, job_id: str) -> tuple[Job | None, LoggedExecution | None, JobTotals | None]:
        told = await self._of_job(_SUMMARY, wire.SummaryAnswer, job_id, [])
        if told is None:
            return None, None, None
        sums = told.data.summary
        counts = (sums.success_count, sums.failed_count, sums.timeout_count, sums.cancelled_count)
        totals = JobTotals(
            counts=tuple(number or 0 for number in counts),
            retries=sums.retry_count,
            mean=seconds(sums.avg_duration),
            max=seconds(sums.max_duration),
            min=seconds(sums.min_duration),
            first=moment(sums.first_execution),
            last=moment(sums.last_execution),
            capped=sums.capped,
            cancelled=sums.cancelled_count is not None,
        )
        return _job(told.data.job), None, totals

    async def _of_job(self, endpoint: str, kind: type[T], job_id: str, query: list[tuple[str, str]]) -> T | None:
        name = segment(job_id)
        if name is None:
            return None
        try:
            return await self._client.get(
                endpoint, kind, path=endpoint.replace("{id}", name), query=query, largest=LARGEST_LIST
            )
        except Missing:
            return None


class RecentPages:
    """The newest executions, as of the last poll, on one page."""

    patience: float = 1.0
    whole: bool = False

    def __init__(self, around: Around) -> None:
        self._around = around

    async def executions(self, wanted: Wanted) -> AsyncGenerator[list[LoggedExecution], None]:
        """Those that are wanted, newest first."""
        recent = self._around.fresh("recent", Recent)
        if recent is None:
            raise NotTold("the newest executions are not known at present")
        yield [_logged(e) for e in recent.executions if _fits(e, wanted)]

    def jobs(self) -> AsyncGenerator[list[Job], None]:
        """Raises NotTold."""
        raise NotTold("the scheduler's API does not list jobs")


def _fits(execution: RecentExecution, wanted: Wanted) -> bool:
    names = (execution.id, execution.job_id, execution.job_name, execution.task_type, execution.error_message)
    return (
        (execution.completed_at is None or execution.completed_at >= wanted.since)
        and wanted.status in (None, execution.status)
        and wanted.task_type in (None, execution.task_type)
        and wanted.recurring_id is None
        and (wanted.text is None or any(wanted.text.lower() in name.lower() for name in names if name is not None))
    )


def _logged(execution: RecentExecution) -> LoggedExecution:
    values = {name: getattr(execution, name) for name in RecentExecution.__struct_fields__}
    return LoggedExecution(**values, result=None)


def execution_of(entry: wire.LogEntry, job: wire.Job | None = None) -> LoggedExecution:
    """A finished execution as stores have it; what its log does not repeat is its job's."""
    started, lasted = moment(entry.executed_at), seconds(entry.duration)
    ended = moment(entry.completed_at)
    if ended is None and started is not None and lasted is not None:
        ended = started + lasted
    error = wire.Error(message=entry.error) if isinstance(entry.error, str) else entry.error or wire.Error()
    job_id = job.id if job is not None else entry.job_id
    return LoggedExecution(
        id=str(entry.id),
        job_id=None if job_id is None else str(job_id),
        job_name=job.name if job is not None else entry.job_name,
        task_type=(job.task_type if job is not None else entry.task_type) or "",
        queue=None,
        status=entry.status,
        attempt=entry.attempt,
        scheduled_at=None,
        started_at=started,
        completed_at=ended,
        worker_id=entry.worker_id,
        error_message=error.message,
        error_code=error.code,
        result=None if entry.result is None else msgspec.json.encode(entry.result).decode(),
    )


def _job(told: wire.Job) -> Job:
    unknown: dict[str, Any] = dict.fromkeys(field for field in Job.__struct_fields__)
    known = {
        "id": str(told.id),
        "name": told.name,
        "task_type": told.task_type,
        "status": told.status or told.current_status,
    }
    return Job(**{**unknown, **known})


def _conditions(wanted: LogFilter) -> list[tuple[str, str]]:
    moments = {"fromDate": wanted.since, "toDate": wanted.until}
    query = [] if wanted.status is None else [("status", wanted.status)]
    return query + [(name, _iso(at)) for name, at in moments.items() if at is not None]


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
