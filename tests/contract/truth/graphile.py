"""Graphile Worker: what succeeded is gone; what failed for good has the moment of its end in its next run."""

from __future__ import annotations

from math import exp
from typing import Any

from contract.truth.asking import Database
from contract.truth.model import Job, Recurring, Run, Running, Told, waiting


def told(db: Database) -> Told:
    now = db.now()
    jobs = db.rows(
        """SELECT j.id::text, t.identifier AS task, coalesce(q.queue_name, '') AS queue, j.attempts, j.max_attempts,
                  j.run_at, j.locked_at, j.locked_by
           FROM graphile_worker._private_jobs j
           JOIN graphile_worker._private_tasks t ON t.id = j.task_id
           LEFT JOIN graphile_worker._private_job_queues q ON q.id = j.job_queue_id"""
    )
    tasks = db.rows("SELECT identifier FROM graphile_worker._private_tasks")
    crontab = db.rows("SELECT identifier FROM graphile_worker._private_known_crontabs")
    over = [job for job in jobs if job["locked_at"] is None and job["attempts"] >= job["max_attempts"]]
    return Told(
        now=now,
        jobs=[_job(job, now, over) for job in jobs],
        # fail_job() puts the next run off by this, once more than there are attempts.
        runs=[
            Run(
                job=job["id"], task_type=job["task"], status="FAILED", retry=job["attempts"] > 1,
                ended=job["run_at"] - exp(min(job["attempts"], 10)),
            )
            for job in over
        ],
        outcomes=("FAILED",),
        running=[
            Running(job=job["id"], task_type=job["task"], began=job["locked_at"], worker=job["locked_by"])
            for job in jobs
            if job["locked_at"] is not None
        ],
        recurring=[
            Recurring(id=f"cron:{one['identifier']}", name=one["identifier"], task_type=one["identifier"])
            for one in crontab
        ],
        tasks=frozenset(task["identifier"] for task in tasks),
    )  # fmt: skip


def _job(job: dict[str, Any], now: float, over: list[dict[str, Any]]) -> Job:
    status = "RUNNING" if job["locked_at"] is not None else "FAILED" if job in over else waiting(job["run_at"], now)
    due = job["run_at"]
    return Job(id=job["id"], task_type=job["task"], queue=job["queue"], status=status, due=due, waits_since=due)
