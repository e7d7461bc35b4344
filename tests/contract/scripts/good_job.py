"""GoodJob, as its models write."""

from __future__ import annotations

from typing import Final

from contract.scripts.model import UTC, Script

_PROCESS: Final = "'11111111-1111-1111-1111-111111111111'"


_LOST: Final = "'22222222-2222-2222-2222-222222222222'"


def _ident(number: int) -> str:
    return f"'00000000-0000-0000-0000-0000000000{number:02}'"


def good_job(number: int, name: str) -> str:
    """A job of a fixed id."""
    ident = _ident(number)
    return f"""INSERT INTO good_jobs (id, active_job_id, job_class, queue_name, scheduled_at)
               VALUES ({ident}, {ident}, '{name}', 'default', {UTC})"""


def good_begins(number: int, process: str = _PROCESS) -> str:
    """An execution begins."""
    ident = _ident(number)
    return f"""
      UPDATE good_jobs SET locked_by_id = {process}, locked_at = {UTC}, performed_at = {UTC},
        executions_count = coalesce(executions_count, 0) + 1 WHERE id = {ident};
      INSERT INTO good_job_executions (active_job_id, job_class, queue_name, scheduled_at, created_at, process_id)
      SELECT active_job_id, job_class, queue_name, scheduled_at, performed_at, {process} FROM good_jobs
      WHERE id = {ident}"""


def good_performs(number: int, error: str | None, *, again: bool = False) -> tuple[str, ...]:
    """An execution from its beginning to its end; ``again``: the job is to be tried once more."""
    ident, told = _ident(number), "NULL" if error is None else f"'{error}'"
    finished, performed = ("NULL", "NULL") if again else (UTC, "performed_at")
    return (
        good_begins(number),
        f"""UPDATE good_job_executions SET finished_at = {UTC}, error = {told}
            WHERE active_job_id = {ident} AND finished_at IS NULL;
            UPDATE good_jobs SET finished_at = {finished}, error = {told}, locked_by_id = NULL, locked_at = NULL,
              performed_at = {performed} WHERE id = {ident}""",
    )


GOOD_JOB: Final = Script(
    schema="good_job.sql",
    steps=(
        f"""INSERT INTO good_job_processes VALUES ({_PROCESS}, {UTC}, {UTC}, '{{"hostname": "host-a"}}'),
              ({_LOST}, {UTC}, {UTC}, '{{"hostname": "host-b"}}')""",
        *(
            good_job(n, name)
            for n, name in enumerate(
                ("Add", "Add", "Boom", "Flaky", "Long", "Later", "Lost", "Dropped", "Claimed", "Tick", "Killed"), 1
            )
        ),
        f"UPDATE good_jobs SET scheduled_at = {UTC} + interval '1 h' WHERE job_class = 'Later'",
        f"UPDATE good_jobs SET cron_key = 'tick', cron_at = {UTC} WHERE job_class = 'Tick'",
        *good_performs(1, None),
        *good_performs(2, None),
        *good_performs(3, "RuntimeError: boom"),
        *good_performs(4, "RuntimeError: flaky", again=True),
        *good_performs(4, "RuntimeError: flaky", again=True),
        *good_performs(4, None),
        *good_performs(10, None),
        good_begins(5),
        # A process dies: others take its rows away. The job goes on where somebody takes it; then its execution ends.
        good_begins(7, _LOST),
        good_begins(11, _LOST),
        f"""UPDATE good_jobs SET locked_by_id = NULL, locked_at = NULL WHERE locked_by_id = {_LOST};
            DELETE FROM good_job_processes WHERE id = {_LOST}""",
        f"""UPDATE good_job_executions SET finished_at = {UTC}, error_event = 0,
              error = 'GoodJob::InterruptedError: Interrupted after starting perform'
            WHERE active_job_id = {_ident(7)} AND finished_at IS NULL""",
        *good_performs(7, None),
        # Discarded by hand before it ran; taken by a worker that has not begun with it.
        f"""UPDATE good_jobs SET finished_at = {UTC}, error_event = 5,
              error = 'GoodJob::Job::DiscardJobError: Discarded through dashboard' WHERE id = {_ident(8)}""",
        f"UPDATE good_jobs SET locked_by_id = {_PROCESS}, locked_at = {UTC}, lock_type = 1 WHERE id = {_ident(9)}",
    ),
    later=(
        """DELETE FROM good_job_executions e
           USING good_jobs j WHERE j.id = e.active_job_id AND j.finished_at < 'infinity';
           DELETE FROM good_jobs WHERE finished_at < 'infinity'""",
    ),
    counted={
        ("Add", "success"): 2, ("Boom", "failed"): 1, ("Flaky", "failed"): 2, ("Flaky", "success"): 1,
        ("Lost", "failed"): 1, ("Lost", "success"): 1, ("Tick", "success"): 1,
    },
    retries={"Flaky": 2, "Lost": 1},
    live={"RUNNING": 2, "SCHEDULED": 1, "QUEUED": 1},
    running={"Long": 1, "Killed": 1},
    workers={"active": 1},
    alone={_ident(3).strip("'"): "FAILED", _ident(8).strip("'"): "CANCELLED"},
    errors=frozenset(
        {"RuntimeError: boom", "RuntimeError: flaky", "GoodJob::InterruptedError: Interrupted after starting perform"}
    ),
)  # fmt: skip
