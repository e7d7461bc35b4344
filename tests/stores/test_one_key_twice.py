"""One key in several rows of one reading: a row that ended more than once, or executions that share what tells them."""

from __future__ import annotations

import random
from collections import Counter as Multiset
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from support.counting import Counter
from support.postgres import Database

from exporter.config.model import Cursor, Profile

#: One row for each task, which tells its last success and its last failure, as db-scheduler keeps them.
TASKS = """
CREATE TABLE tasks (name text PRIMARY KEY, last_success timestamptz, last_failure timestamptz);
INSERT INTO tasks VALUES ('ping'), ('report')
"""
TWO_ENDS = Profile(
    executions="""
      SELECT name AS id, name AS job_id, name AS task_type, 'SUCCESS' AS status, last_success AS completed_at
      FROM tasks WHERE last_success IS NOT NULL
      UNION ALL
      SELECT name, name, name, 'FAILED', last_failure FROM tasks WHERE last_failure IS NOT NULL
    """,
    jobs="SELECT name AS id, 'QUEUED' AS status, 'RECURRING' AS type FROM tasks",
    cursor=Cursor(column="completed_at"),
    history="final",
)
#: A table for each queue, each with ids of its own, as pgmq keeps its archives.
QUEUES = """
CREATE TABLE mails (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, archived_at timestamptz NOT NULL);
CREATE TABLE bills (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, archived_at timestamptz NOT NULL)
"""
BRANCHES = """
SELECT id, 'mails' AS queue, 'SUCCESS' AS status, archived_at AS completed_at FROM mails
UNION ALL
SELECT id, 'bills', 'SUCCESS', archived_at FROM bills
"""
SHARED = Profile(executions=BRANCHES, cursor=Cursor(column="completed_at"))
APART = Profile(executions=BRANCHES, cursor=Cursor(column="completed_at"), key=("id", "queue"))


@pytest.fixture
def db(database: Database) -> Iterator[psycopg.Connection]:
    with database.connect() as admin:
        yield admin


def test_a_row_that_ended_in_two_ways_between_two_polls_is_counted_for_each(
    database: Database, db: psycopg.Connection, tmp_path: Path
) -> None:
    db.execute(TASKS)
    draw = random.Random(10)
    truth: Multiset[str] = Multiset()
    streak = 0
    with closing(Counter(database.dsn, TWO_ENDS, tmp_path)) as counter:
        counter.poll()
        for _ in range(12):
            ways = draw.sample(["success", "failure"], k=draw.choice((1, 2, 2)))
            for way in ways:
                db.execute(f"UPDATE tasks SET last_{way} = clock_timestamp() WHERE name = 'report'")  # type: ignore[arg-type]
                truth["SUCCESS" if way == "success" else "FAILED"] += 1
                streak = 0 if way == "success" else streak + 1
            counter.poll()
            counter.poll()  # the late window is read again
            assert {s: n for s, n in counter.totals().items() if n} == {s: n for s, n in truth.items() if n}
            assert [job.streak for job in counter.counts.failing] == [streak] * (streak > 0)
        assert counter.exactness_reasons() == ()


def test_executions_that_share_a_key_are_said_to_be_lost(
    database: Database, db: psycopg.Connection, tmp_path: Path
) -> None:
    db.execute(QUEUES)
    with closing(Counter(database.dsn, SHARED, tmp_path / "a")) as counter:
        counter.poll()
        for _ in range(2):
            db.execute("INSERT INTO mails (archived_at) VALUES (clock_timestamp())")
            db.execute("INSERT INTO bills (archived_at) VALUES (clock_timestamp())")
            counter.poll()
        (reason,) = counter.exactness_reasons()
        assert "'1' is there with queue 'mails' and with queue 'bills'" in reason
        assert "key: [id, queue]" in reason


def test_a_key_that_tells_them_apart_counts_them_all(
    database: Database, db: psycopg.Connection, tmp_path: Path
) -> None:
    db.execute(QUEUES)
    with closing(Counter(database.dsn, APART, tmp_path / "a")) as counter:
        counter.poll()
        for _ in range(2):
            db.execute("INSERT INTO bills (archived_at) VALUES (clock_timestamp())")
            db.execute("INSERT INTO mails (archived_at) VALUES (clock_timestamp())")
            counter.poll()
        assert (counter.totals()["SUCCESS"], counter.exactness_reasons()) == (4, ())
