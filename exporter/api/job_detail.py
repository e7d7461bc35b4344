"""``data`` of ``GET /api/jobs/{id}``: what the store says of a job, and what is known of its latest executions."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec.structs import replace

from exporter.api.known import Known
from exporter.api.recurring import job_log
from exporter.api.wire import iso
from exporter.domain import RecurringJob
from exporter.httpd.context import Context
from exporter.httpd.problems import HttpError
from exporter.stores.found import Job, LoggedExecution
from exporter.stores.reads import LogFilter

#: The newest executions that are looked at for the last success and a streak of failures.
LOOKED_AT = 100


class JobView(msgspec.Struct, rename="camel"):
    """A job; times in ISO. ``consecutiveFailures``: its latest executions that failed in a row."""

    id: str
    name: str | None
    task_type: str | None
    status: str | None
    type: str | None
    queue: str | None
    schedule: str | None
    timezone: str | None
    next_run_at: str | None
    last_run_at: str | None
    last_success_at: str | None
    consecutive_failures: int | None
    created_at: str | None
    updated_at: str | None


async def job_view(context: Context, store: str, job_id: str) -> JobView:
    """The job of this id. HttpError 404; StoreError."""
    job, recurring, page = await job_log(context, store, job_id, LogFilter(), limit=LOOKED_AT)
    if job is None and page is None:
        raise HttpError(404, f"job {job_id!r} not found")
    latest = page.executions if page is not None else ()
    remembered = await context.history.job(store, job_id)
    running = Known(context.hub.current, store).running_of(job_id)
    starts = [*(e.started_at for e in running), *(e.started_at for e in latest)]
    runs = [at for at in starts if at is not None]
    successes = [e.completed_at for e in latest if e.status == "SUCCESS" and e.completed_at is not None]
    if remembered is not None:
        runs += [remembered.last_started] if remembered.last_started else []
        successes += [remembered.last_success] if remembered.last_success else []
    streak = streak_of(latest)
    if remembered is not None and (streak is None or streak == len(latest)):
        streak = remembered.streak
    view = _described(job_id, job, recurring, latest[0] if latest else None)
    return replace(
        view,
        last_run_at=iso(max(runs, default=None)),
        last_success_at=iso(max(successes, default=None)),
        consecutive_failures=streak if page is not None else None,
    )


def streak_of(latest: Sequence[LoggedExecution]) -> int | None:
    """Failures since the latest success, of what is newest first; cancelled executions are neither.

    A log is in the order of the starts, and what began first may end last: ends tell better.
    """
    ends = [execution.completed_at for execution in latest]
    if None not in ends:
        latest = sorted(latest, key=lambda execution: -(execution.completed_at or 0.0))
    streak = 0
    for execution in latest:
        if execution.status == "SUCCESS":
            break
        streak += execution.status != "CANCELLED"
    return streak


def _described(job_id: str, job: Job | None, recurring: RecurringJob | None, newest: LoggedExecution | None) -> JobView:
    kind = job.type or "ONE_TIME" if job is not None else "RECURRING" if recurring is not None else None
    due = job.next_run_at if job is not None else None
    if recurring is not None and due is None:  # from cron text and time zone
        due = recurring.next_run
    about = job or recurring
    return JobView(
        id=job_id,
        name=about.name if about is not None else newest.job_name if newest is not None else None,
        task_type=about.task_type if about is not None else newest.task_type if newest is not None else None,
        status=about.status if about is not None else None,
        type=kind,
        queue=job.queue if job is not None else newest.queue if newest is not None else None,
        schedule=about.schedule if about is not None else None,
        timezone=about.time_zone if about is not None else None,
        next_run_at=iso(due),
        last_run_at=None,
        last_success_at=None,
        consecutive_failures=None,
        created_at=iso(job.created_at) if job is not None else None,
        updated_at=iso(job.updated_at) if job is not None else None,
    )
