"""Oban for Elixir, as its engine writes."""

from __future__ import annotations

from typing import Final

from contract.scripts.model import UTC, Script


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
    attempted_by = '{node-a,6d1c4f5e-1111-2222-3333-444444444444}' WHERE id = """
OBAN_CANCELS: Final = f"UPDATE oban_jobs SET state = 'cancelled', cancelled_at = {UTC} WHERE id ="

OBAN_ELIXIR: Final = Script(
    schema="oban_elixir.sql",
    steps=(
        """INSERT INTO oban_jobs (worker)
           SELECT unnest(ARRAY['Add', 'Add', 'Boom', 'Flaky', 'Gone', 'Stopped', 'Lost', 'Long', 'Dropped', 'Nap',
                               'Saved'])""",
        """INSERT INTO oban_jobs (worker, state, scheduled_at)
           VALUES ('Add', 'scheduled', timezone('UTC', now()) + interval '1 h'),
                  ('Held', 'suspended', timezone('UTC', now()))""",
        *(f"{OBAN_FETCHES} {job}" for job in (1, 2, 3, 4, 6, 7, 8, 9, 10, 11)),
        f"UPDATE oban_jobs SET state = 'completed', completed_at = {UTC} WHERE id IN (1, 2)",
        oban_fails(3, "** (RuntimeError) boom\n  (app) lib/boom.ex:1", "discarded"),
        oban_fails(4, "** (RuntimeError) flaky", "retryable"),
        f"{OBAN_FETCHES} 4",
        oban_fails(4, "** (RuntimeError) flaky", "retryable"),
        f"{OBAN_FETCHES} 4",
        f"UPDATE oban_jobs SET state = 'completed', completed_at = {UTC} WHERE id = 4",
        f"{OBAN_CANCELS} 5",
        oban_fails(6, "** (Oban.PerformError) not wanted", "cancelled"),
        # Failed, then cancelled at once while it waited for another attempt: one failure, and no more.
        oban_fails(9, "** (RuntimeError) dropped", "retryable"),
        f"{OBAN_CANCELS} 9",
        # A snooze takes the attempt back; before 2.19 it gave one more instead. What is cancelled then did not run.
        f"""UPDATE oban_jobs SET state = 'scheduled', max_attempts = max_attempts + 1,
              scheduled_at = {UTC} + interval '1 h' WHERE id = 10""",
        f"{OBAN_CANCELS} 10",
        # The Lifeline gives up what a lost worker had begun, or has it tried again: no error is written.
        "UPDATE oban_jobs SET state = 'discarded', discarded_at = clock_timestamp() AT TIME ZONE 'UTC' WHERE id = 7",
        "UPDATE oban_jobs SET state = 'available' WHERE id = 11",
        f"{OBAN_FETCHES} 11",
        f"UPDATE oban_jobs SET state = 'completed', completed_at = {UTC} WHERE id = 11",
    ),
    later=("DELETE FROM oban_jobs WHERE state IN ('completed', 'discarded')",),
    counted={
        ("Add", "success"): 2, ("Boom", "failed"): 1, ("Flaky", "failed"): 2, ("Flaky", "success"): 1,
        ("Stopped", "cancelled"): 1, ("Lost", "failed"): 1, ("Dropped", "failed"): 1, ("Saved", "success"): 1,
    },
    retries={"Flaky": 2, "Saved": 1},
    live={"RUNNING": 1, "SCHEDULED": 1, "PENDING": 1},
    running={"Long": 1},
    errors=frozenset({"** (RuntimeError) boom", "** (RuntimeError) flaky", "** (RuntimeError) dropped"}),
    trigger=("1", "SELECT count(*) FROM oban_jobs WHERE worker = 'Add' AND state = 'available'"),
)  # fmt: skip
