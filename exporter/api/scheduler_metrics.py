"""``/api/scheduler-monitoring/metrics``: executions of a period in detail, workers, the process."""

from __future__ import annotations

from typing import Any

import msgspec
from aiohttp import web

from exporter.api.asking import PERIODS, PeriodAsked, from_state, snapshot_response, store_asked
from exporter.api.counted import statistics_of
from exporter.api.examples import example
from exporter.api.kept import KeptAnswers
from exporter.api.known import Known
from exporter.api.scheduler_monitoring import FAMILY
from exporter.api.system import apart, ended
from exporter.api.wire import milliseconds, percent
from exporter.domain import Figures, Statistics
from exporter.httpd.context import Context
from exporter.httpd.endpoint import Answer, Endpoint, Query
from exporter.job_counts import by_state


class ExecutionMetrics(msgspec.Struct, rename="camel"):
    """Executions that ended in the period; ``total`` = success + failed + timeout. Quantiles are within 2%."""

    total: int | None
    success: int | None
    failed: int | None
    timeout: int | None
    cancelled: int | None
    retries: int | None
    success_rate: str | None
    avg_duration_ms: int | None
    p50_ms: int | None
    p95_ms: int | None
    p99_ms: int | None
    max_ms: int | None
    per_minute: float | None


class TaskTypeMetrics(ExecutionMetrics, kw_only=True, rename="camel"):
    """The same of one task type."""

    task_type: str


class WorkerMetrics(msgspec.Struct):
    """Workers now. ``utilisation``: the share of active ones that run something, 0 to 1."""

    active: int | None
    lost: int | None
    utilisation: float | None


class ProcessMetrics(msgspec.Struct, rename="camel"):
    """The sidecar's process; ``cpuPercent`` of one core, since the sample before."""

    rss_bytes: int | None
    cpu_percent: float | None
    event_loop_lag_ms: float | None


class MetricsAnswer(msgspec.Struct, rename="camel"):
    """``GET /api/scheduler-monitoring/metrics``."""

    period: str
    executions: ExecutionMetrics
    by_task_type: list[TaskTypeMetrics]
    workers: WorkerMetrics
    process: ProcessMetrics


def endpoints(context: Context) -> list[Endpoint]:
    """The one path."""

    kept = KeptAnswers()

    async def metrics(call: Query[PeriodAsked]) -> web.StreamResponse:
        store = store_asked(call.params.store, context.config())
        period = call.params.period
        found = await statistics_of(context, store, PERIODS[period])
        known = Known(context.hub.current, store)

        async def build() -> MetricsAnswer:
            return (await metrics_of(context, store, period))[0]

        made_of = (found, known.attempts, known.workers, known.running, context.hub.current.part("process", ""))
        return snapshot_response(await kept.get((store, period), made_of, build), found.end)

    return [
        Endpoint(
            family=FAMILY,
            path="/api/scheduler-monitoring/metrics",
            handler=from_state(metrics),
            params=PeriodAsked,
            summary="Executions of a period with quantiles, by task type; workers; the process",
            answers={200: Answer(kind=MetricsAnswer, example=example("scheduler_monitoring_metrics"))},
            fails=(404, 503),
        )
    ]


async def metrics_of(context: Context, store: str, period: str) -> tuple[MetricsAnswer, float]:
    """The answer, and when it was true. HttpError 503 before the first poll."""
    found = await statistics_of(context, store, PERIODS[period])
    known = Known(context.hub.current, store)
    minutes, attempts = max(1.0, (found.end - found.start) / 60), known.attempts
    by_type = [
        TaskTypeMetrics(**_numbers(figures, minutes, attempts=attempts), task_type=name)
        for name, figures in found.by_label.items()
    ]
    answer = MetricsAnswer(
        period=period,
        executions=_overall(found, minutes, attempts=attempts),
        by_task_type=sorted(by_type, key=lambda row: (-(row.total or 0), row.task_type)),
        workers=workers_in_short(known),
        process=_process(context),
    )
    return answer, found.end


def _overall(found: Statistics, minutes: float, *, attempts: bool) -> ExecutionMetrics:
    if not found.counted:
        return ExecutionMetrics(*[None] * len(ExecutionMetrics.__struct_fields__))
    return ExecutionMetrics(**_numbers(found.overall, minutes, attempts=attempts))


def _numbers(figures: Figures, minutes: float, *, attempts: bool) -> dict[str, Any]:
    total, success, _ = ended(figures.counts)
    quantiles = ((50, figures.p50), (95, figures.p95), (99, figures.p99))
    return {
        "total": total,
        "success": success,
        **apart(figures, attempts=attempts),
        "success_rate": percent(success, total),
        "avg_duration_ms": milliseconds(figures.mean),
        **{f"p{q}_ms": milliseconds(_within(value, figures.max)) for q, value in quantiles},
        "max_ms": milliseconds(figures.max),
        "per_minute": round(total / minutes, 3),
    }


def _within(quantile: float | None, longest: float | None) -> float | None:
    """A quantile, which is true within 2%, not above the longest duration."""
    return quantile if quantile is None or longest is None else min(quantile, longest)


def workers_in_short(known: Known) -> WorkerMetrics:
    """Workers now."""
    if known.workers is None:
        return WorkerMetrics(None, None, None)
    active = [worker.id for worker in known.workers.workers if worker.state == "active"]
    states, running = by_state(known.workers), known.running
    busy = [worker.running for worker in known.workers.workers if worker.state == "active"]
    if running is not None and running.attributed and None in busy:
        busy = [running.by_worker.get(name, 0) for name in active]
    share = None if None in busy or not busy else round(sum(map(bool, busy)) / len(busy), 4)
    return WorkerMetrics(states.get("active"), states.get("lost"), share)


def _process(context: Context) -> ProcessMetrics:
    part = context.hub.current.part("process", "")
    if part is None or part.value is None:
        return ProcessMetrics(None, None, None)
    sampled: Any = part.value
    lag = sampled.loop_lag
    return ProcessMetrics(sampled.rss, sampled.cpu_percent, None if lag is None else round(lag * 1000, 3))
