"""River, by its driver's statements and its executor: a job's row has the errors of all attempts, each with its start.

``errors[].at`` is when the attempt began (the rescuer's: when it gave it up); its end is told only where it ended the
job. A snooze and a soft stop give the attempt back, but leave who made it in ``attempted_by``.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from contract.truth.asking import Database
from contract.truth.model import Job, Run, Running, Told, waiting

_STATUSES: Final = {
    "pending": "PENDING", "scheduled": "SCHEDULED", "retryable": "SCHEDULED", "running": "RUNNING",
    "completed": "COMPLETED", "discarded": "FAILED", "cancelled": "CANCELLED",
}  # fmt: skip
_ENDS: Final = {"completed": "SUCCESS", "discarded": "FAILED", "cancelled": "CANCELLED"}


def told(db: Database) -> Told:
    now = db.now()
    jobs = db.rows("SELECT *, id::text AS job, state::text AS state FROM river_job")
    return Told(
        now=now,
        jobs=[
            Job(
                id=job["job"], task_type=job["kind"], queue=job["queue"], due=job["scheduled_at"],
                status=_STATUSES.get(job["state"]) or waiting(job["scheduled_at"], now),
                waits_since=job["scheduled_at"],
            )
            for job in jobs
        ],
        runs=[run for job in jobs for run in _runs(job)],
        running=[
            Running(job=job["job"], task_type=job["kind"], began=job["attempted_at"], worker=job["attempted_by"][-1])
            for job in jobs
            if job["state"] == "running"
        ],
        recurring=[],  # in the application's code
    )  # fmt: skip


def _runs(job: dict[str, Any]) -> list[Run]:
    """A job that was put off after its last start is due later than that: it ended while it waited."""
    by, last = job["attempted_by"] or [], job["attempt"]
    ended_it = job["finalized_at"] is not None and last > 0 and job["scheduled_at"] <= job["attempted_at"]
    found = [
        Run(
            job=job["job"], task_type=job["kind"], status="FAILED", retry=error["attempt"] > 1,
            ended=datetime.fromisoformat(error["at"]).timestamp(),
            # Once the job was snoozed nothing tells whose the earlier ones were.
            worker=by[error["attempt"] - 1] if len(by) == last else by[-1],
            passing=frozenset(() if len(by) == last else {"worker"}),
        )
        for error in job["errors"] or ()
        if not (ended_it and error["attempt"] == last)
    ]  # fmt: skip
    if ended_it:
        found.append(
            Run(
                job=job["job"], task_type=job["kind"], status=_ENDS[job["state"]], ended=job["finalized_at"],
                began=job["attempted_at"], due=job["scheduled_at"], retry=last > 1, worker=by[-1],
            )
        )  # fmt: skip
    return found
