"""Each job of a real scheduler, asked for by its id, against what the scheduler's own tables say of it."""

from __future__ import annotations

import psycopg
import pytest
from support.polling import until

from contract.conftest import Observed
from contract.contracts import LIVE
from contract.truth import SECONDS, TRUTHS
from contract.truth.asking import Database

Seen = dict[str, tuple[str | None, ...]]


def told(one: Observed) -> Seen:
    """By id: name, task type, queue, status."""
    with psycopg.connect(one.driven.dsn) as connection:
        jobs = TRUTHS[one.contract.name](Database(connection)).jobs
    return {job.id: (job.task_type, job.task_type, job.queue, job.status) for job in jobs}


def shown(one: Observed, ids: Seen) -> Seen:
    return {i: (job.name, job.task_type, job.queue or "", job.status) for i, job in one.counter.jobs(ids).items()}


@pytest.mark.parametrize("name", [contract.name for contract in LIVE])
def test_each_job_is_what_its_tables_say(name: str, schedulers: dict[str, Observed]) -> None:
    one = schedulers[name]

    def agree() -> bool:
        expected = told(one)
        assert shown(one, expected) == expected
        return bool(expected)

    until(agree, SECONDS, name)


def test_a_job_that_waits_for_others_is_pending(schedulers: dict[str, Observed]) -> None:
    """pg-boss 12 marks it as blocked."""
    one = schedulers["pgboss12"]
    with psycopg.connect(one.driven.dsn, autocommit=True) as db:
        row = db.execute("UPDATE pgboss.job SET blocked = true WHERE name = 'dead' RETURNING id::text").fetchone()
        assert row is not None
        try:
            assert one.counter.jobs(row)[row[0]].status == "PENDING"
            assert ("PENDING", "ONE_TIME") in one.counter.ask("queues").by_status
        finally:
            db.execute("UPDATE pgboss.job SET blocked = false WHERE name = 'dead'")
