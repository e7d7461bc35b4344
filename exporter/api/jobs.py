"""``/api/jobs/{id}``, its log and the log's summary, ``/api/logs/recent``. The CHRONOS family.

One job is asked of the store; the newest executions of all jobs come from the state file.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec
from aiohttp import web
from msgspec import Meta

from exporter.api.asking import StoreAsked, from_state, snapshot_response, store_asked
from exporter.api.chronos import FAMILY
from exporter.api.counted import read_at
from exporter.api.examples import example
from exporter.api.from_store import from_store, reads_of
from exporter.api.job_detail import JobView, job_view
from exporter.api.kept import KeptAnswers
from exporter.api.known import Known
from exporter.api.masking import shown_error, shown_result
from exporter.api.recurring import SUMMED_MOST, job_log, recurring_job, recurring_log, summed_up
from exporter.api.wire import iso, lasted, milliseconds, percent
from exporter.domain import FINAL_STATUSES, RecentExecution
from exporter.httpd.context import Context
from exporter.httpd.endpoint import Answer, Endpoint, Query
from exporter.httpd.params import Moment, Offset, Text, limit_to
from exporter.httpd.problems import HttpError, json_response
from exporter.httpd.roles import Caller
from exporter.stores.found import JobTotals, LoggedExecution
from exporter.stores.reads import LogFilter

Status = Literal["SUCCESS", "FAILED", "TIMEOUT", "CANCELLED"]
DAY = 86_400.0


class JobAsked(StoreAsked, frozen=True):
    """``id`` in the path."""

    id: Annotated[Text, Meta(min_length=1, description="The job's id", examples=["17"])] = ""


class LogAsked(JobAsked, frozen=True):
    """A page of a job's log."""

    limit: Annotated[int, limit_to(100)] = 20
    offset: Offset = 0
    status: Annotated[Status, Meta(description="The final status")] | None = None
    fromDate: Annotated[Moment, Meta(description="Begun at or after")] | None = None  # noqa: N815 - the wire's name
    toDate: Annotated[Moment, Meta(description="Begun at or before")] | None = None  # noqa: N815


class RecentAsked(StoreAsked, frozen=True):
    """The newest executions of all jobs."""

    limit: Annotated[int, limit_to(100)] = 50
    status: Annotated[Status, Meta(description="The final status")] | None = None
    taskType: Annotated[Text, Meta(description="The task type")] | None = None  # noqa: N815


class ErrorText(msgspec.Struct):
    """Why an execution failed."""

    message: str | None
    code: str | None


class LogEntry(msgspec.Struct, rename="camel"):
    """One finished execution; ``duration`` in milliseconds."""

    id: str
    status: str
    duration: int | None
    attempt: int | None
    is_retry: bool | None
    executed_at: str | None
    completed_at: str | None
    worker_id: str | None
    result: Any
    error: ErrorText | None


class LogJob(msgspec.Struct, rename="camel"):
    """Whose log it is."""

    id: str
    name: str | None
    task_type: str | None
    status: str | None


class Pagination(msgspec.Struct, rename="camel"):
    """Where a page lies. ``totalCapped``: there are at least ``total``; nobody counted further."""

    total: int
    total_capped: bool
    limit: int
    offset: int
    has_more: bool


class Log(msgspec.Struct):
    """``data`` of ``GET /api/jobs/{id}/logs``, newest first."""

    job: LogJob
    logs: list[LogEntry]
    pagination: Pagination


class LogAnswer(msgspec.Struct):
    """``GET /api/jobs/{id}/logs``."""

    success: bool
    data: Log


class SummaryJob(msgspec.Struct, rename="camel"):
    """Whose summary it is."""

    id: str
    name: str | None
    task_type: str | None
    current_status: str | None


