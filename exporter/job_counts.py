"""How many jobs and workers there are, put together from what questions found. Pure: for whatever shows them.

Belongs here: sums over parts that metrics, the API and pages have to agree on. Does not: how they are shown.
"""

from __future__ import annotations

from exporter.domain import (
    JOB_STATUSES,
    JOB_TYPES,
    LIVE_STATUSES,
    WORKER_STATES,
    JobCounts,
    Queues,
    Schedules,
    Workers,
)


def job_counts(jobs: JobCounts | None, queues: Queues | None) -> dict[tuple[str, str], int]:
    """Jobs by (status, type): live statuses from the latest poll, finished ones from the last full count.

    What neither of them knows is missing.
    """
    counts: dict[tuple[str, str], int] = {}
    if jobs is not None:
        every = {} if jobs.by_type is not None else {(status, kind): 0 for status in JOB_STATUSES for kind in JOB_TYPES}
        counts = every | jobs.by_status
    if queues is not None:
        # Recurring definitions need not be among the unfinished jobs that a poll counts.
        polled = {(status, kind): 0 for status in LIVE_STATUSES for kind in JOB_TYPES if kind == "ONE_TIME"}
        counts |= polled | queues.by_status
    return counts


def overdue_count(queues: Queues | None, schedules: Schedules | None) -> int | None:
    """Jobs past their next run by more than the grace and not started, one-time and recurring; None where unknown."""
    late = queues.overdue_count if queues is not None else None
    if schedules is None:
        return late
    return sum(job.overdue_since is not None for job in schedules.jobs) + (late or 0)


def by_state(workers: Workers) -> dict[str, int]:
    """Workers by state; a state that is missing is unknown."""
    if workers.told is not None:
        return workers.told
    return {state: sum(worker.state == state for worker in workers.workers) for state in WORKER_STATES}
