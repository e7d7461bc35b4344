"""Schedulers that cannot be installed here, by their schemas and statements, with a poll after each of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from support.counting import Counter
from support.postgres import Database

from contract.contracts import SCHEMA_ONLY
from contract.scripts import SCRIPTS, Script
from exporter.domain import LIVE_STATUSES

SCHEMAS = Path(__file__).parent / "schemas"


@pytest.fixture(params=SCHEMA_ONLY, ids=lambda contract: contract.name)
def scripted(request: pytest.FixtureRequest, database: Database, tmp_path: Path) -> Iterator[tuple[Counter, Script]]:
    """A store after its script, recognised by `auto` as its contract says."""
    contract = request.param
    script = SCRIPTS[contract.name]
    with database.connect() as db:
        db.execute((SCHEMAS / script.schema).read_text())  # type: ignore[call-overload]
        for statement in script.before:
            db.execute(statement)  # type: ignore[call-overload]
        with closing(Counter(database.dsn, "auto", tmp_path)) as counter:
            found, schema = counter.recognise()
            assert (found.profile.name, found.variant, schema.told) == (
                contract.profile,
                contract.variant,
                contract.version,
            )
            assert schema.doubt is None
            polls = found.profile.executions is not None
            if polls:
                counter.poll()
            for step in script.steps:
                db.execute(step)  # type: ignore[call-overload]
                if polls:
                    counter.poll()
            yield counter, script


def test_what_it_wrote_is_what_is_told(scripted: tuple[Counter, Script], database: Database) -> None:
    counter, script = scripted
    statuses = ("success", "failed", "timeout", "cancelled")
    executions = counter.counts.executions
    counted = {(task, s): n for task, ns in executions.items() for s, n in zip(statuses, ns, strict=True) if n}
    assert counted == script.counted
    assert {task: n for task, n in counter.counts.retries.items() if n} == script.retries
    queues, running, workers = (counter.ask(name) for name in ("queues", "running", "workers"))
    live = {status: n for (status, kind), n in queues.by_status.items() if kind == "ONE_TIME"}
    assert live == script.live
    assert {task: found.running for task, found in running.by_task_type.items()} == script.running
    if script.workers is None:
        assert workers is None
    else:
        states = [worker.state for worker in workers.workers]
        assert {state: states.count(state) for state in states} == script.workers
        assert {found.worker_id for found in running.oldest} - {None} <= {worker.id for worker in workers.workers}
    schedules = counter.ask("schedules")
    listed = schedules.jobs if schedules is not None else ()
    assert {(job.job_id, job.next_run is not None) for job in listed} == script.recurring
    assert {job.job_id for job in listed if job.overdue_since is not None} == script.overdue
    every = counter.ask("jobs").by_status
    unfinished = {key: n for key, n in every.items() if key[0] in LIVE_STATUSES and key[1] == "ONE_TIME"}
    assert unfinished == {key: n for key, n in queues.by_status.items() if key[1] == "ONE_TIME"}
    assert {job_id: job.status for job_id, job in counter.jobs(script.alone).items()} == script.alone
    if script.counted:
        assert not counter.exactness_reasons()
        assert {group.message for group in counter.errors(3600)} == script.errors
    if script.trigger is not None:
        job, made = script.trigger
        assert counter.trigger(job) is not None
        with database.connect() as db:
            assert db.execute(made).fetchone() == (1,)  # type: ignore[call-overload]
