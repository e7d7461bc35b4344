"""What was open before the first poll of all: nothing saw it begin, and it counts all the same."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from support.counting import Counter
from support.postgres import Database

from exporter.config.model import Cursor, Profile

LATE_WINDOW = 0.1
PROFILE = Profile(
    executions="SELECT id, id AS job_id, 0 AS attempt, 'SUCCESS' AS status, 'x' AS task_type, done_at AS completed_at"
    " FROM work",
    cursor=Cursor(column="completed_at", kind="timestamp"),
    history="per_attempt",
)


@pytest.fixture
def worked(database: Database) -> Database:
    with database.connect() as admin:
        admin.execute("CREATE TABLE work (id bigserial PRIMARY KEY, done_at timestamptz NOT NULL DEFAULT now())")
        admin.execute("CREATE INDEX ON work (done_at)")
        admin.execute("DROP ROLE IF EXISTS blind")
        admin.execute("CREATE ROLE blind LOGIN PASSWORD 'pw'")
        admin.execute("GRANT SELECT ON work TO blind")
        admin.execute("INSERT INTO work DEFAULT VALUES")
    return database


def test_a_transaction_whose_start_is_hidden_counts_from_before_the_window(worked: Database, tmp_path: Path) -> None:
    counter = Counter(worked.dsn_as("blind", "pw"), PROFILE, tmp_path, late_window=LATE_WINDOW)
    try:
        with worked.connect() as writer:
            writer.execute("BEGIN")
            writer.execute("INSERT INTO work DEFAULT VALUES")
            time.sleep(LATE_WINDOW * 2)
            counter.poll()
            writer.execute("COMMIT")
        assert counter.poll().executions and counter.totals()["SUCCESS"] == 1
    finally:
        counter.close()


def test_a_transaction_that_was_prepared_long_ago_counts_when_it_commits(worked: Database, tmp_path: Path) -> None:
    counter = Counter(worked.dsn, PROFILE, tmp_path, late_window=LATE_WINDOW)
    gid = f"{worked.name}_first"
    try:
        with worked.connect() as writer:
            writer.execute("BEGIN")
            writer.execute("INSERT INTO work DEFAULT VALUES")
            writer.execute(f"PREPARE TRANSACTION '{gid}'")  # type: ignore[call-overload]
            time.sleep(LATE_WINDOW * 2)
            counter.poll()
            writer.execute(f"COMMIT PREPARED '{gid}'")  # type: ignore[call-overload]
        counter.poll()
        assert counter.totals()["SUCCESS"] == 1
    finally:
        counter.close()
