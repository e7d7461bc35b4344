"""``/api/scheduler-monitoring/export``: jobs, executions, alerts or metrics as JSON or CSV, streamed."""

from __future__ import annotations

import time
from typing import Annotated, Any, Final, Literal

import msgspec
from aiohttp import web
from msgspec import Meta

from exporter.api.alerts import ExportedAlert, exported
from exporter.api.asking import PERIODS, PeriodAsked, store_asked
from exporter.api.examples import example
from exporter.api.from_store import from_store, reads_of
from exporter.api.known import Known
from exporter.api.masking import shown_result
from exporter.api.scheduler_jobs import execution_fields
from exporter.api.scheduler_metrics import TaskTypeMetrics, metrics_of
from exporter.api.scheduler_monitoring import FAMILY
from exporter.api.streaming import FORMATS, Csv, Json, Pages, stream
from exporter.api.wire import iso
from exporter.httpd.context import Context
from exporter.httpd.endpoint import APPLICATION_JSON, Answer, Endpoint, Query
from exporter.httpd.problems import HttpError
from exporter.httpd.roles import Role
from exporter.logs import masked_text
from exporter.stores.found import Job, LoggedExecution
from exporter.stores.pages import Wanted

#: Alerts read at once.
ALERTS_PAGE = 500


class ExportAsked(PeriodAsked, frozen=True):
    """What to export."""

    type: Annotated[
        Literal["executions", "jobs", "alerts", "metrics"],
        Meta(description="What; jobs are all there are now, the rest is that of the period"),
    ] = "executions"
    format: Literal["json", "csv"] = "json"
    details: Annotated[bool, Meta(description="Results and error texts too; needs an admin")] = False


class ExportedJob(msgspec.Struct, rename="camel"):
    """A job."""

    id: str
    name: str | None
    task_type: str | None
    queue: str | None
    status: str | None
    type: str | None
    schedule: str | None
    timezone: str | None
    priority: int | None
    connection_id: str | None
    next_run_at: str | None
    created_at: str | None
    updated_at: str | None


class ExportedExecution(msgspec.Struct, rename="camel"):
    """A finished execution."""

    id: str
    job_id: str | None
    job_name: str | None
    task_type: str | None
    queue: str | None
    status: str
    attempt: int | None
    scheduled_at: str | None
    started_at: str | None
    completed_at: str | None
    duration_ms: int | None
    worker_id: str | None
    error_code: str | None


class DetailedExecution(ExportedExecution, rename="camel"):
    """The same with what only admins see."""

    error_message: str | None
    result: Any


#: What an export in JSON is.
ROWS: Final = (
    list[ExportedExecution],
    list[DetailedExecution],
    list[ExportedJob],
    list[ExportedAlert],
    list[TaskTypeMetrics],
)


def endpoints(context: Context) -> list[Endpoint]:
    """The one path."""

    async def export(call: Query[ExportAsked]) -> web.StreamResponse:
        asked = call.params
        if asked.details and call.caller.role < Role.ADMIN:
            raise HttpError(403, "details: results and error texts are exported for admins only")
        store = store_asked(asked.store, context.config())
        row, pages = await _pages(context, store, asked)
        writer: Json | Csv = FORMATS[asked.format](row)
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        return await stream(call.request, pages, writer, f"{asked.type}-{stamp}.{asked.format}")

    return [
        Endpoint(
            family=FAMILY,
            path="/api/scheduler-monitoring/export",
            handler=from_store(export),
            params=ExportAsked,
            summary="Executions, jobs, alerts or metrics as JSON or CSV",
            answers={
                200: Answer(kind=ROWS, media=(APPLICATION_JSON, "text/csv"), example=example("export_executions"))
            },
            fails=(403, 404, 503),
        )
    ]


async def _pages(context: Context, store: str, asked: ExportAsked) -> tuple[type[msgspec.Struct], Pages]:
    seconds = PERIODS[asked.period]
    if asked.type == "alerts":
        return ExportedAlert, _alerts(context, time.time() - seconds)
    if asked.type == "metrics":
        return TaskTypeMetrics, _metrics(context, store, asked.period)
    pages = await reads_of(context, store).pages()
    if asked.type == "jobs":
        due = Known(context.hub.current, store).next_runs
        return ExportedJob, _mapped(pages.jobs(), lambda job: _job(job, due.get(job.id)))
    make = _detailed if asked.details else _execution
    kind = DetailedExecution if asked.details else ExportedExecution
    return kind, _mapped(pages.executions(Wanted(since=time.time() - seconds, results=asked.details)), make)


async def _mapped(pages: Any, make: Any) -> Pages:
    try:
        async for page in pages:
            yield [make(row) for row in page]
    finally:
        await pages.aclose()


async def _metrics(context: Context, store: str, period: str) -> Pages:
    answer, _ = await metrics_of(context, store, period)
    yield answer.by_task_type


async def _alerts(context: Context, since: float) -> Pages:
    offset = 0
    while True:
        found, total = await context.alert_history.read(limit=ALERTS_PAGE, offset=offset)
        yield [exported(alert) for alert in found if alert.ends_at is None or alert.ends_at >= since]
        offset += len(found)
        if not found or offset >= total:
            return


def _job(job: Job, due: float | None) -> ExportedJob:
    """``due``: the next run from cron text and time zone, where the store has none."""
    return ExportedJob(
        id=job.id,
        name=job.name,
        task_type=job.task_type,
        queue=job.queue,
        status=job.status,
        type=job.type,
        schedule=job.schedule,
        timezone=job.time_zone,
        priority=job.priority,
        connection_id=job.connection_id,
        next_run_at=iso(job.next_run_at if job.next_run_at is not None else due),
        created_at=iso(job.created_at),
        updated_at=iso(job.updated_at),
    )


def _execution(execution: LoggedExecution) -> ExportedExecution:
    return ExportedExecution(**_plain(execution))


def _detailed(execution: LoggedExecution) -> DetailedExecution:
    message = execution.error_message
    shown = None if message is None else masked_text(message)
    return DetailedExecution(**_plain(execution), error_message=shown, result=shown_result(execution.result))


def _plain(execution: LoggedExecution) -> dict[str, Any]:
    return {**execution_fields(execution), "error_code": execution.error_code}
