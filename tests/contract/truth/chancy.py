"""Chancy: a job's row has its last attempt; what cron pushes has the unique key of its entry."""

from __future__ import annotations

from typing import Any, Final

from contract.truth.asking import Database
from contract.truth.model import Job, Recurring, Run, Running, Told, Worker, waiting

_STATUSES: Final = {
    "running": "RUNNING", "succeeded": "COMPLETED", "failed": "FAILED", "expired": "FAILED", "cancelled": "CANCELLED",
}  # fmt: skip
_ENDS: Final = {"succeeded": "SUCCESS", "failed": "FAILED", "cancelled": "CANCELLED"}


def told(db: Database) -> Told:
    now = db.now()
    # A job that cron pushes has the time at which its entry was made: it cannot have been due before it was there.
    jobs = db.rows("SELECT *, id::text AS job, greatest(created_at, scheduled_at) AS due FROM chancy_jobs")
    crons = db.rows("SELECT unique_key, job->>'f' AS func, next_run FROM chancy_cron")
    workers = db.rows("SELECT worker_id, last_seen FROM chancy_workers")
    keys = {one["unique_key"] for one in crons}
    return Told(
        now=now,
        jobs=[
            Job(
                id=job["job"], task_type=job["func"], queue=job["queue"], due=job["due"], waits_since=job["due"],
                status=_STATUSES.get(job["state"]) or waiting(job["due"], now),
            )
            for job in jobs
        ],
        runs=[_run(job, keys) for job in jobs if job["state"] in _ENDS and job["started_at"] is not None],
        running=[
            Running(job=job["job"], task_type=job["func"], began=job["started_at"], worker=job["taken_by"])
            for job in jobs
            if job["state"] == "running"
        ],
        workers=[Worker(id=worker["worker_id"], seen=worker["last_seen"]) for worker in workers],
        recurring=[
            Recurring(id=f"cron:{one['unique_key']}", name=one["func"], task_type=one["func"], next_run=one["next_run"])
            for one in crons
        ],
    )  # fmt: skip


def _run(job: dict[str, Any], keys: set[str]) -> Run:
    return Run(
        job=job["job"], task_type=job["func"], status=_ENDS[job["state"]], ended=job["completed_at"],
        began=job["started_at"], due=job["due"], retry=job["attempts"] > 1, worker=job["taken_by"],
        recurs=f"cron:{job['unique_key']}" if job["unique_key"] in keys else None,
    )  # fmt: skip
