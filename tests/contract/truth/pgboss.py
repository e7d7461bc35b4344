"""pg-boss: a job's row has its last attempt. 10 moves what has ended into an archive; 12 names a schedule's last."""

from __future__ import annotations

from typing import Any, Final

from contract.truth.asking import Database
from contract.truth.model import Job, Recurring, Run, Running, Told, cron, waiting

_STATUSES: Final = {"active": "RUNNING", "completed": "COMPLETED", "failed": "FAILED", "cancelled": "CANCELLED"}
_ENDS: Final = {"completed": "SUCCESS", "failed": "FAILED", "cancelled": "CANCELLED"}
_TIMEOUTS: Final = ("handler execution exceeded", "job timed out", "job heartbeat timeout")
_COLUMNS: Final = """id::text, name, state::text, retry_count, start_after, started_on, completed_on, created_on,
                     coalesce(output->>'message', output->'value'->>'message', '') AS message"""


def ten(db: Database) -> Told:
    jobs = _jobs(db, "boss_ten.job", "false")
    archived = _jobs(db, "boss_ten.archive", "false")
    return _told(db.now(), jobs, [*jobs, *archived], db.rows("SELECT name, cron, NULL AS last FROM boss_ten.schedule"))


def twelve(db: Database) -> Told:
    jobs = _jobs(db, "pgboss.job", "blocked")
    return _told(db.now(), jobs, jobs, db.rows("SELECT name, cron, last_job_id::text AS last FROM pgboss.schedule"))


def _jobs(db: Database, table: str, blocked: str) -> list[dict[str, Any]]:
    found = db.rows(f"SELECT {_COLUMNS}, {blocked} AS blocked FROM {table}")
    return [job for job in found if not job["name"].startswith("__pgboss__")]  # its own


def _told(now: float, jobs: list[dict[str, Any]], ever: list[dict[str, Any]], schedules: list[dict[str, Any]]) -> Told:
    recurs = {schedule["name"]: f"schedule:{schedule['name']}" for schedule in schedules}
    runs = [_run(job, recurs) for job in ever if job["completed_on"] is not None and _was_run(job)]
    made = {job["id"]: job["created_on"] for job in ever}
    return Told(
        now=now,
        jobs=[_job(job, now) for job in jobs],
        runs=runs,
        running=[
            Running(job=job["id"], task_type=job["name"], began=job["started_on"])
            for job in jobs
            if job["state"] == "active"
        ],
        recurring=[_recurring(schedule, runs, made) for schedule in schedules],
    )


def _was_run(job: dict[str, Any]) -> bool:
    """Not when it was cancelled while it waited for this attempt."""
    started = job["started_on"]
    return job["state"] != "cancelled" or (started is not None and started >= job["start_after"])


def _job(job: dict[str, Any], now: float) -> Job:
    due = job["start_after"]
    status = _STATUSES.get(job["state"]) or waiting(due, now)
    if status == "QUEUED" and job["blocked"]:
        status = "PENDING"
    return Job(
        id=job["id"], task_type=job["name"], queue=job["name"], status=status, due=due, waits_since=due
    )  # fmt: skip


def _run(job: dict[str, Any], recurs: dict[str, str]) -> Run:
    late = job["state"] == "failed" and job["message"].startswith(_TIMEOUTS)
    return Run(
        job=job["id"], task_type=job["name"], status="TIMEOUT" if late else _ENDS[job["state"]],
        ended=job["completed_on"], began=job["started_on"], due=job["start_after"], retry=job["retry_count"] > 0,
        recurs=recurs.get(job["name"]),
    )  # fmt: skip


def _recurring(schedule: dict[str, Any], runs: list[Run], made: dict[str, float]) -> Recurring:
    """Every minute, as the driver has it: the next one after the last that has begun."""
    name = schedule["name"]
    assert schedule["cron"] == "* * * * *"
    latest = [made[schedule["last"]]] if schedule["last"] is not None else []
    latest += [run.began for run in runs if run.task_type == name and run.began is not None]
    return Recurring(id=f"schedule:{name}", name=name, task_type=name, next_run=cron(None, None, max(latest)))
