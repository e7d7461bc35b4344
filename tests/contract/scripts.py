"""What schedulers that cannot be installed here write, statement by statement, and what is to be seen of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final


@dataclass(frozen=True, kw_only=True)
class Script:
    """``steps`` are written one after the other, with a poll after each; then everything is looked at.

    ``counted`` is by (task type, status), ``live`` unfinished one-time jobs by status, ``running`` by task type,
    ``workers`` by state, ``recurring`` (id, whether its next run is known), ``errors`` the messages, ``alone`` the
    statuses of some jobs by id, ``trigger`` a job that is triggered in the end, and the statement that counts what that
    has made.
    """

    schema: str
    steps: tuple[str, ...]
    counted: dict[tuple[str, str], int] = field(default_factory=dict)
    retries: dict[str, int] = field(default_factory=dict)
    live: dict[str, int] = field(default_factory=dict)
    running: dict[str, int] = field(default_factory=dict)
    workers: dict[str, int] | None = None
    recurring: frozenset[tuple[str, bool]] = frozenset()
    overdue: frozenset[str] = frozenset()
    errors: frozenset[str] = frozenset()
    alone: dict[str, str] = field(default_factory=dict)
    trigger: tuple[str, str] | None = None


_UTC: Final = "clock_timestamp() AT TIME ZONE 'UTC'"


def river_fails(job: int, error: str, state: str) -> str:
    """How River's worker writes an attempt that failed."""
    finalized = "clock_timestamp()" if state in ("discarded", "cancelled") else "NULL"
    return f"""
      UPDATE river_job SET state = '{state}', finalized_at = {finalized},
        scheduled_at = clock_timestamp() + interval '1 hour',
        errors = array_append(errors, jsonb_build_object('at', clock_timestamp(), 'attempt', attempt,
                                                         'error', '{error}', 'trace', ''))
      WHERE id = {job}"""


RIVER_FETCHES: Final = """
  UPDATE river_job SET state = 'running', attempt = attempt + 1, attempted_at = clock_timestamp(),
    attempted_by = array_append(attempted_by, 'host_1') WHERE id = """

RIVER: Final = Script(
    schema="river.sql",
    steps=(
        """INSERT INTO river_job (kind, args) SELECT k, '{}'
           FROM unnest(ARRAY['add', 'add', 'boom', 'flaky', 'gone', 'stopped', 'long']) k""",
        """INSERT INTO river_job (kind, args, state, scheduled_at)
           VALUES ('add', '{}', 'scheduled', now() + interval '1 h')""",
        *(f"{RIVER_FETCHES} {job}" for job in (1, 2, 3, 4, 6, 7)),
        "UPDATE river_job SET state = 'completed', finalized_at = clock_timestamp() WHERE id IN (1, 2)",
        river_fails(3, "boom", "discarded"),
        river_fails(4, "flaky 1", "retryable"),
        f"{RIVER_FETCHES} 4",
        river_fails(4, "flaky 2", "retryable"),
        f"{RIVER_FETCHES} 4",
        "UPDATE river_job SET state = 'completed', finalized_at = clock_timestamp() WHERE id = 4",
        # Cancelled while it waited: no execution. Cancelled by its own worker: one.
        "UPDATE river_job SET state = 'cancelled', finalized_at = clock_timestamp() WHERE id = 5",
        river_fails(6, "not wanted", "cancelled"),
    ),
    counted={
        ("add", "success"): 2, ("boom", "failed"): 1, ("flaky", "failed"): 2, ("flaky", "success"): 1,
        ("stopped", "cancelled"): 1,
    },
    retries={"flaky": 2},
    live={"RUNNING": 1, "SCHEDULED": 1},
    running={"long": 1},
    errors=frozenset({"boom", "flaky <n>"}),
    trigger=("1", "SELECT count(*) FROM river_job WHERE kind = 'add' AND state = 'available'"),
)  # fmt: skip


