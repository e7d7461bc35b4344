"""Cursors of schedulers that give ids at the start, or keep attempts within the job's row: each attempt once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from support.counting import Counter
from support.postgres import Database

from exporter.config.model import Cursor, Profile
from exporter.stores.queries import Wrapped

RUNS = """
CREATE TABLE runs (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, status text NOT NULL DEFAULT 'running')
"""
BY_START = Profile(
    executions="SELECT id, upper(status) AS status FROM runs WHERE status <> 'running'",
    cursor=Cursor(
        column="id",
        kind="id",
        at_end=False,
        position="SELECT max(id) FROM runs",
        unfinished="SELECT min(id) FROM runs WHERE id > $1 AND status = 'running'",
    ),
    key=("id",),
)
TASKS = """
CREATE TABLE tasks (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, attempt int NOT NULL DEFAULT 0,
  state text NOT NULL DEFAULT 'waiting', ended timestamptz, errors jsonb NOT NULL DEFAULT '[]');
CREATE INDEX ON tasks (ended); CREATE INDEX ON tasks (state)
"""
WITHIN_ROWS = Profile(
    executions="""
      SELECT id, attempt - 1 AS attempt, 'SUCCESS' AS status, ended AS completed_at, ended AS row_end
      FROM tasks WHERE state = 'done'
      UNION ALL
      SELECT t.id, (e.value->>'attempt')::int - 1, 'FAILED', (e.value->>'at')::timestamptz, t.ended
      FROM tasks t, jsonb_array_elements(t.errors) e WHERE t.state IN ('done', 'dead')
      UNION ALL
      SELECT t.id, (e.value->>'attempt')::int - 1, 'FAILED', (e.value->>'at')::timestamptz, 'infinity'
      FROM tasks t, jsonb_array_elements(t.errors) e WHERE t.state = 'waiting'
    """,
    cursor=Cursor(column="completed_at", seek="row_end"),
    history="per_attempt",
)


@pytest.fixture
def run(database: Database) -> Iterator[Callable[[str], Any]]:
    with database.connect() as db:

        def execute(sql: str) -> Any:
            cursor = db.execute(sql)  # type: ignore[call-overload]
            return cursor.fetchone() if cursor.description else None

        yield execute


def test_ids_of_the_start_count_when_what_they_began_has_ended(
    database: Database, run: Callable[[str], Any], tmp_path: Path
) -> None:
    """A long run is counted when it ends, though later ones have been counted long since; across a restart too."""
    run(RUNS)
    run("INSERT INTO runs (status) VALUES ('success'), ('running'), ('success')")
    with closing(Counter(database.dsn, BY_START, tmp_path, late_window=0)) as sidecar:
        sidecar.poll()
        assert not sidecar.exactness_reasons()
        for _ in range(3):  # far enough that only the open run can be the reason to look back
            run("INSERT INTO runs (status) VALUES ('success'), ('failed')")
            sidecar.poll()
        assert sidecar.totals() == {"SUCCESS": 3, "FAILED": 3, "TIMEOUT": 0, "CANCELLED": 0}
        sidecar.kill()
        run("UPDATE runs SET status = 'failed' WHERE status = 'running'")
        sidecar.start()
        sidecar.poll()
        assert sidecar.totals() == {"SUCCESS": 3, "FAILED": 4, "TIMEOUT": 0, "CANCELLED": 0}
        for _ in range(3):
            run("INSERT INTO runs (status) VALUES ('success')")
            sidecar.poll()
        assert sidecar.totals()["SUCCESS"] == 6
        assert sidecar.totals()["FAILED"] == 4
        assert sidecar.keys() <= 2  # nothing is open any more: what had to be remembered is forgotten


def test_without_unfinished_such_a_cursor_is_said_to_be_inexact(
    database: Database, run: Callable[[str], Any], tmp_path: Path
) -> None:
    run(RUNS)
    cursor = Cursor(column="id", kind="id", at_end=False, position="SELECT max(id) FROM runs")
    profile = Profile(executions=BY_START.executions, cursor=cursor, key=("id",))
    with closing(Counter(database.dsn, profile, tmp_path)) as sidecar:
        sidecar.poll()
        assert "not set when the execution ends" in "".join(sidecar.exactness_reasons())


def test_attempts_within_a_row_count_once_before_and_after_it_ends(
    database: Database, run: Callable[[str], Any], tmp_path: Path
) -> None:
    run(TASKS)
    failed = (
        "attempt = attempt + 1, errors = errors || jsonb_build_object('attempt', attempt + 1, 'at', clock_timestamp())"
    )
    with closing(Counter(database.dsn, WITHIN_ROWS, tmp_path, late_window=0)) as sidecar:
        sidecar.poll()
        run("INSERT INTO tasks DEFAULT VALUES")
        for _ in range(3):
            run(f"UPDATE tasks SET {failed}")
            sidecar.poll()
        assert sidecar.totals()["FAILED"] == 3
        run(f"UPDATE tasks SET {failed}")  # this one is first seen when the row has ended
        run("UPDATE tasks SET state = 'done', attempt = attempt + 1, ended = clock_timestamp()")
        sidecar.poll()
        sidecar.poll()
        assert sidecar.totals() == {"SUCCESS": 1, "FAILED": 4, "TIMEOUT": 0, "CANCELLED": 0}
        assert sum(sidecar.counts.retries.values()) == 4


def test_seek_lets_an_index_leave_finished_rows_out(database: Database, run: Callable[[str], Any]) -> None:
    """The stretch that a poll reads is found by the row's end: a hundred thousand rows of history are not looked at."""
    run(TASKS)
    run("INSERT INTO tasks (state, ended) SELECT 'done', now() - n * interval '1 s' FROM generate_series(60, 100000) n")
    run("ANALYZE tasks")
    columns = {"id": "bigint", "attempt": "integer", "status": "text"}
    columns |= dict.fromkeys(("completed_at", "row_end"), "timestamp with time zone")
    sql = Wrapped(WITHIN_ROWS, {"executions": columns}).finished()
    sql = sql.replace("$1", "extract(epoch FROM now() - interval '50 s')").replace("$2", "extract(epoch FROM now())")
    with database.connect() as db:
        plan = db.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}").fetchone()  # type: ignore[call-overload]
    text = str(plan)
    assert "Seq Scan" not in text, text
