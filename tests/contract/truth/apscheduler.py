"""APScheduler 3: when each job runs next. What has run, or runs now, is nowhere."""

from __future__ import annotations

from contract.truth.asking import Database
from contract.truth.model import Recurring, Told


def told(db: Database) -> Told:
    rows = db.rows("SELECT id, next_run_time FROM apscheduler_jobs")
    return Told(
        now=db.now(),
        jobs=[],
        recurring=[
            Recurring(
                id=row["id"], name=row["id"], task_type="", next_run=row["next_run_time"],
                status="PENDING" if row["next_run_time"] is None else "SCHEDULED",
            )
            for row in rows
        ],
        only_recurring=True,
    )  # fmt: skip
