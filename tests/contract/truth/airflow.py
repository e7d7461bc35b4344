"""Airflow 3: a task's last try is its row, those before in the history; what recurs are DAGs, what beats daemons."""

from __future__ import annotations

from typing import Any, Final

from contract.truth.asking import Database
from contract.truth.model import Job, Recurring, Run, Running, Told, Worker

_STATUSES: Final[dict[str | None, str]] = {
    None: "PENDING", "queued": "QUEUED", "running": "RUNNING", "restarting": "RUNNING", "success": "COMPLETED",
    "failed": "FAILED", "skipped": "CANCELLED", "upstream_failed": "CANCELLED", "removed": "CANCELLED",
}  # fmt: skip
_ENDS: Final = {"success": "SUCCESS", "failed": "FAILED"}
_TRIES: Final = """
  SELECT {id}::text AS id, dag_id, dag_id || '.' || task_id AS task, state, try_number, start_date, end_date, hostname,
         coalesce(queue, pool) AS queue, coalesce(scheduled_dttm, queued_dttm) AS due,
         coalesce(queued_dttm, scheduled_dttm) AS waits_since
  FROM {table}"""


def told(db: Database) -> Told:
    tasks = db.rows(_TRIES.format(id="id", table="task_instance"))
    before = db.rows(_TRIES.format(id="task_instance_id", table="task_instance_history"))
    daemons = db.rows("SELECT id, job_type || '/' || id AS name, latest_heartbeat, state FROM job")
    assigned = db.rows("SELECT id::text, queued_by_job_id AS daemon FROM task_instance WHERE state = 'running'")
    names = {daemon["id"]: daemon["name"] for daemon in daemons}
    ran_by = {row["id"]: names.get(row["daemon"]) for row in assigned}
    return Told(
        now=db.now(),
        jobs=[
            Job(
                id=task["id"], task_type=task["task"], queue=task["queue"], waits_since=task["waits_since"],
                status=_STATUSES.get(task["state"], "SCHEDULED"),
            )
            for task in tasks
        ],
        # What was never scheduled has no number: it was marked, or cleared, by hand.
        runs=[_run(task) for task in [*tasks, *before] if task["state"] in _ENDS and task["try_number"]],
        running=[
            Running(job=task["dag_id"], task_type=task["task"], began=task["start_date"], worker=ran_by[task["id"]])
            for task in tasks
            if task["state"] == "running"
        ],
        workers=[Worker(id=d["name"], seen=d["latest_heartbeat"]) for d in daemons if d["state"] == "running"],
        recurring=[
            Recurring(
                id=dag["dag_id"], name=dag["dag_id"], task_type=dag["dag_id"],
                status="PENDING" if dag["is_paused"] else "SCHEDULED",
                next_run=None if dag["is_paused"] else dag["next_dagrun_create_after"],
            )
            for dag in db.rows("SELECT dag_id, is_paused, next_dagrun_create_after FROM dag WHERE NOT is_stale")
        ],
        by_id=False,  # as the profile's header says
    )  # fmt: skip


def _run(task: dict[str, Any]) -> Run:
    """A task recurs with its DAG: its failures in a row are those of its tries, over all runs."""
    return Run(
        job=task["dag_id"], task_type=task["task"], status=_ENDS[task["state"]], ended=task["end_date"],
        began=task["start_date"], due=task["due"], retry=task["try_number"] > 1, worker=task["hostname"] or None,
        recurs=task["task"],
    )  # fmt: skip