class Summary(msgspec.Struct, rename="camel"):
    """A job's executions added up; durations in milliseconds. ``capped``: of so many that only the newest were read.

    Null is what the scheduler does not keep.
    """

    total_executions: int | None
    success_count: int | None
    failed_count: int | None
    timeout_count: int | None
    cancelled_count: int | None
    retry_count: int | None
    success_rate: str | None
    avg_duration: int | None
    max_duration: int | None
    min_duration: int | None
    first_execution: str | None
    last_execution: str | None
    capped: bool


class SummaryData(msgspec.Struct):
    """``data`` of ``GET /api/jobs/{id}/logs/summary``."""

    job: SummaryJob
    summary: Summary


class SummaryAnswer(msgspec.Struct):
    """``GET /api/jobs/{id}/logs/summary``."""

    success: bool
    data: SummaryData


class JobAnswer(msgspec.Struct):
    """``GET /api/jobs/{id}``."""

    success: bool
    data: JobView


class RecentEntry(msgspec.Struct, rename="camel"):
    """One finished execution of any job; ``duration`` in milliseconds."""

    id: str
    job_id: str | None
    job_name: str | None
    task_type: str
    status: str
    duration: int | None
    attempt: int | None
    executed_at: str | None
    completed_at: str | None
    worker_id: str | None


class RecentLogs(msgspec.Struct):
    """``data`` of ``GET /api/logs/recent``, newest first; ``count`` is how many are listed."""

    logs: list[RecentEntry]
    count: int


class RecentAnswer(msgspec.Struct):
    """``GET /api/logs/recent``."""

    success: bool
    data: RecentLogs


def _whole(moment: float | None) -> float | None:
    """The end of the millisecond that was given: answers tell times so, and what they tell can be asked for."""
    if moment is None or round(moment * 1e6) % 1000:
        return moment
    return moment + 0.000_999


def endpoints(context: Context) -> list[Endpoint]:
    """The four paths."""
    kept = KeptAnswers()

    async def job(call: Query[JobAsked]) -> web.StreamResponse:
        store = store_asked(call.params.store, context.config())
        return json_response(JobAnswer(True, await job_view(context, store, call.params.id)))

    async def logs(call: Query[LogAsked]) -> web.StreamResponse:
        asked = call.params
        store = store_asked(asked.store, context.config())
        wanted = LogFilter(status=asked.status, since=asked.fromDate, until=_whole(asked.toDate))
        found, recurring, page = await job_log(context, store, asked.id, wanted, limit=asked.limit, offset=asked.offset)
        if page is None:
            raise not_found(asked.id)
        newest = page.executions[0] if page.executions else None
        about = found or recurring or newest
        answer = Log(
            job=LogJob(
                id=asked.id,
                name=(about.job_name if isinstance(about, RecentExecution) else about.name) if about else None,
                task_type=about.task_type if about else None,
                status=None if about is None or isinstance(about, RecentExecution) else about.status,
            ),
            logs=[_entry(e, call.caller, context.config().setting) for e in page.executions],
            pagination=Pagination(
                total=page.total,
                total_capped=page.capped,
                limit=asked.limit,
                offset=asked.offset,
                has_more=page.more,
            ),
        )
        return json_response(LogAnswer(True, answer))

    async def summary(call: Query[JobAsked]) -> web.StreamResponse:
        store = store_asked(call.params.store, context.config())
        found, newest, totals = await reads_of(context, store).totals(call.params.id)
        recurring = await recurring_job(context, store, call.params.id, found=totals is not None)
        if recurring is not None and (totals is None or not any(totals.counts)):
            page = await recurring_log(context, store, call.params.id, LogFilter(), limit=SUMMED_MOST)
            totals = summed_up(page)
        if totals is None:
            raise not_found(call.params.id)
        about = found or recurring
        who = SummaryJob(
            id=call.params.id,
            name=about.name if about else newest.job_name if newest else None,
            task_type=about.task_type if about else newest.task_type if newest else None,
            current_status=about.status if about else None,
        )
        return json_response(
            SummaryAnswer(True, SummaryData(who, _summary(totals, Known(context.hub.current, store).outcomes)))
        )

    async def recent(call: Query[RecentAsked]) -> web.StreamResponse:
        asked = call.params
        store = store_asked(asked.store, context.config())
        at, counts = read_at(context, store), Known(context.hub.current, store).ended

        async def build() -> RecentAnswer:
            found = await context.history.recent(
                store, limit=asked.limit, status=asked.status, task_type=asked.taskType
            )
            entries = [_recent(execution) for execution in found]
            return RecentAnswer(True, RecentLogs(entries, len(entries)))

        body = await kept.get((store, asked.limit, asked.status, asked.taskType), (counts,), build)
        return snapshot_response(body, at)

    def one(path: str, handler: Any, params: type[JobAsked], summary_: str, answer: Answer) -> Endpoint:
        return Endpoint(
            family=FAMILY, path=path, handler=from_store(handler), params=params, summary=summary_,
            answers={200: answer}, fails=(404, 503),
        )  # fmt: skip

    return [
        one("/api/jobs/{id}", job, JobAsked, "One job", Answer(kind=JobAnswer, example=example("job"))),
        one(
            "/api/jobs/{id}/logs", logs, LogAsked, "One job's finished executions, newest first",
            Answer(kind=LogAnswer, example=example("job_logs")),
        ),
        one(
            "/api/jobs/{id}/logs/summary", summary, JobAsked, "One job's finished executions added up",
            Answer(kind=SummaryAnswer, example=example("job_logs_summary")),
        ),
        Endpoint(
            family=FAMILY,
            path="/api/logs/recent",
            handler=from_state(recent),
            params=RecentAsked,
            summary="The newest finished executions of all jobs",
            answers={200: Answer(kind=RecentAnswer, example=example("logs_recent"))},
            fails=(404, 503),
        ),
    ]  # fmt: skip


