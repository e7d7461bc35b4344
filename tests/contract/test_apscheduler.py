"""APScheduler 3 at work: there is no history, so what is told is what is scheduled."""

from __future__ import annotations

import time
from contextlib import closing
from pathlib import Path

from support.counting import Counter
from support.schedulers import Driven


def test_schedules_are_told_and_nothing_else(scheduled: Driven, tmp_path: Path) -> None:
    with closing(Counter(scheduled.dsn, "auto", tmp_path / "state")) as counter:
        found, _ = counter.recognise()
        assert found.profile.name == "apscheduler"
        jobs = {job.job_id: job for job in counter.ask("schedules").jobs}
        assert jobs.keys() == {"tick", "later", "nightly", "held"}
        assert jobs["held"].status == "PENDING"
        assert jobs["held"].next_run is None
        assert 2900 < jobs["later"].next_run - jobs["tick"].next_run < 3700
        assert 0 < jobs["later"].next_run - time.time() < 3700
        for collector in ("executions", "running", "workers"):
            assert counter.ask(collector) is None
