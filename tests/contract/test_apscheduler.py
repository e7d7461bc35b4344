"""APScheduler 3 at work: there is no history, so what is told is what is scheduled."""

from __future__ import annotations

import time
from contextlib import closing
from pathlib import Path

import pytest
from support.counting import Counter
from support.polling import until
from support.postgres import Database
from support.schedulers import Driven

from contract.contracts import APSCHEDULER


def test_schedules_are_told_and_nothing_else(database: Database, tmp_path: Path) -> None:
    driven = Driven(contract=APSCHEDULER, dsn=database.dsn, directory=tmp_path / "driver")
    if (reason := driven.missing()) is not None:
        pytest.skip(reason)
    try:
        driven.install()
        assert driven.children[0].wait(60), driven.log
        driven.work()
        until(lambda: driven.runs()["tick", "success"] >= 2, 60, "tick has run twice")
        with closing(Counter(database.dsn, "auto", tmp_path / "state")) as counter:
            found, _ = counter.recognise()
            assert found.profile.name == "apscheduler"
            jobs = {job.job_id: job for job in counter.ask("schedules").jobs}
            assert jobs.keys() == {"tick", "later", "nightly", "held"}
            assert jobs["held"].status == "PENDING"
            assert jobs["held"].next_run is None
            assert abs(jobs["tick"].next_run - time.time()) < 30
            assert 3000 < jobs["later"].next_run - time.time() < 3700
            for collector in ("executions", "running", "workers"):
                assert counter.ask(collector) is None
    finally:
        driven.crash()
