"""A host whose clock is minutes off: what is too old is so by the server's clock, which made the stamps."""

from __future__ import annotations

import time
from contextlib import closing
from pathlib import Path

import pytest
from support.counting import Counter
from support.postgres import Database, execute

from exporter.config.model import Profile

PROFILE = Profile(
    jobs="SELECT id, name, 'SCHEDULED' AS status, 'RECURRING' AS type, next_run_at FROM jobs",
    running="SELECT id, worker AS worker_id, began AS started_at FROM work",
    workers="SELECT name AS id, seen AS last_seen FROM workers",
)
TABLES = (
    "CREATE TABLE jobs AS SELECT name AS id, name, clock_timestamp() + at AS next_run_at"
    " FROM (VALUES ('due', interval '-10 minutes'), ('later', interval '30 seconds')) _ (name, at)",
    "CREATE TABLE work AS SELECT 1 AS id, 'w' AS worker, clock_timestamp() - interval '1:59:00' AS began",
    "INSERT INTO work VALUES (2, 'gone', clock_timestamp() - interval '2:01:00')",
    "CREATE TABLE workers AS SELECT 'w' AS name, clock_timestamp() AS seen",
    "INSERT INTO workers VALUES ('gone', clock_timestamp() - interval '150 seconds')",
)


@pytest.mark.parametrize("ahead", [-180, 0, 180])
def test_a_clock_that_is_off_makes_nothing_lost_stuck_or_overdue(
    ahead: int, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    execute(database, *TABLES)
    ours = time.time
    monkeypatch.setattr(time, "time", lambda: ours() + ahead)
    with closing(Counter(database.dsn, PROFILE, tmp_path)) as counter:
        workers = {worker.id: worker.state for worker in counter.ask("workers").workers}
        (running,) = counter.ask("running").by_task_type.values()
        overdue = {job.job_id: job.overdue_since is not None for job in counter.ask("schedules").jobs}
    assert workers == {"w": "active", "gone": "lost"}
    assert (running.running, running.stuck) == (2, 1)
    assert overdue == {"due": True, "later": False}