def not_found(job_id: str) -> HttpError:
    """The answer for an id that is no job's."""
    return HttpError(404, f"job {job_id!r} not found")


def _entry(execution: LoggedExecution, caller: Caller, environment: str) -> LogEntry:
    message, code = execution.error_message, execution.error_code
    return LogEntry(
        id=execution.id,
        status=execution.status,
        duration=milliseconds(lasted(execution.started_at, execution.completed_at)),
        attempt=execution.attempt,
        is_retry=None if execution.attempt is None else execution.attempt > 0,
        executed_at=iso(execution.started_at),
        completed_at=iso(execution.completed_at),
        worker_id=execution.worker_id,
        result=shown_result(execution.result),
        error=None if message is None and code is None else ErrorText(shown_error(message, caller, environment), code),
    )


def _recent(execution: RecentExecution) -> RecentEntry:
    return RecentEntry(
        id=execution.id,
        job_id=execution.job_id,
        job_name=execution.job_name,
        task_type=execution.task_type,
        status=execution.status,
        duration=milliseconds(lasted(execution.started_at, execution.completed_at)),
        attempt=execution.attempt,
        executed_at=iso(execution.started_at),
        completed_at=iso(execution.completed_at),
        worker_id=execution.worker_id,
    )


def _summary(totals: JobTotals, outcomes: Sequence[str]) -> Summary:
    """``outcomes`` are those that the store keeps: without all three there is no sum, and no rate."""
    counts = dict(zip(FINAL_STATUSES, totals.counts, strict=True))
    success, failed, timeout = (counts[status] if status in outcomes else None for status in FINAL_STATUSES[:3])
    total = None if success is None or failed is None or timeout is None else success + failed + timeout
    return Summary(
        total_executions=total,
        success_count=success,
        failed_count=failed,
        timeout_count=timeout,
        cancelled_count=counts["CANCELLED"] if totals.cancelled and "CANCELLED" in outcomes else None,
        retry_count=totals.retries,
        success_rate=None if success is None or total is None else percent(success, total),
        avg_duration=milliseconds(totals.mean),
        max_duration=milliseconds(totals.max),
        min_duration=milliseconds(totals.min),
        first_execution=iso(totals.first),
        last_execution=iso(totals.last),
        capped=totals.capped,
    )
