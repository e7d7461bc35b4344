"""PgQueuer: the log has every step of a job; its row is there until it ends. A worker is seen by the jobs it has."""

from __future__ import annotations

from itertools import groupby
from typing import Any, Final

from contract.truth.asking import Database
from contract.truth.model import Job, Recurring, Run, Running, Told, Worker, waiting

_FAILED: Final = ("exception", "failed", "queued")
_ENDS: Final = {"successful": "SUCCESS", "canceled": "CANCELLED", **dict.fromkeys(_FAILED, "FAILED")}
_STATUSES: Final = {"picked": "RUNNING", "successful": "COMPLETED", "canceled": "CANCELLED", "deleted": "CANCELLED"}


def told(db: Database) -> Told:
    now = db.now()
    log = db.rows("SELECT job_id::text, status::text, entrypoint, created FROM pgqueuer_log ORDER BY job_id, id")
    jobs = db.rows(
        """SELECT id::text, status::text, entrypoint, execute_after, queue_manager_id::text AS worker, heartbeat
           FROM pgqueuer"""
    )
    schedules = db.rows("SELECT 'schedule:' || id AS id, entrypoint, status::text, next_run FROM pgqueuer_schedules")
    held = [job for job in jobs if job["status"] == "picked"]
    began = {step["job_id"]: step["created"] for step in log if step["status"] == "picked"}
    return Told(
        now=now,
        jobs=[_job(job, now) for job in jobs],
        runs=[run for _, steps in groupby(log, key=lambda step: str(step["job_id"])) for run in _runs(list(steps))],
        running=[
            Running(job=job["id"], task_type=job["entrypoint"], began=began[job["id"]], worker=job["worker"])
            for job in held
        ],
        workers=[
            Worker(id=worker, seen=max(job["heartbeat"] for job in held if job["worker"] == worker))
            for worker in {job["worker"] for job in held}
        ],
        recurring=[
            Recurring(
                id=one["id"], name=one["entrypoint"], task_type=one["entrypoint"], next_run=one["next_run"],
                status="RUNNING" if one["status"] == "picked" else "SCHEDULED",
            )
            for one in schedules
        ],
    )  # fmt: skip


def _job(job: dict[str, Any], now: float) -> Job:
    due, status = job["execute_after"], job["status"]
    found = waiting(due, now) if status == "queued" else _STATUSES.get(status, "FAILED")
    return Job(id=job["id"], task_type=job["entrypoint"], status=found, due=due, waits_since=due)


def _runs(steps: list[dict[str, Any]]) -> list[Run]:
    """What follows a start ends it; another start takes over what a killed worker had."""
    starts = [n for n, step in enumerate(steps) if step["status"] == "picked"]
    return [
        Run(
            job=end["job_id"], task_type=end["entrypoint"], status=_ENDS[end["status"]], ended=end["created"],
            began=steps[n]["created"], retry=n != starts[0],
        )
        for n in starts
        if n + 1 < len(steps) and (end := steps[n + 1])["status"] in _ENDS
    ]  # fmt: skip
