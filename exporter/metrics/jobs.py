"""Jobs by status, queues, schedules, failing and overdue jobs. Reads the parts of the collectors in INPUTS."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from fnmatch import translate
from functools import lru_cache
from itertools import islice
from typing import Final, cast

from exporter.domain import (
    Executions,
    FailingJob,
    JobCounts,
    OverdueJob,
    Queues,
    QueueState,
    RecurringJob,
    Schedules,
)
from exporter.job_counts import job_counts, overdue_count
from exporter.metrics.budget import folded, settings, top
from exporter.metrics.family import Families, Family, Sample, View

SCOPE: Final = "store"
INPUTS: Final = ("jobs", "queues", "schedules", "executions", "settings")

_JOB: Final = ("store", "job_id", "job_name", "task_type")
JOBS = Family(
    "scheduling_jobs",
    "gauge",
    "Jobs in the store by status and type; finished ones as of the last full count (collector jobs).",
    ("store", "status", "type"),
)
QUEUE = Family(
    "scheduling_queue_jobs",
    "gauge",
    "Unfinished jobs by queue: ready (due and not started), scheduled (not yet due), running.",
    ("store", "queue", "state"),
)
OLDEST_READY = Family(
    "scheduling_queue_oldest_ready_timestamp_seconds",
    "gauge",
    "Since when the queue's oldest job that is due and not started has been due; absent when none is.",
    ("store", "queue"),
)
FAILURES = Family(
    "scheduling_job_consecutive_failures",
    "gauge",
    "How many of the job's latest executions failed in a row; jobs with at least one.",
    (*_JOB, "critical"),
)
LAST_SUCCESS = Family(
    "scheduling_job_last_success_timestamp_seconds", "gauge", "When the recurring job last succeeded.", _JOB
)
NEXT_RUN = Family(
    "scheduling_job_next_run_timestamp_seconds",
    "gauge",
    "When the recurring job runs next: from the store, or from its cron text and time zone.",
    _JOB,
)
OVERDUE = Family(
    "scheduling_job_overdue_seconds",
    "gauge",
    "How long the job is past its next run without having started, once that is more than the grace.",
    _JOB,
)
OVERDUE_COUNT = Family(
    "scheduling_jobs_overdue", "gauge", "Jobs past their next run by more than the grace and not started.", ("store",)
)


def collect(view: View) -> Families:
    """Gauges only: what is stale or not mapped by the profile is absent."""
    store, limit = view.source, settings(view).series_per_metric
    jobs, queues = cast("JobCounts | None", view.fresh("jobs")), cast("Queues | None", view.fresh("queues"))
    schedules = cast("Schedules | None", view.fresh("schedules"))
    yield JOBS, _jobs(store, jobs, queues)
    if queues is not None:
        yield from _queues(store, queues, limit)
    executions = cast("Executions | None", view.fresh("executions"))
    if executions is not None:
        yield FAILURES, _failures(view, executions.counts.failing, limit)
    if schedules is not None:
        yield from _schedules(store, schedules.jobs, limit)
    if queues is not None or schedules is not None:
        yield from _overdue(view, queues, schedules, limit)


def _jobs(store: str, jobs: JobCounts | None, queues: Queues | None) -> list[Sample]:
    return [((store, status, kind), n) for (status, kind), n in job_counts(jobs, queues).items()]


def _queues(store: str, queues: Queues, limit: int) -> Families:
    states = folded(queues.queues, limit // 3, lambda q: q.ready + q.scheduled + q.running, _add)
    rows: list[Sample] = []
    for queue, state in states.items():
        rows.append(((store, queue, "ready"), state.ready))
        rows.append(((store, queue, "scheduled"), state.scheduled))
        rows.append(((store, queue, "running"), state.running))
    yield QUEUE, rows
    yield (
        OLDEST_READY,
        [((store, queue), state.oldest_ready) for queue, state in states.items() if state.oldest_ready is not None],
    )


def _add(a: QueueState, b: QueueState) -> QueueState:
    oldest = [t for t in (a.oldest_ready, b.oldest_ready) if t is not None]
    return QueueState(
        ready=a.ready + b.ready,
        scheduled=a.scheduled + b.scheduled,
        running=a.running + b.running,
        oldest_ready=min(oldest, default=None),
    )


def _failures(view: View, failing: Sequence[FailingJob], limit: int) -> list[Sample]:
    """Critical jobs come first: somebody is woken by the first failure of one, however many others fail."""
    pattern = _any_of(settings(view).critical_jobs)

    def critical(job: FailingJob) -> bool:
        return any(map(pattern.match, (job.job_name, job.job_id, job.task_type)))

    chosen = [(job, "true") for job in failing if critical(job)][:limit]
    others = ((job, "false") for job in failing if not critical(job))
    chosen += islice(others, limit - len(chosen))
    return [((view.source, job.job_id, job.job_name, job.task_type, told), job.streak) for job, told in chosen]


@lru_cache(maxsize=8)
def _any_of(patterns: tuple[str, ...]) -> re.Pattern[str]:
    """What a name that one of the patterns means matches; nothing where there are none."""
    return re.compile("|".join(map(translate, patterns)) or r"(?!)")


def _schedules(store: str, jobs: Iterable[RecurringJob], limit: int) -> Families:
    def labels(job: RecurringJob) -> tuple[str, ...]:
        return (store, job.job_id, job.name, job.task_type)

    # The longest without a success, and the next to run, are what people look for.
    with_success = [job for job in jobs if job.last_success is not None]
    kept = top(with_success, limit, lambda job: -(job.last_success or 0.0))
    yield LAST_SUCCESS, [(labels(job), job.last_success or 0.0) for job in kept]
    with_next = [job for job in jobs if job.next_run is not None]
    kept = top(with_next, limit, lambda job: -(job.next_run or 0.0))
    yield NEXT_RUN, [(labels(job), job.next_run or 0.0) for job in kept]


def _overdue(view: View, queues: Queues | None, schedules: Schedules | None, limit: int) -> Families:
    late = list(queues.overdue) if queues is not None else []
    recurring = [
        OverdueJob(job_id=job.job_id, job_name=job.name, task_type=job.task_type, due=job.overdue_since)
        for job in (schedules.jobs if schedules is not None else ())
        if job.overdue_since is not None
    ]
    count = overdue_count(queues, schedules)
    if count is None:
        return
    part = view.parts.get("queues") or view.parts["schedules"]
    now = part.collected_at or 0.0
    kept = top(late + recurring, limit, lambda job: -job.due)
    yield (
        OVERDUE,
        [((view.source, job.job_id, job.job_name, job.task_type), max(0.0, now - job.due)) for job in kept],
    )
    yield OVERDUE_COUNT, [((view.source,), count)]
