"""Quartz with a JDBC job store, by its delegate's statements: triggers, what has fired and not ended, who checks in.

Times are Unix milliseconds; -1, and 0, mean never. What has ended leaves nothing.
"""

from __future__ import annotations

from typing import Any, Final

from contract.truth.asking import Database
from contract.truth.model import LIVE, Job, Recurring, Running, Told, Worker

_STATUSES: Final = {
    "PAUSED": "PENDING", "PAUSED_BLOCKED": "PENDING", "BLOCKED": "QUEUED", "ERROR": "FAILED", "COMPLETE": "COMPLETED",
}  # fmt: skip


def told(db: Database) -> Told:
    triggers = db.rows(
        """SELECT trigger_group || '.' || trigger_name AS id, job_group || '.' || job_name AS task, sched_name,
                  trigger_state, next_fire_time, repeat_count
           FROM qrtz_triggers LEFT JOIN qrtz_simple_triggers USING (sched_name, trigger_name, trigger_group)"""
    )
    fired = db.rows(
        """SELECT trigger_group || '.' || trigger_name AS id, job_group || '.' || job_name AS task, fired_time,
                  sched_name || '/' || instance_name AS node
           FROM qrtz_fired_triggers WHERE state = 'EXECUTING'"""
    )
    nodes = db.rows("SELECT sched_name || '/' || instance_name AS id, last_checkin_time FROM qrtz_scheduler_state")
    busy = {one["id"] for one in fired}
    jobs = [(_job(one, busy), one["repeat_count"] == 0) for one in triggers]
    return Told(
        now=db.now(),
        jobs=[job for job, once in jobs if once],
        recurring=[
            Recurring(id=job.id, name=job.id, task_type=job.task_type, status=job.status, next_run=job.due)
            for job, once in jobs
            if not once
        ],
        listed=tuple(job for job, once in jobs if not once and job.status in LIVE),
        running=[
            Running(job=one["id"], task_type=one["task"], began=one["fired_time"] / 1000, worker=one["node"])
            for one in fired
        ],
        workers=[Worker(id=one["id"], seen=one["last_checkin_time"] / 1000) for one in nodes],
    )


def _job(trigger: dict[str, Any], busy: set[str]) -> Job:
    due = trigger["next_fire_time"] / 1000 if (trigger["next_fire_time"] or 0) > 0 else None
    status = "RUNNING" if trigger["id"] in busy else _STATUSES.get(trigger["trigger_state"], "SCHEDULED")
    return Job(
        id=trigger["id"], task_type=trigger["task"], queue=trigger["sched_name"], status=status, due=due,
        waits_since=due,
    )  # fmt: skip
