"""``/api/system/stats`` and ``/api/system/stats/live``: jobs, executions and their trend, from rollups and snapshot.

The CHRONOS family: camelCase, milliseconds, shares as ``"86.96%"``, times in ISO with milliseconds and Z.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from aiohttp import web

from exporter.api.asking import (
    PERIODS,
    Kept,
    PeriodAsked,
    StoreAsked,
    from_state,
    snapshot_response,
    store_asked,
)
from exporter.api.chronos import FAMILY
from exporter.api.counted import statistics_of
from exporter.api.examples import example
from exporter.api.known import Known, job_numbers
from exporter.api.wire import iso, milliseconds, percent
from exporter.domain import Figures, JobCounts, Queues, Statistics
from exporter.httpd.context import Context
from exporter.httpd.endpoint import Answer, Endpoint, Query

#: What ``stats/live`` looks back on, in seconds.
LIVE_SECONDS = 300.0


class Coverage(msgspec.Struct):
    """Since when (ISO) no execution is missing; ``complete``: that is the whole period."""

    since: str | None
    complete: bool


class Jobs(msgspec.Struct, rename="camel"):
    """Jobs now. ``active`` is SCHEDULED + QUEUED + RUNNING; null is unknown."""

    total: int | None
    by_status: dict[str, int | None]
    by_type: dict[str, int | None]
    active: int | None
    failed: int | None


class ExecutionFigures(msgspec.Struct, rename="camel"):
    """What ended in the period. ``total`` = success + failed + timeout; durations in milliseconds."""

    total: int | None
    success: int | None
    failed: int | None
    timeout: int | None
    cancelled: int | None
    retries: int | None
    success_rate: str | None
    avg_duration: int | None
    max_duration: int | None


class TaskTypeFigures(msgspec.Struct, rename="camel"):
    """One task type's executions, cancelled ones left out."""

    task_type: str
    count: int
    success_count: int
    success_rate: str
    avg_duration: int | None


class TrendPoint(msgspec.Struct):
    """One hour (UTC): ``_id`` is "2026-01-28 14:00", ``failed`` has timeouts in it."""

    id: str = msgspec.field(name="_id")
    total: int
    success: int
    failed: int


class Stats(msgspec.Struct, rename="camel"):
    """``data`` of ``GET /api/system/stats``."""

    period: str
    period_start: str | None
    coverage: Coverage
    jobs: Jobs
    executions: ExecutionFigures
    executions_by_task_type: list[TaskTypeFigures]
    hourly_trend: list[TrendPoint]


class StatsAnswer(msgspec.Struct):
    """``GET /api/system/stats``."""

    success: bool
    data: Stats


class LatestExecutions(msgspec.Struct):
    """What ended lately, counted from a whole minute on."""

    last_5min: int | None = msgspec.field(name="last5min")
    failed_last_5min: int | None = msgspec.field(name="failedLast5min")


class LiveAnswer(msgspec.Struct):
    """``GET /api/system/stats/live``; ``timestamp``: when that was so."""

    timestamp: str | None
    running: int | None
    scheduled: int | None
    executions: LatestExecutions


def endpoints(context: Context) -> list[Endpoint]:
    """Both paths."""
    kept = Kept()

    async def stats(call: Query[PeriodAsked]) -> web.StreamResponse:
        store, period = store_asked(call.params.store, context.config()), call.params.period
        found = await statistics_of(context, store, PERIODS[period])
        known = Known(context.hub.current, store)
        made_of = (found, known.jobs, known.queues, known.attempts)
        body = kept.get((store, period), made_of, lambda: StatsAnswer(True, _stats(period, *made_of)))
        return snapshot_response(body, found.end)

    async def live(call: Query[StoreAsked]) -> web.StreamResponse:
        store = store_asked(call.params.store, context.config())
        found = await statistics_of(context, store, LIVE_SECONDS)
        known = Known(context.hub.current, store)
        made_of = (found, known.jobs, known.queues, known.running)
        return snapshot_response(kept.get((store, "live"), made_of, lambda: _live(found, known)), found.end)

    return [
        Endpoint(
            family=FAMILY,
            path="/api/system/stats",
            handler=from_state(stats),
            params=PeriodAsked,
            summary="Jobs by status and type; executions of a period, by task type and by hour",
            answers={200: Answer(kind=StatsAnswer, example=example("system_stats"))},
            fails=(404, 503),
        ),
        Endpoint(
            family=FAMILY,
            path="/api/system/stats/live",
            handler=from_state(live),
            params=StoreAsked,
            summary="What runs, what waits, what ended within five minutes",
            answers={200: Answer(kind=LiveAnswer, example=example("system_stats_live"))},
            fails=(404, 503),
        ),
    ]


