"""Oban for Elixir, by its engine's statements: an attempt that failed leaves an error with its end; a snooze takes the
attempt back; what a lost node had begun leaves nothing, unless it was the last attempt."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from contract.truth.asking import Database
from contract.truth.model import Job, Run, Running, Told

_STATUSES: Final = {
    "available": "QUEUED", "suspended": "PENDING", "scheduled": "SCHEDULED", "retryable": "SCHEDULED",
    "executing": "RUNNING", "completed": "COMPLETED", "discarded": "FAILED", "cancelled": "CANCELLED",
}  # fmt: skip
_ENDS: Final = {
    "completed": ("SUCCESS", "completed_at"),
    "discarded": ("FAILED", "discarded_at"),
    "cancelled": ("CANCELLED", "cancelled_at"),
}


def told(db: Database) -> Told:
    jobs = db.rows("SELECT *, id::text AS job, state::text AS state FROM oban_jobs")
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
            Running(job=job["job"], task_type=job["worker"], began=job["attempted_at"], worker=_node(job))
            for job in jobs
            if job["state"] == "executing"
        ],
        recurring=[],  # in the application's code
    )  # fmt: skip


def _node(job: dict[str, Any]) -> str:
    """The node and the queue's producer there."""
    return "/".join(job["attempted_by"])


def _runs(job: dict[str, Any]) -> list[Run]:
    last, failed = job["attempt"], {error["attempt"]: _at(error) for error in job["errors"]}
    status, column = _ENDS.get(job["state"], ("", ""))
    # What waits for another attempt, or was snoozed, is due later than its last start.
    ended_it = bool(status) and last > 0 and job["scheduled_at"] <= job["attempted_at"]
    found = [_retried(job, attempt, ended) for attempt, ended in failed.items() if not (ended_it and attempt == last)]
    if ended_it:
        found.append(
            Run(
                job=job["job"], task_type=job["worker"], status=status, ended=failed.get(last, job[column]),
                began=job["attempted_at"], due=job["scheduled_at"], retry=last > 1, worker=_node(job),
                said=last in failed,
            )
        )  # fmt: skip
    return found


def _retried(job: dict[str, Any], attempt: int, ended: float) -> Run:
    """Its start and its node are in the row until the job is tried again."""
    latest = attempt == job["attempt"]
    return Run(
        job=job["job"], task_type=job["worker"], status="FAILED", ended=ended, retry=attempt > 1, worker=_node(job),
        began=job["attempted_at"] if latest else job["inserted_at"],
        passing=frozenset(() if latest else {"worker", "began"}),
    )  # fmt: skip


def _at(error: dict[str, Any]) -> float:
    return datetime.fromisoformat(error["at"]).timestamp()
