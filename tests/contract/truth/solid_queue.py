"""Solid Queue, by its models: what a job waits for, or how it ended, is a row in a table of its own.

Active Job's ``retry_on`` puts a job of the same ``active_job_id`` in its place and the one that failed is finished.
"""

from __future__ import annotations

import json
from typing import Any, Final

from contract.truth.asking import Database
from contract.truth.model import Job, Recurring, Run, Running, Told, Worker, cron, waiting

_STATES: Final = (("failed", "FAILED"), ("claimed", "RUNNING"), ("blocked", "PENDING"), ("ready", "QUEUED"))


def told(db: Database) -> Told:
    now = db.now()
    jobs = {job["id"]: job for job in db.rows("SELECT * FROM solid_queue_jobs")}
    of = {
        state: {row["job_id"]: row for row in db.rows(f"SELECT * FROM solid_queue_{state}_executions")}
        for state in ("failed", "claimed", "blocked", "ready", "recurring")
    }
    keys = {job: f"recurring:{row['task_key']}" for job, row in of["recurring"].items()}
    ended = [(job["id"], "SUCCESS", job["finished_at"]) for job in jobs.values() if job["finished_at"] is not None]
    failed = [(row["job_id"], "FAILED", row["created_at"]) for row in of["failed"].values()]
    retried = {job["id"] for job in jobs.values() if _retried(job, jobs)}
    return Told(
        now=now,
        jobs=[
            Job(
                id=str(job["id"]), task_type=job["class_name"], queue=job["queue_name"], due=job["scheduled_at"],
                status=_status(job, of, now), waits_since=job["scheduled_at"],
            )
            for job in jobs.values()
        ],
        runs=[
            Run(
                job=str(job), task_type=jobs[job]["class_name"], status="FAILED" if job in retried else status,
                ended=at, retry=_arguments(jobs[job])["executions"] > 0, recurs=keys.get(job), said=status == "FAILED",
            )
            for job, status, at in [*ended, *failed]
        ],
        running=[
            Running(
                job=str(job), task_type=jobs[job]["class_name"], began=row["created_at"],
                worker=None if row["process_id"] is None else str(row["process_id"]),
            )
            for job, row in of["claimed"].items()
        ],
        workers=[
            Worker(id=str(one["id"]), seen=one["last_heartbeat_at"])
            for one in db.rows("SELECT id, last_heartbeat_at FROM solid_queue_processes WHERE kind = 'Worker'")
        ],
        recurring=[
            _recurring(task, [row["run_at"] for row in of["recurring"].values() if row["task_key"] == task["key"]])
            for task in db.rows("SELECT key, schedule, class_name FROM solid_queue_recurring_tasks")
        ],
    )  # fmt: skip


def _arguments(job: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(job["arguments"])
    return found


def _retried(job: dict[str, Any], jobs: dict[int, dict[str, Any]]) -> bool:
    """Whether an exception put another in its place; what was only interrupted has had as many as before."""
    mine = _arguments(job)["exception_executions"]
    after = [one for one in jobs.values() if one["active_job_id"] == job["active_job_id"] and one["id"] > job["id"]]
    return any(_arguments(one)["exception_executions"] != mine for one in after)


def _status(job: dict[str, Any], of: dict[str, dict[int, dict[str, Any]]], now: float) -> str:
    if job["finished_at"] is not None:
        return "COMPLETED"
    found = (status for state, status in _STATES if job["id"] in of[state])
    return next(found, None) or waiting(job["scheduled_at"], now)


def _recurring(task: dict[str, Any], runs: list[float]) -> Recurring:
    """A crontab's next run after its last; what is written in words is read by the application alone."""
    key, written = task["key"], task["schedule"].split()
    due = cron(int(written[0]), None, max(runs)) if len(written) == 5 and runs else None
    return Recurring(id=f"recurring:{key}", name=key, task_type=task["class_name"] or key, next_run=due)
