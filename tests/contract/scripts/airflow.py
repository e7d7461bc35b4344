"""Airflow, as its tasks write."""

from __future__ import annotations

from typing import Final

from contract.scripts.model import Script

_NOW: Final = "clock_timestamp()"


def airflow_starts(task: str) -> str:
    """A try of a task begins; its number is that of the moment at which it was scheduled."""
    return f"""UPDATE task_instance SET state = 'running', start_date = {_NOW}, end_date = NULL, hostname = 'host-a',
                 try_number = try_number + coalesce((state = 'up_for_retry')::int, 1), queued_by_job_id = 1
               WHERE task_id = '{task}'"""


def airflow_ends(task: str, state: str) -> str:
    """A try of a task ends. One that is to be tried again goes into the history, and gets another id."""
    ended = f"UPDATE task_instance SET state = '{state}', end_date = {_NOW} WHERE task_id = '{task}'"
    if state != "up_for_retry":
        return ended
    return f"{ended}; {airflow_archives(task, state)}"


def airflow_archives(task: str, state: str) -> str:
    """What is to be tried again goes into the history, as failed where it has not ended, and gets another id."""
    return f"""
      INSERT INTO task_instance_history (task_instance_id, task_id, dag_id, run_id, try_number, start_date, end_date,
                                         state, hostname, scheduled_dttm)
      SELECT id, task_id, dag_id, run_id, try_number, start_date, coalesce(end_date, {_NOW}),
             CASE WHEN state IN ('success', 'failed') THEN state ELSE 'failed' END, hostname, scheduled_dttm
      FROM task_instance WHERE task_id = '{task}';
      UPDATE task_instance SET id = gen_random_uuid(), state = nullif('{state}', '') WHERE task_id = '{task}'"""


AIRFLOW: Final = Script(
    schema="airflow.sql",
    steps=(
        f"""INSERT INTO job (state, job_type, start_date, latest_heartbeat, hostname)
            VALUES ('running', 'SchedulerJob', {_NOW}, {_NOW}, 'host-a'),
                   ('running', 'TriggererJob', {_NOW}, {_NOW} - interval '1 h', 'host-a'),
                   ('success', 'SchedulerJob', {_NOW}, {_NOW}, 'host-b')""",
        f"""INSERT INTO dag VALUES ('work', false, false, {_NOW} + interval '1 min'), ('held', true, false, {_NOW}),
                   ('gone', false, true, NULL), ('late', false, false, {_NOW} - interval '1 h')""",
        f"""INSERT INTO task_instance (id, task_id, dag_id, run_id, state, try_number, scheduled_dttm)
            SELECT gen_random_uuid(), t, 'work', 'r', 'queued', 1, {_NOW}
            FROM unnest(ARRAY['slow', 'add', 'boom', 'flaky', 'lost', 'long']) t""",
        """INSERT INTO task_instance (id, task_id, dag_id, run_id)
           SELECT gen_random_uuid(), t, 'work', 'r' FROM unnest(ARRAY['down', 'next', 'marked', 'cleared']) t""",
        *(airflow_starts(task) for task in ("slow", "add", "boom", "flaky", "long")),
        # An executor that cannot begin a task fails it: such a try has an end, and no start.
        airflow_ends("lost", "failed"),
        airflow_ends("add", "success"),
        airflow_ends("boom", "failed"),
        # What never ran has both times all the same.
        f"""UPDATE task_instance SET state = 'upstream_failed', start_date = {_NOW}, end_date = {_NOW}
            WHERE task_id = 'down'""",
        # Nor did what a person marked as a success, or cleared, before it was scheduled.
        f"""UPDATE task_instance SET state = 'success', start_date = {_NOW}, end_date = {_NOW}
            WHERE task_id = 'marked'""",
        airflow_archives("cleared", ""),
        airflow_ends("flaky", "up_for_retry"),
        airflow_starts("flaky"),
        airflow_ends("flaky", "up_for_retry"),
        airflow_starts("flaky"),
        airflow_ends("flaky", "success"),
        # Begun before all others.
        airflow_ends("slow", "success"),
    ),
    later=(
        # Cleared, so that it runs again.
        airflow_archives("boom", ""),
        airflow_starts("boom"),
        airflow_ends("boom", "success"),
        # airflow db clean
        "DELETE FROM task_instance_history; DELETE FROM task_instance WHERE task_id IN ('add', 'lost')",
    ),
    counted={
        ("work.slow", "success"): 1, ("work.add", "success"): 1, ("work.boom", "failed"): 1,
        ("work.flaky", "failed"): 2, ("work.flaky", "success"): 1, ("work.lost", "failed"): 1,
    },
    retries={"work.flaky": 2},
    live={"RUNNING": 1, "PENDING": 2},
    running={"work.long": 1},
    workers={"active": 1, "lost": 1},
    recurring=frozenset({("work", True), ("held", False), ("late", True)}),
    overdue=frozenset({"late"}),
)  # fmt: skip
