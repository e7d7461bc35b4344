"""APScheduler 3: when each job runs next. What has run, or runs now, is nowhere."""

from __future__ import annotations

from contract.truth.asking import Database
from contract.truth.model import Job, Recurring, Told


def told(db: Database) -> Told:
    rows = db.rows("SELECT id, next_run_time AS due FROM apscheduler_jobs")
    jobs = [(row["id"], "PENDING" if row["due"] is None else "SCHEDULED", row["due"]) for row in rows]
    return Told(
        now=db.now(),
        jobs=[],
        recurring=[Recurring(id=id, name=id, task_type="", status=status, next_run=due) for id, status, due in jobs],
        listed=tuple(Job(id=id, task_type="", status=status, due=due, waits_since=due) for id, status, due in jobs),
    )