def ended(counts: Sequence[int]) -> tuple[int, int, int]:
    """(total, success, failed or timed out) of counts by FINAL_STATUSES: the cancelled ones belong to none of them."""
    success, failed, timeout, _ = counts
    return success + failed + timeout, success, failed + timeout


def apart(figures: Figures, *, attempts: bool) -> dict[str, int | None]:
    """What was no success, by status, and retries, where ``attempts`` are told apart; None is unknown."""
    numbers: dict[str, int | None] = dict(zip(("failed", "timeout", "cancelled"), figures.counts[1:], strict=True))
    numbers["retries"] = figures.retries if attempts or figures.retries else None
    return {name: None if name in figures.unknown else number for name, number in numbers.items()}


def _stats(period: str, found: Statistics, jobs: JobCounts | None, queues: Queues | None, attempts: bool) -> Stats:
    since = found.covered_since
    return Stats(
        period=period,
        period_start=iso(found.start),
        coverage=Coverage(iso(since), since is not None and since <= found.start),
        jobs=_jobs(jobs, queues),
        executions=_executions(found, attempts=attempts),
        executions_by_task_type=_by_task_type(found),
        hourly_trend=trend_of(found),
    )


def _jobs(jobs: JobCounts | None, queues: Queues | None) -> Jobs:
    numbers = job_numbers(jobs, queues)
    live = [numbers.by_status[status] for status in ("SCHEDULED", "QUEUED", "RUNNING")]
    known = [number for number in live if number is not None]
    return Jobs(
        total=numbers.total,
        by_status=numbers.by_status,
        by_type=numbers.by_type,
        active=sum(known) if len(known) == len(live) else None,
        failed=numbers.by_status["FAILED"],
    )


def _executions(found: Statistics, *, attempts: bool) -> ExecutionFigures:
    if not found.counted:
        return ExecutionFigures(*[None] * len(ExecutionFigures.__struct_fields__))
    figures = found.overall
    total, success, _ = ended(figures.counts)
    return ExecutionFigures(
        total=total,
        success=success,
        **apart(figures, attempts=attempts),
        success_rate=percent(success, total),
        avg_duration=milliseconds(figures.mean),
        max_duration=milliseconds(figures.max),
    )


def _by_task_type(found: Statistics) -> list[TaskTypeFigures]:
    rows = []
    for name, figures in found.by_label.items():
        total, success, _ = ended(figures.counts)
        if total:
            mean = milliseconds(figures.mean)
            rows.append(TaskTypeFigures(name, total, success, percent(success, total), mean))
    return sorted(rows, key=lambda row: (-row.count, row.task_type))


def trend_of(found: Statistics) -> list[TrendPoint]:
    """The hours in which something ended, cancelled executions left out."""
    points = [((iso(hour.start) or "")[:13].replace("T", " ") + ":00", ended(hour.counts)) for hour in found.trend]
    return [TrendPoint(name, *numbers) for name, numbers in points if numbers[0]]


def _live(found: Statistics, known: Known) -> LiveAnswer:
    total, _, failed = ended(found.overall.counts)
    live = known.live
    scheduled = live.scheduled if live is not None else job_numbers(known.jobs, known.queues).by_status["SCHEDULED"]
    latest = LatestExecutions(total, failed) if found.counted else LatestExecutions(None, None)
    return LiveAnswer(iso(found.end), known.running_count, scheduled, latest)
