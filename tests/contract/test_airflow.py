"""Airflow at work. It takes minutes and 315 MB: `make contract` runs it, all runs try its schema (test_schema_only)."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from support.counting import Counter
from support.polling import until
from support.postgres import Database
from support.schedulers import Driven

from contract.answers import ANSWERS, agree
from contract.conftest import Observed, watched
from contract.contracts import AIRFLOW
from contract.truth import compare


def test_each_try_of_a_task_is_counted_once(database: Database, tmp_path: Path) -> None:
    driven = Driven(contract=AIRFLOW, dsn=database.dsn, directory=tmp_path / "driver")
    assert driven.missing() is None, driven.missing()
    try:
        driven.install()
        assert driven.children[0].wait(300), driven.log
        with (
            closing(Counter(database.dsn, "auto", tmp_path / "state")) as counter,
            watched(tmp_path / "sidecar", {"name": AIRFLOW.name, "dsn": database.dsn}) as sidecar,
        ):
            found, schema = counter.recognise()
            assert (found.profile.name, schema.told, schema.doubt) == ("airflow", AIRFLOW.version, None)
            counter.poll()
            driven.work()
            seen = Observed(contract=AIRFLOW, driven=driven, counter=counter)

            def settled() -> bool:
                seen.look()
                return seen.settled and any(event.get("began") == AIRFLOW.long for event in driven.events())

            until(settled, 400, "a run of the DAG is over, and counted, and another one runs", every=1.0)
            assert not counter.exactness_reasons()
            assert counter.counts.retries["work.flaky"] >= 2
            running = counter.ask("running")
            assert running.by_task_type["endless.long"].running == 1
            workers = {worker.id: worker.state for worker in counter.ask("workers").workers}
            assert workers[running.oldest[0].worker_id] == "active"
            jobs = {job.job_id: job for job in counter.ask("schedules").jobs}
            assert jobs["work"].next_run is not None
            driven.crash()
            assert counter.ask("running").by_task_type["endless.long"].running == 1
            differences = compare(AIRFLOW.name, database.dsn, sidecar)
            assert not {family: lines for family, lines in differences.items() if lines}
            for family in ANSWERS:
                agree(AIRFLOW.name, family, database.dsn, sidecar)
    finally:
        driven.crash()