def oban_fails(job: int, error: str, state: str) -> str:
    """How Oban for Elixir acknowledges an attempt that failed."""
    at = "to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"
    moment = {"discarded": "discarded_at", "cancelled": "cancelled_at", "retryable": "scheduled_at"}[state]
    return f"""
      UPDATE oban_jobs SET state = '{state}', {moment} = clock_timestamp() AT TIME ZONE 'UTC',
        errors = array_append(errors, jsonb_build_object('at', {at}, 'attempt', attempt, 'error', '{error}'))
      WHERE id = {job}"""


OBAN_FETCHES: Final = """
  UPDATE oban_jobs SET state = 'executing', attempt = attempt + 1, attempted_at = clock_timestamp() AT TIME ZONE 'UTC',
    attempted_by = '{node-a}' WHERE id = """

OBAN_ELIXIR: Final = Script(
    schema="oban_elixir.sql",
    steps=(
        """INSERT INTO oban_jobs (worker)
           SELECT unnest(ARRAY['Add', 'Add', 'Boom', 'Flaky', 'Gone', 'Stopped', 'Lost', 'Long'])""",
        """INSERT INTO oban_jobs (worker, state, scheduled_at)
           VALUES ('Add', 'scheduled', timezone('UTC', now()) + interval '1 h'),
                  ('Held', 'suspended', timezone('UTC', now()))""",
        *(f"{OBAN_FETCHES} {job}" for job in (1, 2, 3, 4, 6, 7, 8)),
        f"UPDATE oban_jobs SET state = 'completed', completed_at = {_UTC} WHERE id IN (1, 2)",
        oban_fails(3, "** (RuntimeError) boom\n  (app) lib/boom.ex:1", "discarded"),
        oban_fails(4, "** (RuntimeError) flaky", "retryable"),
        f"{OBAN_FETCHES} 4",
        oban_fails(4, "** (RuntimeError) flaky", "retryable"),
        f"{OBAN_FETCHES} 4",
        f"UPDATE oban_jobs SET state = 'completed', completed_at = {_UTC} WHERE id = 4",
        "UPDATE oban_jobs SET state = 'cancelled', cancelled_at = clock_timestamp() AT TIME ZONE 'UTC' WHERE id = 5",
        oban_fails(6, "** (Oban.PerformError) not wanted", "cancelled"),
        # The Lifeline gives up what a lost worker had begun: no error is written.
        "UPDATE oban_jobs SET state = 'discarded', discarded_at = clock_timestamp() AT TIME ZONE 'UTC' WHERE id = 7",
    ),
    counted={
        ("Add", "success"): 2, ("Boom", "failed"): 1, ("Flaky", "failed"): 2, ("Flaky", "success"): 1,
        ("Stopped", "cancelled"): 1, ("Lost", "failed"): 1,
    },
    retries={"Flaky": 2},
    live={"RUNNING": 1, "SCHEDULED": 1, "PENDING": 1},
    running={"Long": 1},
    errors=frozenset({"** (RuntimeError) boom", "** (RuntimeError) flaky"}),
    trigger=("1", "SELECT count(*) FROM oban_jobs WHERE worker = 'Add' AND state = 'available'"),
)  # fmt: skip

_PROCESS: Final = "'11111111-1111-1111-1111-111111111111'"


def good_job(number: int, name: str) -> str:
    """A job of a fixed id."""
    ident = f"'00000000-0000-0000-0000-0000000000{number:02}'"
    return f"""INSERT INTO good_jobs (id, active_job_id, job_class, queue_name, scheduled_at)
               VALUES ({ident}, {ident}, '{name}', 'default', {_UTC})"""


