"""How many jobs there are, put together from what several questions found. Pure: for whatever shows jobs.

Belongs here: sums over parts that metrics, the API and pages have to agree on. Does not: how they are shown.
"""

from __future__ import annotations

from exporter.domain import JOB_STATUSES, JOB_TYPES, LIVE_STATUSES, JobCounts, Queues, Schedules


def job_counts(jobs: JobCounts | None, queues: Queues | None) -> dict[tuple[str, str], int]:
    """Jobs by (status, type): live statuses from the latest poll, finished ones from the last full count.

    What neither of them knows is missing.
    """
    counts: dict[tuple[str, str], int] = {}
    if jobs is not None:
        counts = {(status, kind): 0 for status in JOB_STATUSES for kind in JOB_TYPES} | jobs.by_status
    if queues is not None:
        # Recurring definitions need not be among the unfinished jobs that a poll counts.
        polled = {(status, kind): 0 for status in LIVE_STATUSES for kind in JOB_TYPES if kind == "ONE_TIME"}
        counts |= polled | queues.by_status
    return counts


def overdue_count(queues: Queues | None, schedules: Schedules | None) -> int | None:
    """Jobs past their next run by more than the grace and not started, one-time and recurring; None where unknown."""
    if queues is None and schedules is None:
        return None
    recurring = sum(job.overdue_since is not None for job in schedules.jobs) if schedules is not None else 0
    return recurring + (queues.overdue_count if queues is not None else 0)
