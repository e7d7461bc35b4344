"""River, as its clients and its executor write."""

from __future__ import annotations

from typing import Final

from contract.scripts.model import Script


def river_fails(job: int, error: str, state: str, again: str = "0 s") -> str:
    """How River's executor reports an attempt that failed: with its start. ``again``: tried anew after so long."""
    finalized = "clock_timestamp()" if state in ("discarded", "cancelled") else "NULL"
    due = f"clock_timestamp() + interval '{again}'" if state == "retryable" else "scheduled_at"
    return f"""
      UPDATE river_job SET state = '{state}', finalized_at = {finalized}, scheduled_at = {due},
        errors = array_append(errors, jsonb_build_object('at', attempted_at, 'attempt', attempt,
                                                         'error', '{error}', 'trace', ''))
      WHERE id = {job}"""


def river_fetches(job: int, host: str = "host_1") -> str:
    """How a client takes a job."""
    return f"""
      UPDATE river_job SET state = 'running', attempt = attempt + 1, attempted_at = clock_timestamp(),
        attempted_by = array_append(attempted_by, '{host}') WHERE id = {job}"""


def river_snoozes(job: int, state: str, due: str) -> str:
    """How a job is put off by itself: the attempt is given back."""
    return f"""
      UPDATE river_job SET state = '{state}', attempt = attempt - 1,
        scheduled_at = clock_timestamp() + interval '{due}',
        metadata = metadata || '{{"snoozes": 1}}' WHERE id = {job}"""


#: Cancelled while it waited, as a client asks for it.
RIVER_CANCELS: Final = """
  UPDATE river_job SET state = 'cancelled', finalized_at = clock_timestamp(),
    metadata = metadata || '{"cancel_attempted_at": "2026-01-01T00:00:00Z"}' WHERE id = """

RIVER: Final = Script(
    schema="river.sql",
    before=(
        """INSERT INTO river_job (id, kind, args, state, attempt, attempted_at, scheduled_at, attempted_by)
           SELECT 100 + n, kind, '{}', 'running', 1, now() - since, now() - since, '{host_1}'
           FROM (VALUES (1, 'slow', interval '10 min'), (2, 'halted', '10 min'), (3, 'lost', '2 h'))
             j (n, kind, since)""",
    ),
    steps=(
        """INSERT INTO river_job (kind, args)
           SELECT k, '{}' FROM unnest(ARRAY['add', 'add', 'boom', 'flaky', 'gone', 'stopped', 'long', 'nap', 'dozes',
                                            'dropped']) k""",
        # Inserted for later; tried anew so soon that it is made available at once; inserted by a periodic job.
        """INSERT INTO river_job (kind, args, state, scheduled_at, metadata)
           VALUES ('add', '{}', 'scheduled', now() + interval '1 h', '{}'),
                  ('soon', '{}', 'available', now() + interval '1 h', '{}'),
                  ('tick', '{}', 'available', now(), '{"periodic": true}')""",
        *(river_fetches(job) for job in (1, 2, 3, 4, 6, 7, 8, 9, 10, 13)),
        "UPDATE river_job SET state = 'completed', finalized_at = clock_timestamp() WHERE id IN (1, 2, 13)",
        river_fails(3, "boom", "discarded"),
        river_fails(4, "flaky 1", "retryable"),
        river_fetches(4),
        river_fails(4, "flaky 2", "retryable"),
        river_fetches(4),
        "UPDATE river_job SET state = 'completed', finalized_at = clock_timestamp() WHERE id = 4",
        # Cancelled while it waited: no execution. Cancelled by its own worker: one.
        f"{RIVER_CANCELS} 5",
        river_fails(6, "not wanted", "cancelled"),
        river_fails(102, "not wanted after a while", "cancelled"),
        # The attempt that a snooze gave back is taken by another host; what is cancelled in its sleep did not run.
        river_snoozes(8, "available", "0 s"),
        river_fetches(8, "host_2"),
        river_fails(8, "nap", "discarded"),
        river_snoozes(9, "scheduled", "1 h"),
        f"{RIVER_CANCELS} 9",
        # Failed, then cancelled while it waited for another attempt.
        river_fails(10, "dropped", "retryable", "1 h"),
        f"{RIVER_CANCELS} 10",
        # What took longer than anything that a poll reads again; what the rescuer takes for lost.
        river_fails(101, "slow", "retryable", "1 h"),
        """UPDATE river_job SET state = 'retryable', scheduled_at = clock_timestamp() + interval '1 h',
             errors = array_append(errors, jsonb_build_object('at', clock_timestamp(), 'attempt', attempt,
                                                              'error', 'Stuck job rescued by JobRescuer', 'trace', ''))
           WHERE id = 103""",
    ),
    later=("DELETE FROM river_job WHERE state = 'completed'",),
    counted={
        ("add", "success"): 2, ("boom", "failed"): 1, ("flaky", "failed"): 2, ("flaky", "success"): 1,
        ("stopped", "cancelled"): 1, ("halted", "cancelled"): 1, ("nap", "failed"): 1, ("dropped", "failed"): 1,
        ("slow", "failed"): 1, ("lost", "failed"): 1, ("tick", "success"): 1,
    },
    retries={"flaky": 2},
    live={"RUNNING": 1, "SCHEDULED": 4},
    running={"long": 1},
    errors=frozenset({"boom", "flaky <n>", "nap", "dropped", "slow", "Stuck job rescued by JobRescuer"}),
    trigger=("1", "SELECT count(*) FROM river_job WHERE kind = 'add' AND state = 'available'"),
)  # fmt: skip
