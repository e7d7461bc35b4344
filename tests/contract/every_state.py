"""A row of every state that a scheduler's tables can have, for test_states: states are asked of the types there are."""

from __future__ import annotations

from typing import Final

_DUE: Final = "unnest(ARRAY[now() - interval '1 h', now() + interval '1 h']) due"
_UTC: Final = "unnest(ARRAY[timezone('UTC', now()) - interval '1 h', timezone('UTC', now()) + interval '1 h']) due"


def _pg_boss(schema: str, columns: str = "", beside: str = "") -> str:
    named, given = (f", {columns}", f", {columns}") if columns else ("", "")
    return f"""
      INSERT INTO {schema}.job (name, state, start_after, policy{named})
      SELECT 'add', state, due, 'standard'{given}
      FROM unnest(enum_range(NULL::{schema}.job_state)) state, {_DUE}{beside}"""


_OBAN: Final = f"""
  INSERT INTO oban_jobs (worker, state, scheduled_at, attempt, attempted_at)
  SELECT 'Add', state, due, 1, timezone('UTC', now()) FROM unnest(enum_range(NULL::oban_job_state)) state, {_UTC}"""

#: By a contract's name: statements that each add rows.
EVERY_STATE: Final[dict[str, tuple[str, ...]]] = {
    "procrastinate": (
        f"""INSERT INTO procrastinate_jobs (queue_name, task_name, status, scheduled_at)
            SELECT 'q', 'states', state, due FROM unnest(enum_range(NULL::procrastinate_job_status)) state, {_DUE}""",
    ),
    "pgqueuer": (
        f"""INSERT INTO pgqueuer (priority, entrypoint, status, execute_after)
            SELECT 0, 'states', state, due FROM unnest(enum_range(NULL::pgqueuer_status)) state, {_DUE}""",
    ),
    "pgboss12": (_pg_boss("pgboss", "blocked", ", unnest(ARRAY[true, false]) blocked"),),
    "pgboss10": (_pg_boss("boss_ten"),),
    "graphile": (
        "INSERT INTO graphile_worker._private_tasks (identifier) VALUES ('states')",
        # A lock is void after four hours: any worker takes it away then.
        f"""INSERT INTO graphile_worker._private_jobs (task_id, run_at, attempts, max_attempts, last_error, locked_at,
                                                       locked_by)
            SELECT (SELECT id FROM graphile_worker._private_tasks WHERE identifier = 'states'), due, attempts, 2,
                   'boom', now() - hours * interval '1 h', CASE WHEN hours IS NOT NULL THEN 'w' END
            FROM {_DUE}, unnest(ARRAY[0, 1, 2]) attempts, unnest(ARRAY[NULL, 1, 5]) hours""",
    ),
    "oban": (_OBAN,),
    "oban_elixir": (_OBAN,),
    "celery": (
        # PROGRESS is a task's own, as Celery's handbook has it.
        """INSERT INTO django_celery_results_taskresult (task_id, status, content_type, content_encoding, task_name,
                                                         date_created, date_done, date_started)
           SELECT 'states-' || state, state, 'application/json', 'utf-8', 'states', now(), now(), now()
           FROM unnest(ARRAY['PENDING', 'RECEIVED', 'STARTED', 'PROGRESS', 'RETRY', 'SUCCESS', 'FAILURE', 'REVOKED',
                             'REJECTED', 'IGNORED']) state""",
    ),
    "chancy": (
        f"""INSERT INTO chancy_jobs (id, queue, func, state, attempts, max_attempts, created_at, scheduled_at, priority)
            SELECT gen_random_uuid(), 'default', 'states', state, 0, 1, created, due, 0
            FROM unnest(ARRAY['pending', 'running', 'retrying', 'failed', 'succeeded', 'expired', 'cancelled']) state,
                 {_DUE}, unnest(ARRAY[now(), now() + interval '1 h']) created""",
    ),
    "river": (
        f"""INSERT INTO river_job (kind, args, state, scheduled_at, finalized_at)
            SELECT 'states', '{{}}', state, due,
                   CASE WHEN state IN ('cancelled', 'completed', 'discarded') THEN now() END
            FROM unnest(enum_range(NULL::river_job_state)) state, {_DUE}""",
    ),
    "good_job": (
        f"""INSERT INTO good_jobs (active_job_id, job_class, queue_name, scheduled_at, performed_at, finished_at,
                                   locked_by_id, error)
            SELECT gen_random_uuid(), 'States', 'default', due, performed, ended, process, error
            FROM {_UTC}, unnest(ARRAY[NULL, timezone('UTC', now())]) ended, unnest(ARRAY[NULL, 'boom']) error,
                 unnest(ARRAY[NULL, timezone('UTC', now())]) performed,
                 unnest(ARRAY[NULL, '11111111-1111-1111-1111-111111111111'::uuid]) process""",
    ),
    "solid_queue": (
        f"""INSERT INTO solid_queue_jobs (queue_name, class_name, scheduled_at, finished_at)
            SELECT 'default', state, due, CASE state WHEN 'finished' THEN timezone('UTC', now()) END
            FROM unnest(ARRAY['finished', 'ready', 'scheduled', 'blocked', 'claimed', 'failed']) state, {_UTC}""",
        "DELETE FROM solid_queue_jobs WHERE class_name = 'ready' AND scheduled_at > timezone('UTC', now())",
        """INSERT INTO solid_queue_ready_executions (job_id, queue_name, created_at)
           SELECT id, queue_name, created_at FROM solid_queue_jobs WHERE class_name = 'ready'""",
        """INSERT INTO solid_queue_scheduled_executions (job_id, queue_name, scheduled_at, created_at)
           SELECT id, queue_name, scheduled_at, created_at FROM solid_queue_jobs WHERE class_name = 'scheduled'""",
        """INSERT INTO solid_queue_blocked_executions (job_id, queue_name, concurrency_key, expires_at, created_at)
           SELECT id, queue_name, 'k', created_at, created_at FROM solid_queue_jobs WHERE class_name = 'blocked'""",
        """INSERT INTO solid_queue_claimed_executions (job_id, created_at)
           SELECT id, created_at FROM solid_queue_jobs WHERE class_name = 'claimed'""",
        """INSERT INTO solid_queue_failed_executions (job_id, error, created_at)
           SELECT id, 'boom', created_at FROM solid_queue_jobs WHERE class_name = 'failed'""",
    ),
    "quartz": (
        """INSERT INTO qrtz_triggers (sched_name, trigger_name, trigger_group, job_name, job_group, next_fire_time,
                                      trigger_state, trigger_type, start_time)
           SELECT 's', state || fired, 'g', 'j', 'g', -1, state, 'SIMPLE', 0
           FROM unnest(ARRAY['WAITING', 'ACQUIRED', 'COMPLETE', 'PAUSED', 'PAUSED_BLOCKED', 'BLOCKED', 'ERROR']) state,
                unnest(ARRAY['', 'ACQUIRED', 'EXECUTING']) fired""",
        """INSERT INTO qrtz_simple_triggers
           SELECT sched_name, trigger_name, trigger_group, 0, 0, 0 FROM qrtz_triggers""",
        """INSERT INTO qrtz_fired_triggers (sched_name, entry_id, trigger_name, trigger_group, instance_name,
                                            fired_time, sched_time, priority, state)
           SELECT 's', trigger_name, trigger_name, 'g', 'node', 1, 1, 5,
                  substring(trigger_name FROM 'ACQUIRED$|EXECUTING$')
           FROM qrtz_triggers WHERE trigger_name ~ '.(ACQUIRED|EXECUTING)$'""",
    ),
    "airflow": (
        """INSERT INTO dag (dag_id, is_paused, is_stale, next_dagrun_create_after)
           SELECT concat('dag', paused, stale), paused, stale, now()
           FROM unnest(ARRAY[true, false]) paused, unnest(ARRAY[true, false]) stale""",
        """INSERT INTO task_instance (id, task_id, dag_id, run_id, state, queued_dttm, start_date, end_date)
           SELECT gen_random_uuid(), coalesce(state, 'none'), 'states', 'r', state, now(), now(), now()
           FROM unnest(ARRAY[NULL, 'removed', 'scheduled', 'queued', 'running', 'success', 'restarting', 'failed',
                             'up_for_retry', 'up_for_reschedule', 'upstream_failed', 'skipped', 'deferred',
                             'awaiting_input']) state""",
    ),
}
