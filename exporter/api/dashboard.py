"""``/api/scheduler-monitoring/dashboard``: the overview in one answer; for a browser, the status page."""

from __future__ import annotations

import msgspec
from aiohttp import web

from exporter.api.asking import PERIODS, StoreAsked, from_state, snapshot_response, store_asked
from exporter.api.counted import statistics_of
from exporter.api.examples import example
from exporter.api.kept import KeptAnswers
from exporter.api.known import Known
from exporter.api.scheduler_metrics import MetricsAnswer, WorkerMetrics, metrics_of, workers_in_short
from exporter.api.scheduler_monitoring import FAMILY, StatusAnswer, status_of
from exporter.api.system import TrendPoint, trend_of
from exporter.api.wire import iso
from exporter.domain import FailingJob, OverdueJob, Statistics
from exporter.httpd.context import Context
from exporter.httpd.endpoint import Answer, Endpoint, Query

PERIOD = "24h"
#: Jobs that are listed.
LISTED = 10


class TopFailure(msgspec.Struct, rename="camel"):
    """A job whose latest executions failed."""

    job_id: str
    job_name: str | None
    task_type: str | None
    consecutive_failures: int
    last_failure_at: str | None


class Overdue(msgspec.Struct, rename="camel"):
    """A job past its next run."""

    job_id: str
    job_name: str | None
    task_type: str | None
    due_at: str | None


class AlertsInShort(msgspec.Struct):
    """Alerts that fire now; null: nobody can tell."""

    firing: int | None


class DashboardAnswer(msgspec.Struct, rename="camel"):
    """``GET /api/scheduler-monitoring/dashboard``; ``metrics`` and ``trend`` are of 24 hours."""

    status: StatusAnswer
    metrics: MetricsAnswer
    trend: list[TrendPoint]
    top_failures: list[TopFailure]
    overdue: list[Overdue]
    workers: WorkerMetrics
    alerts: AlertsInShort


def endpoints(context: Context) -> list[Endpoint]:
    """The one path."""

    kept = KeptAnswers()

    async def dashboard(call: Query[StoreAsked]) -> web.StreamResponse:
        if wants_page(call.request.headers.get("Accept", "")):
            return await context.landing(context, call)
        store = store_asked(call.params.store, context.config())
        found = await statistics_of(context, store, PERIODS[PERIOD])
        # Ages are told to the second that the snapshot is from.
        body = await kept.get(store, (found, context.hub.current), lambda: overview(store, found))
        return snapshot_response(body, found.end)

    async def overview(store: str, found: Statistics) -> DashboardAnswer:
        known = Known(context.hub.current, store)
        status = status_of(context, [known])
        failing = known.counts.failing if known.counts is not None else ()
        return DashboardAnswer(
            status=status,
            metrics=(await metrics_of(context, store, PERIOD))[0],
            trend=trend_of(found),
            top_failures=[_failure(job) for job in failing[:LISTED]],
            overdue=[_overdue(job) for job in known.overdue_jobs[:LISTED]],
            workers=workers_in_short(known),
            alerts=AlertsInShort(status.alerts_firing),
        )

    return [
        Endpoint(
            family=FAMILY,
            path="/api/scheduler-monitoring/dashboard",
            handler=from_state(dashboard),
            params=StoreAsked,
            summary="The overview in one answer; for a browser, the status page",
            answers={
                200: Answer(
                    kind=DashboardAnswer,
                    media=("application/json", "text/html"),
                    example=example("scheduler_monitoring_dashboard"),
                )
            },
            fails=(404, 503),
            headers={},
        )
    ]


def wants_page(accept: str) -> bool:
    """Whether a browser asks: HTML comes before JSON in what it accepts."""
    kinds = [part.partition(";")[0].strip().lower() for part in accept.split(",")]
    return "text/html" in kinds and "application/json" not in kinds[: kinds.index("text/html")]


def _failure(job: FailingJob) -> TopFailure:
    return TopFailure(job.job_id, job.job_name or None, job.task_type or None, job.streak, iso(job.last_failure))


def _overdue(job: OverdueJob) -> Overdue:
    return Overdue(job.job_id, job.job_name or None, job.task_type or None, iso(job.due))
