"""What stays unknown where a profile does not give something. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

#: What an entity is for: absent where the profile does not map it.
NOT_MAPPED: Final[Mapping[str, str]] = {
    "jobs": "jobs by status, queues, schedules, overdue jobs",
    "executions": "counts, durations, failures in a row",
    "running": "what runs now, stuck and orphaned executions",
    "workers": "workers, lost workers, orphaned executions",
    "operations": "operations by stage",
    "connections": "servers that the scheduler knows, as targets",
}
_LIVE: Final = {
    "name": "names of overdue jobs",
    "task_type": "task types of overdue jobs",
    "queue": "queues: all jobs count as one queue without a name",
    "type": "every job counts as ONE_TIME",
    "next_run_at": "overdue jobs, and when a scheduled job becomes ready",
    "created_at": "since when ready jobs without next_run_at wait",
}
#: entity -> canonical column -> what is unknown without it. Columns that cost nothing are left out.
WITHOUT: Final[Mapping[str, Mapping[str, str]]] = {
    "jobs": {
        "name": "names of recurring jobs",
        "task_type": "task types of recurring jobs",
        "type": "recurring jobs, their next runs, missed runs: every job counts as ONE_TIME",
        "schedule": "next runs, where next_run_at is absent or NULL",
        "time_zone": "cron texts are read in UTC",
        "next_run_at": "next runs, unless computed from schedule",
        "last_run_at": "a missed run is noticed only from the exporter's start on, unless executions tell the start",
    },
    "live_jobs": _LIVE,
    "job_by_id": {},
    "executions": {
        "job_id": "failures in a row, last success",
        "job_name": "names of failing jobs (their ids are shown)",
        "recurring_id": "last success of a recurring job, unless job_id is that job's id",
        "task_type": 'everything counts under the task type ""',
        "attempt": "retries",
        "scheduled_at": "wait times",
        "started_at": "durations, wait times",
        "completed_at": "durations, the newest execution, last success, failures in a row",
        "worker_id": "executions by worker",
    },
    "running": {
        "job_id": "whether a recurring job runs now (then it is not overdue)",
        "task_type": 'everything counts under the task type "", stuck_after\'s default holds',
        "started_at": "stuck executions, the oldest start",
        "worker_id": "running by worker, orphaned executions",
    },
    "workers": {
        "last_seen": "lost workers, the latest heartbeat",
        "is_paused": "paused workers",
        "is_draining": "draining workers",
    },
    "operations": {},
    "connections": {
        "name": "names of targets (they are called STORE/ID)",
        "vault_path": "credentials from Vault: connections.store_targets holds for all",
    },
}


def without(entity: str, columns: Mapping[str, str], *, has_live_jobs: bool) -> dict[str, str]:
    """Canonical columns that ``columns`` lacks, and what stays unknown without each."""
    costs = dict(WITHOUT[entity])
    if entity == "jobs" and not has_live_jobs:
        costs = {**_LIVE, **costs}  # jobs is then read for the unfinished ones too
    return {name: cost for name, cost in costs.items() if name not in columns}