def good_performs(number: int, error: str | None, *, again: bool = False) -> tuple[str, ...]:
    """An execution from its beginning to its end; ``again``: the job is to be tried once more."""
    ident = f"'00000000-0000-0000-0000-0000000000{number:02}'"
    told = "NULL" if error is None else f"'{error}'"
    finished = "NULL" if again else _UTC
    return (
        f"""UPDATE good_jobs SET locked_by_id = {_PROCESS}, performed_at = {_UTC},
              executions_count = coalesce(executions_count, 0) + 1 WHERE id = {ident};
            INSERT INTO good_job_executions (active_job_id, job_class, queue_name, scheduled_at, created_at, process_id)
            SELECT active_job_id, job_class, queue_name, scheduled_at, {_UTC}, {_PROCESS} FROM good_jobs
            WHERE id = {ident}""",
        f"""UPDATE good_job_executions SET finished_at = {_UTC}, error = {told}
            WHERE active_job_id = {ident} AND finished_at IS NULL;
            UPDATE good_jobs SET finished_at = {finished}, error = {told}, locked_by_id = NULL,
              performed_at = NULL WHERE id = {ident}""",
    )


GOOD_JOB: Final = Script(
    schema="good_job.sql",
    steps=(
        f'INSERT INTO good_job_processes VALUES ({_PROCESS}, {_UTC}, {_UTC}, \'{{"hostname": "host-a"}}\')',
        *(good_job(n, name) for n, name in enumerate(("Add", "Add", "Boom", "Flaky", "Long", "Later"), 1)),
        f"UPDATE good_jobs SET scheduled_at = {_UTC} + interval '1 h' WHERE job_class = 'Later'",
        *good_performs(1, None),
        *good_performs(2, None),
        *good_performs(3, "RuntimeError: boom"),
        *good_performs(4, "RuntimeError: flaky", again=True),
        *good_performs(4, "RuntimeError: flaky", again=True),
        *good_performs(4, None),
        good_performs(5, None)[0],
    ),
    counted={("Add", "success"): 2, ("Boom", "failed"): 1, ("Flaky", "failed"): 2, ("Flaky", "success"): 1},
    retries={"Flaky": 2},
    live={"RUNNING": 1, "SCHEDULED": 1},
    running={"Long": 1},
    workers={"active": 1},
    errors=frozenset({"RuntimeError: boom", "RuntimeError: flaky"}),
)

SOLID_QUEUE: Final = Script(
    schema="solid_queue.sql",
    steps=(
        f"""INSERT INTO solid_queue_processes (id, kind, last_heartbeat_at, pid, hostname, created_at, name)
            VALUES (1, 'Worker', {_UTC}, 1, 'host-a', {_UTC}, 'worker-1'),
                   (2, 'Dispatcher', {_UTC}, 2, 'host-a', {_UTC}, 'dispatcher-1')""",
        """INSERT INTO solid_queue_recurring_tasks (key, schedule, class_name)
           VALUES ('hourly', '0 * * * *', 'TickJob'), ('spoken', 'every hour', 'TickJob')""",
        """INSERT INTO solid_queue_jobs (queue_name, class_name)
           SELECT 'default', unnest(ARRAY['AddJob', 'AddJob', 'BoomJob', 'TickJob', 'LongJob', 'ReadyJob'])""",
        f"""INSERT INTO solid_queue_jobs (queue_name, class_name, scheduled_at)
            VALUES ('default', 'LaterJob', {_UTC} + interval '1 h')""",
        f"INSERT INTO solid_queue_recurring_executions VALUES (1, 4, 'hourly', date_trunc('hour', {_UTC}), {_UTC})",
        f"""INSERT INTO solid_queue_scheduled_executions (job_id, queue_name, scheduled_at, created_at)
            VALUES (7, 'default', {_UTC} + interval '1 h', {_UTC})""",
        f"INSERT INTO solid_queue_ready_executions (job_id, queue_name, created_at) VALUES (6, 'default', {_UTC})",
        f"""INSERT INTO solid_queue_claimed_executions (job_id, process_id, created_at)
            SELECT n, 1, {_UTC} FROM generate_series(1, 5) n""",
        *(
            f"""UPDATE solid_queue_jobs SET finished_at = {_UTC} WHERE id = {job};
                DELETE FROM solid_queue_claimed_executions WHERE job_id = {job}"""
            for job in (1, 2, 4)
        ),
        f"""INSERT INTO solid_queue_failed_executions (job_id, error, created_at)
            VALUES (3, 'RuntimeError boom', {_UTC});
            DELETE FROM solid_queue_claimed_executions WHERE job_id = 3""",
        f"""INSERT INTO solid_queue_jobs (queue_name, class_name) VALUES ('default', 'HeldJob');
            INSERT INTO solid_queue_blocked_executions (job_id, queue_name, concurrency_key, expires_at, created_at)
            VALUES (8, 'default', 'one', {_UTC} + interval '1 h', {_UTC})""",
    ),
    counted={("AddJob", "success"): 2, ("BoomJob", "failed"): 1, ("TickJob", "success"): 1},
    live={"RUNNING": 1, "SCHEDULED": 1, "QUEUED": 1, "PENDING": 1},
    alone={"1": "COMPLETED", "3": "FAILED", "5": "RUNNING", "6": "QUEUED", "7": "SCHEDULED", "8": "PENDING"},
    running={"LongJob": 1},
    workers={"active": 1},
    recurring=frozenset({("recurring:hourly", True), ("recurring:spoken", False)}),
    errors=frozenset({"RuntimeError boom"}),
)

