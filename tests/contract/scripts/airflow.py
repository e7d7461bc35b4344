"""Airflow, as its tasks write."""

from __future__ import annotations

from typing import Final

from contract.scripts.model import Script

_NOW: Final = "clock_timestamp()"


def airflow_starts(task: str) -> str:
    """A try of a task begins."""
    return f"""UPDATE task_instance SET state = 'running', start_date = {_NOW}, try_number = try_number + 1,
                 hostname = 'host-a', queued_by_job_id = 1 WHERE task_id = '{task}'"""


def airflow_ends(task: str, state: str) -> str:
    """A try of a task ends. One that is to be tried again goes into the history, and gets another id."""
    ended = f"UPDATE task_instance SET state = '{state}', end_date = {_NOW} WHERE task_id = '{task}'"
    if state != "up_for_retry":
        return ended
    return f"""{ended};
      INSERT INTO task_instance_history (task_instance_id, task_id, dag_id, run_id, try_number, start_date, end_date,
                                         state, hostname, scheduled_dttm)
      SELECT id, task_id, dag_id, run_id, try_number, start_date, end_date, 'failed', hostname, scheduled_dttm
      FROM task_instance WHERE task_id = '{task}';
      UPDATE task_instance SET id = gen_random_uuid() WHERE task_id = '{task}'"""


AIRFLOW: Final = Script(
    schema="airflow.sql",
    steps=(
        f"""INSERT INTO job (state, job_type, start_date, latest_heartbeat, hostname)
            VALUES ('running', 'SchedulerJob', {_NOW}, {_NOW}, 'host-a'),
                   ('running', 'TriggererJob', {_NOW}, {_NOW} - interval '1 h', 'host-a'),
                   ('success', 'SchedulerJob', {_NOW}, {_NOW}, 'host-b')""",
        f"""INSERT INTO dag VALUES ('work', false, false, {_NOW} + interval '1 min'), ('held', true, false, {_NOW}),
                   ('gone', false, true, NULL), ('late', false, false, {_NOW} - interval '1 h')""",
        f"""INSERT INTO task_instance (id, task_id, dag_id, run_id, state, scheduled_dttm)
            SELECT gen_random_uuid(), t, 'work', 'r', 'queued', {_NOW}
            FROM unnest(ARRAY['slow', 'add', 'boom', 'flaky', 'down', 'lost', 'long', 'next']) t""",
        "UPDATE task_instance SET state = NULL WHERE task_id = 'next'",
        *(airflow_starts(task) for task in ("slow", "add", "boom", "flaky", "long")),
        # An executor that cannot begin a task fails it: such a try has an end, and no start.
        airflow_ends("lost", "failed"),
        airflow_ends("add", "success"),
        airflow_ends("boom", "failed"),
        # What never ran has both times all the same.
        f"""UPDATE task_instance SET state = 'upstream_failed', start_date = {_NOW}, end_date = {_NOW}
            WHERE task_id = 'down'""",
        airflow_ends("flaky", "up_for_retry"),
        airflow_starts("flaky"),
        airflow_ends("flaky", "up_for_retry"),
        airflow_starts("flaky"),
        airflow_ends("flaky", "success"),
        # Begun before all others.
        airflow_ends("slow", "success"),
    ),
    counted={
        ("work.slow", "success"): 1, ("work.add", "success"): 1, ("work.boom", "failed"): 1,
        ("work.flaky", "failed"): 2, ("work.flaky", "success"): 1, ("work.lost", "failed"): 1,
    },
    retries={"work.flaky": 2},
    live={"RUNNING": 1, "PENDING": 1},
    running={"work.long": 1},
    workers={"active": 1, "lost": 1},
    recurring=frozenset({("work", True), ("held", False), ("late", True)}),
    overdue=frozenset({"late"}),
)  # fmt: skip
