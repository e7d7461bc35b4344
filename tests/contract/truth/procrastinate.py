"""procrastinate: a job's events in their order are its history; its row says what has become of it."""

from __future__ import annotations

from itertools import groupby
from typing import Any, Final

from contract.truth.asking import Database
from contract.truth.model import Job, Recurring, Run, Running, Told, Worker, waiting

_ENDS: Final = {
    "succeeded": "SUCCESS",
    "failed": "FAILED",
    "deferred_for_retry": "FAILED",
    "aborted": "CANCELLED",
}
_STATUSES: Final = {
    "doing": "RUNNING",
    "succeeded": "COMPLETED",
    "failed": "FAILED",
    "cancelled": "CANCELLED",
    "aborted": "CANCELLED",
}


def told(db: Database) -> Told:
    now = db.now()
    rows = db.rows(
        "SELECT id::text, task_name, queue_name, status::text, scheduled_at, worker_id::text FROM procrastinate_jobs"
    )
    jobs = {row["id"]: row for row in rows}
    periodic = db.rows("SELECT DISTINCT task_name, periodic_id FROM procrastinate_periodic_defers")
    events = db.rows("SELECT job_id::text, type::text, at FROM procrastinate_events ORDER BY job_id, id")
    of_job = {job: list(steps) for job, steps in groupby(events, key=lambda event: str(event["job_id"]))}
    ticks = {row["id"] for row in db.rows("SELECT id::text FROM procrastinate_jobs WHERE args ? 'timestamp'")}
    names = {row["task_name"]: ":".join(filter(None, row.values())) for row in periodic}
    return Told(
        now=now,
        jobs=[_job(job, now, of_job[job["id"]]) for job in rows],
        runs=[
            run
            for job, steps in of_job.items()
            for run in _runs(jobs[job], steps, names[jobs[job]["task_name"]] if job in ticks else None)
        ],
        running=[
            Running(
                job=j["id"], task_type=j["task_name"], began=_last(of_job[j["id"]], "started"), worker=j["worker_id"]
            )
            for j in rows
            if j["status"] == "doing"
        ],
        workers=[
            Worker(id=row["id"], seen=row["last_heartbeat"])
            for row in db.rows("SELECT id::text, last_heartbeat FROM procrastinate_workers")
        ],
        recurring=[Recurring(id=i, name=task, task_type=task) for task, i in names.items()],
    )


def _last(steps: list[dict[str, Any]], kind: str) -> float | None:
    return max((step["at"] for step in steps if step["type"] == kind), default=None)


def _job(job: dict[str, Any], now: float, steps: list[dict[str, Any]]) -> Job:
    due = job["scheduled_at"]
    return Job(
        id=job["id"],
        task_type=job["task_name"],
        queue=job["queue_name"],
        status=_STATUSES.get(job["status"]) or waiting(due, now),
        due=due,
        waits_since=due if due is not None else steps[0]["at"],
    )


def _runs(job: dict[str, Any], steps: list[dict[str, Any]], recurs: str | None) -> list[Run]:
    """Each end with the start before it, due when it was last put off until then."""
    found: list[Run] = []
    due = began = 0.0
    starts = [n for n, step in enumerate(steps) if step["type"] == "started"]
    for n, step in enumerate(steps):
        if step["type"] == "started":
            began, first = step["at"], n == starts[0]
            due_then, due = due, 0.0
        else:
            due = max(due, step["at"])
        if step["type"] in _ENDS and n > min(starts, default=n):
            found.append(
                Run(
                    job=job["id"], task_type=job["task_name"], status=_ENDS[step["type"]], ended=step["at"],
                    began=began, due=due_then, retry=not first, recurs=recurs,
                    # The row has its last worker only.
                    worker=job["worker_id"], passing=frozenset({"worker"} if n < starts[-1] else ()),
                )
            )  # fmt: skip
    return found