_MS: Final = "(extract(epoch FROM now()) * 1000)::bigint"

QUARTZ: Final = Script(
    schema="quartz.sql",
    steps=(
        f"""INSERT INTO qrtz_triggers (sched_name, trigger_name, trigger_group, job_name, job_group, next_fire_time,
              prev_fire_time, priority, trigger_state, trigger_type, start_time)
            VALUES ('s', 'soon', 'g', 'j', 'g', {_MS} + 60000, {_MS} - 60000, 5, 'WAITING', 'CRON', {_MS} - 900000),
                   ('s', 'never', 'g', 'j', 'g', -1, -1, 5, 'COMPLETE', 'SIMPLE', {_MS}),
                   ('s', 'held', 'g', 'j', 'g', {_MS} - 600000, -1, 5, 'PAUSED', 'CRON', {_MS}),
                   ('s', 'late', 'g', 'j', 'g', {_MS} - 600000, -1, 5, 'WAITING', 'CRON', {_MS}),
                   ('s', 'runs', 'g', 'j', 'g', {_MS} - 600000, -1, 5, 'BLOCKED', 'CRON', {_MS})""",
        f"""INSERT INTO qrtz_fired_triggers VALUES ('s', 'e1', 'runs', 'g', 'node-1', {_MS} - 1000, {_MS} - 2000, 5,
              'EXECUTING', 'j', 'g', false, false)""",
        f"""INSERT INTO qrtz_scheduler_state VALUES ('s', 'node-1', {_MS}, 7500),
              ('s', 'node-2', {_MS} - 3600000, 7500)""",
    ),
    running={"g.j": 1},
    workers={"active": 1, "lost": 1},
    recurring=frozenset({("g.soon", True), ("g.held", True), ("g.late", True), ("g.runs", True)}),
    overdue=frozenset({"g.late"}),
)

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
            FROM unnest(ARRAY['add', 'boom', 'flaky', 'down', 'long', 'next']) t""",
        "UPDATE task_instance SET state = NULL WHERE task_id = 'next'",
        *(airflow_starts(task) for task in ("add", "boom", "flaky", "long")),
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
    ),
    counted={
        ("work.add", "success"): 1, ("work.boom", "failed"): 1, ("work.flaky", "failed"): 2,
        ("work.flaky", "success"): 1,
    },
    retries={"work.flaky": 2},
    live={"RUNNING": 1, "PENDING": 1},
    running={"work.long": 1},
    workers={"active": 1, "lost": 1},
    recurring=frozenset({("work", True), ("held", False), ("late", True)}),
    overdue=frozenset({"late"}),
)  # fmt: skip

SCRIPTS: Final = {
    "airflow": AIRFLOW,
    "river": RIVER, "oban_elixir": OBAN_ELIXIR, "good_job": GOOD_JOB, "solid_queue": SOLID_QUEUE, "quartz": QUARTZ,
}  # fmt: skip
