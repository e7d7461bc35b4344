"""Solid Queue, as its models write."""

from __future__ import annotations

from typing import Final

from contract.scripts.model import UTC, Script


def solid_jobs(*names: str, active: str = "gen_random_uuid()", tried: int = 0, failed: str = "{}") -> str:
    """Jobs as Active Job enqueues them: what it was retried for is in the arguments."""
    arguments = f'{{"job_class":"x","arguments":[],"executions":{tried},"exception_executions":{failed}}}'
    listed = ", ".join(f"'{name}'" for name in names)
    return f"""INSERT INTO solid_queue_jobs (queue_name, class_name, active_job_id, arguments, scheduled_at)
               SELECT 'default', name, {active}, '{arguments}', {UTC} FROM unnest(ARRAY[{listed}]) name"""


def solid_claims(*jobs: int, process: int = 1) -> str:
    """A worker takes jobs."""
    return f"""INSERT INTO solid_queue_claimed_executions (job_id, process_id, created_at)
               SELECT job, {process}, {UTC} FROM unnest(ARRAY{list(jobs)}) job"""


def solid_finishes(job: int) -> str:
    """A job has been run to its end."""
    return f"""UPDATE solid_queue_jobs SET finished_at = {UTC}, updated_at = {UTC} WHERE id = {job};
               DELETE FROM solid_queue_claimed_executions WHERE job_id = {job}"""


def solid_fails(job: int, error: str, message: str) -> str:
    """An exception that nothing handled."""
    told = f'{{"exception_class":"{error}","message":"{message}","backtrace":["app/jobs/x.rb:3:in perform"]}}'
    return f"""INSERT INTO solid_queue_failed_executions (job_id, error, created_at) VALUES ({job}, '{told}', {UTC});
               DELETE FROM solid_queue_claimed_executions WHERE job_id = {job}"""


_FLAKY: Final = "'33333333-3333-3333-3333-333333333333'"
_STEADY: Final = "'44444444-4444-4444-4444-444444444444'"

SOLID_QUEUE: Final = Script(
    schema="solid_queue.sql",
    steps=(
        f"""INSERT INTO solid_queue_processes (id, kind, last_heartbeat_at, pid, hostname, created_at, name)
            VALUES (1, 'Worker', {UTC}, 1, 'host-a', {UTC}, 'worker-1'),
                   (2, 'Dispatcher', {UTC}, 2, 'host-a', {UTC}, 'dispatcher-1'),
                   (3, 'Worker', {UTC}, 3, 'host-b', {UTC}, 'worker-2')""",
        """INSERT INTO solid_queue_recurring_tasks (key, schedule, class_name)
           VALUES ('hourly', '0 * * * *', 'TickJob'), ('spoken', 'every hour', 'TickJob')""",
        solid_jobs("AddJob", "AddJob", "BoomJob", "TickJob", "LongJob", "ReadyJob", "LaterJob", "HeldJob"),
        f"UPDATE solid_queue_jobs SET scheduled_at = {UTC} + interval '1 h' WHERE class_name = 'LaterJob'",
        f"INSERT INTO solid_queue_recurring_executions VALUES (1, 4, 'hourly', date_trunc('hour', {UTC}), {UTC})",
        f"""INSERT INTO solid_queue_scheduled_executions (job_id, queue_name, scheduled_at, created_at)
            VALUES (7, 'default', {UTC} + interval '1 h', {UTC})""",
        f"INSERT INTO solid_queue_ready_executions (job_id, queue_name, created_at) VALUES (6, 'default', {UTC})",
        f"""INSERT INTO solid_queue_blocked_executions (job_id, queue_name, concurrency_key, expires_at, created_at)
            VALUES (8, 'default', 'one', {UTC} + interval '1 h', {UTC})""",
        solid_claims(1, 2, 3, 4, 5),
        *(solid_finishes(job) for job in (1, 2, 4)),
        solid_fails(3, "RuntimeError", "boom"),
        # Retried by retry_on: another job takes the place of each that failed, and that one is finished.
        solid_jobs("FlakyJob", active=_FLAKY),
        solid_claims(9),
        solid_jobs("FlakyJob", active=_FLAKY, tried=1, failed='{"[RuntimeError]":1}'),
        solid_finishes(9),
        solid_claims(10),
        solid_jobs("FlakyJob", active=_FLAKY, tried=2, failed='{"[RuntimeError]":2}'),
        solid_finishes(10),
        solid_claims(11),
        solid_finishes(11),
        # Interrupted and gone on with, by no exception.
        solid_jobs("SteadyJob", active=_STEADY),
        solid_claims(12),
        solid_jobs("SteadyJob", active=_STEADY, tried=1),
        solid_finishes(12),
        solid_claims(13),
        solid_finishes(13),
        # A worker dies: others fail what it had claimed.
        solid_jobs("LostJob"),
        solid_claims(14, process=3),
        solid_fails(14, "SolidQueue::Processes::ProcessPrunedError", "Process was found dead and pruned"),
        "DELETE FROM solid_queue_processes WHERE id = 3",
    ),
    later=(
        # Retried by hand, what had failed is forgotten.
        f"""DELETE FROM solid_queue_failed_executions WHERE job_id = 3;
            INSERT INTO solid_queue_claimed_executions (job_id, process_id, created_at) VALUES (3, 1, {UTC})""",
        solid_finishes(3),
        "DELETE FROM solid_queue_jobs WHERE finished_at < 'infinity' AND class_name NOT IN ('BoomJob', 'TickJob')",
    ),
    counted={
        ("AddJob", "success"): 2, ("BoomJob", "failed"): 1, ("TickJob", "success"): 1, ("FlakyJob", "failed"): 2,
        ("FlakyJob", "success"): 1, ("SteadyJob", "success"): 2, ("LostJob", "failed"): 1,
    },
    retries={"FlakyJob": 2, "SteadyJob": 1},
    live={"RUNNING": 1, "SCHEDULED": 1, "QUEUED": 1, "PENDING": 1},
    alone={"1": "COMPLETED", "3": "FAILED", "5": "RUNNING", "6": "QUEUED", "7": "SCHEDULED", "8": "PENDING"},
    running={"LongJob": 1},
    workers={"active": 1},
    recurring=frozenset({("recurring:hourly", True), ("recurring:spoken", False)}),
    errors=frozenset(
        {"RuntimeError: boom", "SolidQueue::Processes::ProcessPrunedError: Process was found dead and pruned"}
    ),
)  # fmt: skip
