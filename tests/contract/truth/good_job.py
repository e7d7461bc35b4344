"""GoodJob 4, by its models: each start of a job is an execution of its own; its process beats in a row of its own."""

from __future__ import annotations

from typing import Any

from contract.truth.asking import Database
from contract.truth.model import Job, Run, Running, Told, Worker, waiting


def told(db: Database) -> Told:
    now = db.now()
    jobs = db.rows("SELECT *, id::text AS job, locked_by_id::text AS process FROM good_jobs")
    executions = db.rows(
        "SELECT *, active_job_id::text AS job, process_id::text AS process FROM good_job_executions ORDER BY created_at"
    )
    cron = {job["job"]: job["cron_key"] for job in jobs}
    before: dict[str, int] = {}
    runs = []
    for one in executions:
        nth = before[one["job"]] = before.get(one["job"], 0) + 1
        if one["finished_at"] is not None:
            runs.append(_run(one, nth, cron.get(one["job"])))
    return Told(
        now=now,
        jobs=[
            Job(
                id=job["job"], task_type=job["job_class"], queue=job["queue_name"], status=_status(job, now),
                due=job["scheduled_at"], waits_since=job["scheduled_at"] or job["created_at"],
            )
            for job in jobs
        ],
        runs=runs,
        running=[
            Running(job=job["job"], task_type=job["job_class"], began=job["performed_at"], worker=job["process"])
            for job in jobs
            if _status(job, now) == "RUNNING"
        ],
        workers=[
            Worker(id=one["process"], seen=one["updated_at"])
            for one in db.rows("SELECT id::text AS process, updated_at FROM good_job_processes")
        ],
        recurring=[],  # in the application's configuration
    )  # fmt: skip


def _status(job: dict[str, Any], now: float) -> str:
    """As its scopes have it; what a person discarded, no worker has run into."""
    if job["finished_at"] is not None:
        error = job["error"]
        by_hand = error is not None and error.startswith("GoodJob::Job::DiscardJobError: ")
        return "COMPLETED" if error is None else "CANCELLED" if by_hand else "FAILED"
    return "RUNNING" if job["performed_at"] is not None else waiting(job["scheduled_at"], now)


def _run(execution: dict[str, Any], nth: int, cron_key: str | None) -> Run:
    return Run(
        job=execution["job"], task_type=execution["job_class"], ended=execution["finished_at"],
        status="SUCCESS" if execution["error"] is None else "FAILED", began=execution["created_at"],
        due=execution["scheduled_at"], retry=nth > 1, worker=execution["process"], recurs=cron_key,
    )  # fmt: skip
