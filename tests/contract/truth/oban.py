"""Oban for Python: a job's row has its last attempt and the errors of all of them; producers are its workers."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from contract.truth.asking import Database
from contract.truth.model import Job, Run, Running, Told, Worker

_STATUSES: Final = {
    "available": "QUEUED", "suspended": "PENDING", "scheduled": "SCHEDULED", "retryable": "SCHEDULED",
    "executing": "RUNNING", "completed": "COMPLETED", "discarded": "FAILED", "cancelled": "CANCELLED",
}  # fmt: skip


def told(db: Database) -> Told:
    jobs = db.rows("SELECT *, id::text AS job, state::text AS state FROM oban_jobs")
    producers = db.rows(
        "SELECT node || '/' || uuid AS id, updated_at, (meta->>'paused')::bool AS paused FROM oban_producers"
    )
    return Told(
        now=db.now(),
        jobs=[
            Job(
                id=job["job"], task_type=job["worker"], queue=job["queue"], status=_STATUSES[job["state"]],
                due=job["scheduled_at"], waits_since=job["scheduled_at"],
            )
            for job in jobs
        ],
        runs=[run for job in jobs for run in _runs(job)],
        running=[
            Running(job=job["job"], task_type=job["worker"], began=job["attempted_at"], worker=_worker(job))
            for job in jobs
            if job["state"] == "executing"
        ],
        workers=[Worker(id=one["id"], seen=one["updated_at"], paused=bool(one["paused"])) for one in producers],
        recurring=[],  # in the application's code
    )  # fmt: skip


def _worker(job: dict[str, Any]) -> str:
    return "/".join(job["attempted_by"])


def _runs(job: dict[str, Any]) -> list[Run]:
    """The row has the start and the worker of its last attempt only; of those before, until they are tried again."""
    worker, last, found = _worker(job), job["attempt"], []
    earliest = job["inserted_at"]
    for error in job["errors"]:
        at, attempt = datetime.fromisoformat(error["at"]).timestamp(), error["attempt"]
        latest = attempt == last and job["state"] == "discarded"
        found.append(
            Run(
                job=job["job"], task_type=job["worker"], status="FAILED", ended=at, retry=attempt > 1, worker=worker,
                began=job["attempted_at"] if latest else earliest, due=job["scheduled_at"] if latest else None,
                passing=frozenset(() if latest else ("worker", "began")),
            )
        )  # fmt: skip
        earliest = at
    if job["state"] == "completed":
        found.append(
            Run(
                job=job["job"], task_type=job["worker"], status="SUCCESS", ended=job["completed_at"], retry=last > 1,
                began=job["attempted_at"], due=job["scheduled_at"], worker=worker,
            )
        )  # fmt: skip
    return found
