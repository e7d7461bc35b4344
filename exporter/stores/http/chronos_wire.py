"""What CHRONOS' monitoring API answers, as its documentation shows it. Keys that are not known are ignored."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

#: A number of things.
Number = Annotated[int, Meta(ge=0, le=2**53)]
#: Milliseconds.
Span = Annotated[float, Meta(ge=0, le=1e15)]
#: What becomes a label's value; ids may be numbers.
Id = Annotated[str, Meta(min_length=1, max_length=500)] | int
Word = Annotated[str, Meta(max_length=500)]
Long = Annotated[str, Meta(max_length=100_000)]
#: ISO, with a time zone or in UTC.
Moment = Annotated[str, Meta(max_length=40)]


class JobNumbers(msgspec.Struct, rename="camel"):
    """Jobs now."""

    by_status: dict[Word, Number | None]
    total: Number | None = None
    by_type: dict[Word, Number | None] | None = None


class ExecutionNumbers(msgspec.Struct, rename="camel"):
    """What ended in the period."""

    total: Number | None
    success: Number | None
    failed: Number | None
    timeout: Number | None = None
    cancelled: Number | None = None
    retries: Number | None = None
    avg_duration: Span | None = None
    max_duration: Span | None = None


class TaskType(msgspec.Struct, rename="camel"):
    """One task type's share."""

    task_type: Word | None
    count: Number
    success_count: Number
    avg_duration: Span | None = None


class Hour(msgspec.Struct):
    """One hour, ``"2026-01-28 14:00"``."""

    id: Word = msgspec.field(name="_id")
    total: Number
    success: Number
    failed: Number


class Stats(msgspec.Struct, rename="camel"):
    """``data`` of ``GET /api/system/stats``."""

    jobs: JobNumbers
    executions: ExecutionNumbers
    period_start: Moment | None = None
    executions_by_task_type: list[TaskType] = []
    hourly_trend: list[Hour] = []


class LiveExecutions(msgspec.Struct):
    """What ended lately."""

    last_5min: Number | None = msgspec.field(name="last5min")
    failed_last_5min: Number | None = msgspec.field(name="failedLast5min", default=None)


class Live(msgspec.Struct):
    """``GET /api/system/stats/live``."""

    running: Number | None
    scheduled: Number | None
    executions: LiveExecutions
    timestamp: Moment | None = None


class Worker(msgspec.Struct, rename="camel"):
    """A worker, and what it did."""

    worker_id: Id
    host: Word | None = None
    executions: Number | None = None
    success_rate: Word | None = None
    avg_duration: Span | None = None
    last_seen: Moment | None = None
    active_jobs: Number | None = None


class Workers(msgspec.Struct, rename="camel"):
    """``data`` of ``GET /api/system/workers``."""

    workers: list[Worker]
    total_workers: Number | None = None
    active_workers: Number | None = None


class Error(msgspec.Struct):
    """Why an execution failed."""

    message: Long | None = None
    code: Word | None = None


class LogEntry(msgspec.Struct, rename="camel"):
    """A finished execution, in the log of a job or of all jobs."""

    id: Id
    status: Word
    job_id: Id | None = None
    job_name: Word | None = None
    task_type: Word | None = None
    duration: Span | None = None
    attempt: Number | None = None
    executed_at: Moment | None = None
    completed_at: Moment | None = None
    worker_id: Word | None = None
    result: Any = None
    error: Error | Long | None = None


class RecentLogs(msgspec.Struct):
    """``data`` of ``GET /api/logs/recent``."""

    logs: list[LogEntry]


class Job(msgspec.Struct, rename="camel"):
    """Whose log it is."""

    id: Id
    name: Word | None = None
    task_type: Word | None = None
    status: Word | None = None
    current_status: Word | None = None


class Pagination(msgspec.Struct, rename="camel"):
    """Where a page lies."""

    total: Number
    has_more: bool = False
    total_capped: bool = False


class Log(msgspec.Struct):
    """``data`` of ``GET /api/jobs/:id/logs``."""

    job: Job
    logs: list[LogEntry]
    pagination: Pagination


class Summary(msgspec.Struct, rename="camel"):
    """A job's executions added up."""

    success_count: Number | None
    failed_count: Number | None
    timeout_count: Number | None = None
    cancelled_count: Number | None = None
    retry_count: Number | None = None
    avg_duration: Span | None = None
    max_duration: Span | None = None
    min_duration: Span | None = None
    first_execution: Moment | None = None
    last_execution: Moment | None = None
    capped: bool = False


class JobSummary(msgspec.Struct):
    """``data`` of ``GET /api/jobs/:id/logs/summary``."""

    job: Job
    summary: Summary


class Database(msgspec.Struct):
    """The scheduler's own database; ``latency`` in milliseconds."""

    status: Word
    latency: Span | None = None


class Scheduler(msgspec.Struct, rename="camel"):
    """Its work."""

    status: Word
    recent_executions: Number | None = None
    pending_jobs: Number | None = None


class Component(msgspec.Struct):
    """Any other component."""

    status: Word


class Components(msgspec.Struct):
    """Those that are documented."""

    database: Database | None = None
    scheduler: Scheduler | None = None
    system: Component | None = None
    process: Component | None = None


class Health(msgspec.Struct):
    """``GET /api/system/health``; ``uptime`` in milliseconds."""

    status: Word
    components: Components
    timestamp: Moment | None = None
    uptime: Span | None = None


class StatsAnswer(msgspec.Struct):
    """The envelope of each: ``success`` is true, or there is no ``data``."""

    data: Stats


class WorkersAnswer(msgspec.Struct):
    """The same."""

    data: Workers


class RecentAnswer(msgspec.Struct):
    """The same."""

    data: RecentLogs


class LogAnswer(msgspec.Struct):
    """The same."""

    data: Log


class SummaryAnswer(msgspec.Struct):
    """The same."""

    data: JobSummary
