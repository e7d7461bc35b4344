"""NULL and ``infinity`` where a profile should give a value: told or left out, and never anybody else's trouble."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from stores.test_profile_check import findings, report
from support.counting import Counter
from support.postgres import Database, execute

from exporter.config.model import Cursor, Profile, StuckAfter
from exporter.stores import answers
from exporter.stores.queries import RUNNING_COLUMNS, WORKER_COLUMNS

WORK = """
CREATE TABLE work (n bigserial PRIMARY KEY, id text, began timestamptz, ended timestamptz);
CREATE INDEX ON work (ended); CREATE INDEX ON work (began)
"""
FAILURES = Profile(
    executions="SELECT id, 'FAILED' AS status, ended AS completed_at, 'boom' AS error_message FROM work",
    cursor=Cursor(column="completed_at"),
    key=("id",),
)
BY_START = Profile(
    executions="SELECT n AS id, 'SUCCESS' AS status, began AS started_at FROM work WHERE ended IS NOT NULL",
    running="SELECT n AS id, began AS started_at FROM work WHERE ended IS NULL",
    cursor=Cursor(column="started_at", at_end=False),
    key=("id",),
)
SINCE = Profile(
    jobs="""
      SELECT 'never' AS id, 'QUEUED' AS status, 'infinity'::timestamptz AS next_run_at, now() AS created_at
      UNION ALL SELECT 'always', 'QUEUED', '-infinity', '-infinity'
      UNION ALL SELECT NULL, 'QUEUED', now() - interval '1 hour', NULL
      UNION ALL SELECT 'late', 'QUEUED', now() - interval '2 hours', NULL
      UNION ALL SELECT 'odd', NULL, NULL, NULL
    """
)


def row(columns: Any, **values: object) -> tuple[object, ...]:
    return tuple(values.get(name) for name in columns)


def test_executions_without_an_id_are_not_counted_and_told(database: Database, tmp_path: Path) -> None:
    """The state file needs an id: it once took itself for damaged, and all stores began at zero."""
    execute(database, WORK)
    with closing(Counter(database.dsn, FAILURES, tmp_path)) as counter:
        counter.poll()
        for one in ("'a'", "NULL", "NULL", "'b'"):
            execute(database, f"INSERT INTO work (id, ended) VALUES ({one}, now())")
            counter.poll()
        counter.kill()
        counter.start()
        execute(database, "INSERT INTO work (id, ended) VALUES ('c', now()), (NULL, now())")
        counter.poll()
        assert counter.totals()["FAILED"] == 3
        assert counter.exactness_reasons() == (
            "`executions` gives rows whose id is NULL, which are not counted: each needs its own",
        )


async def test_a_check_tells_of_ids_that_are_null(database: Database) -> None:
    execute(database, WORK, "INSERT INTO work (id, ended) VALUES ('a', now()), (NULL, now())")
    (found,) = findings(await report(database.dsn, FAILURES), "fault")
    assert "id is NULL in some rows: such executions are not counted" in found["text"]
    execute(database, "DELETE FROM work WHERE id IS NOT NULL")
    (found,) = findings(await report(database.dsn, FAILURES), "fault")
    assert "id is NULL in some rows" in found["text"]
    jobs = Profile(jobs="SELECT id, 'QUEUED' AS status FROM work")
    assert any("id is NULL in some rows" in one["text"] for one in findings(await report(database.dsn, jobs)))


@pytest.mark.parametrize("never", ["infinity", "-infinity"])
def test_what_runs_since_no_moment_leaves_the_state_whole(database: Database, tmp_path: Path, never: str) -> None:
    execute(database, WORK)
    with closing(Counter(database.dsn, BY_START, tmp_path)) as counter:
        counter.poll()
        execute(database, "INSERT INTO work (began, ended) VALUES (now(), now())")
        execute(database, f"INSERT INTO work (began) VALUES ('{never}')")
        counter.poll()
        counter.kill()
        counter.start()
        counter.poll()
        assert counter.totals()["SUCCESS"] == 1


def test_what_is_due_at_no_moment_is_not_overdue(database: Database, tmp_path: Path) -> None:
    with closing(Counter(database.dsn, SINCE, tmp_path)) as counter:
        queues = counter.ask("queues")
        assert [job.job_id for job in queues.overdue] == ["late"]
        assert queues.overdue_count == 2
        assert queues.queues[""].oldest_ready == pytest.approx(queues.overdue[0].due)
        assert set(counter.ask("jobs").by_status) == {("QUEUED", "ONE_TIME")}


def test_a_recurring_job_without_an_id_is_none(database: Database, tmp_path: Path) -> None:
    jobs = "SELECT {} AS id, 'SCHEDULED' AS status, 'RECURRING' AS type"
    profile = Profile(jobs=f"{jobs.format('NULL::text')} UNION ALL " + jobs.format("'one'"))
    with closing(Counter(database.dsn, profile, tmp_path)) as counter:
        assert [job.job_id for job in counter.ask("schedules").jobs] == ["one"]


def test_rows_without_an_id_are_in_no_list() -> None:
    tally = answers.RunningTally(100.0, StuckAfter(), {})
    tally.add([row(RUNNING_COLUMNS, started_at=1.0), row(RUNNING_COLUMNS, id="1", started_at=2.0)])
    running = tally.result()
    assert running.by_task_type[""].running == 2
    assert [one.id for one in running.oldest] == ["1"]
    found = answers.workers([row(WORKER_COLUMNS), row(WORKER_COLUMNS, id="w")], 100.0, 60.0)
    assert [worker.id for worker in found] == ["w"]
    operations = answers.operations([("executing", 3)], [("w", "b"), ("w", None), ("w", "a")])
    assert operations.executing == {"w": ("a", "b")}
    schedules = answers.queues([], [(None, None, None, 1.0, 1)])
    assert schedules.overdue == ()
