"""Celery on Django: a result's row has the last attempt, without a number; beat's rows have what recurs."""

from __future__ import annotations

from typing import Any, Final

from contract.truth.asking import Database
from contract.truth.model import Job, Recurring, Run, Running, Told, cron

_STATUSES: Final = {
    "SUCCESS": "COMPLETED", "FAILURE": "FAILED", "REVOKED": "CANCELLED", "STARTED": "RUNNING", "RETRY": "SCHEDULED",
    "PENDING": "QUEUED", "RECEIVED": "QUEUED",
}  # fmt: skip
_ENDS: Final = {"SUCCESS": "SUCCESS", "FAILURE": "FAILED", "REVOKED": "CANCELLED"}


def told(db: Database) -> Told:
    results = db.rows("SELECT * FROM django_celery_results_taskresult")
    periodic = db.rows(
        """SELECT p.name, p.task, p.enabled, p.date_changed, c.minute, c.hour
           FROM django_celery_beat_periodictask p
           LEFT JOIN django_celery_beat_crontabschedule c ON c.id = p.crontab_id"""
    )
    runs = [_run(row) for row in results if row["status"] in _ENDS and row["date_started"] is not None]
    return Told(
        now=db.now(),
        jobs=[
            Job(
                id=row["task_id"], task_type=row["task_name"], status=_STATUSES[row["status"]],
                waits_since=row["date_created"],
            )
            for row in results
        ],
        runs=runs,
        running=[
            Running(job=row["task_id"], task_type=row["task_name"], began=row["date_started"], worker=row["worker"])
            for row in results
            if row["status"] == "STARTED"
        ],
        recurring=[_recurring(row, runs) for row in periodic],
    )  # fmt: skip


def _run(row: dict[str, Any]) -> Run:
    late = row["status"] == "FAILURE" and 'TimeLimitExceeded"' in row["result"]
    return Run(
        job=row["task_id"], task_type=row["task_name"], status="TIMEOUT" if late else _ENDS[row["status"]],
        ended=row["date_done"], began=row["date_started"], worker=row["worker"], recurs=row["periodic_task_name"],
    )  # fmt: skip


def _recurring(row: dict[str, Any], runs: list[Run]) -> Recurring:
    """A crontab's next run is that after the last one, or after it was set up; an interval has none here."""
    name, due = row["name"], None
    if row["enabled"] and row["minute"] is not None:
        begun = [run.began for run in runs if run.recurs == name and run.began is not None]
        hour = None if row["hour"] == "*" else int(row["hour"])
        due = cron(int(row["minute"]), hour, max([row["date_changed"], *begun]))
    status = "SCHEDULED" if row["enabled"] else "PENDING"
    return Recurring(id=name, name=name, task_type=row["task"], status=status, next_run=due)
