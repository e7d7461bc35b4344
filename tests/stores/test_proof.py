"""What stands against exactness is said when it begins, also under an open connection, and when it is over."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import structlog
from psycopg import sql
from support.counting import Counter
from support.postgres import Database

from exporter.config.model import Cursor, Profile
from exporter.stores import proof

PROFILE = Profile(
    executions="SELECT id, id AS job_id, 'SUCCESS' AS status, 'x' AS task_type, done_at AS completed_at FROM work",
    cursor=Cursor(column="completed_at", kind="timestamp"),
    history="final",
)


@pytest.fixture
def role(database: Database) -> Iterator[str]:
    """A role that sees everybody's transactions."""
    name = f"{database.name}_reader"
    with database.connect() as admin:
        admin.execute("CREATE TABLE work (id bigserial PRIMARY KEY, done_at timestamptz)")
        admin.execute("CREATE INDEX ON work (done_at)")
        admin.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'pw'").format(sql.Identifier(name)))
        admin.execute(sql.SQL("GRANT pg_monitor TO {}").format(sql.Identifier(name)))
        admin.execute(sql.SQL("GRANT SELECT ON work TO {}").format(sql.Identifier(name)))
    yield name
    with database.connect() as admin:
        admin.execute(sql.SQL("DROP OWNED BY {0}; DROP ROLE {0}").format(sql.Identifier(name)))


@pytest.fixture
def counter(database: Database, role: str, tmp_path: Path) -> Iterator[Counter]:
    counter = Counter(database.dsn_as(role, "pw"), PROFILE, tmp_path / "state", late_window=0.3)
    try:
        yield counter
    finally:
        counter.close()


def lines(log: list[Any]) -> list[str]:
    """What was said of exactness."""
    return [line["event"] for line in log if "exact" in line["event"] or "missed" in line["event"]]


def test_rights_that_come_and_go_under_an_open_connection_are_told_once_each(
    database: Database, role: str, counter: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proof, "LOOK_SECONDS", 0.0)
    with database.connect() as admin, structlog.testing.capture_logs() as log:
        counter.poll()
        assert counter.exactness_reasons() == ()
        admin.execute(sql.SQL("REVOKE pg_monitor FROM {}").format(sql.Identifier(role)))
        for _ in range(3):
            counter.poll()
            (reason,) = counter.exactness_reasons()
            assert "the role lacks pg_read_all_stats" in reason
        admin.execute(sql.SQL("GRANT pg_monitor TO {}").format(sql.Identifier(role)))
        for _ in range(3):
            counter.poll()
            assert counter.exactness_reasons() == ()
    assert lines(log) == ["counting is not provably exact", "nothing stands against exact counting any more"]


def test_a_look_does_not_hide_a_transaction_from_its_poll(
    database: Database, counter: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proof, "LOOK_SECONDS", 0.0)
    counter.poll()
    with psycopg.connect(database.dsn) as late:
        late.execute("SELECT now()")
        for _ in range(3):  # later than late_window
            counter.poll()
            late.execute("SELECT pg_sleep(0.2)")
        late.execute("INSERT INTO work (done_at) VALUES (now())")
    counter.poll()
    assert (counter.totals()["SUCCESS"], counter.exactness_reasons()) == (1, ())


def test_sessions_that_do_not_show_their_transactions_are_told_once(
    database: Database, counter: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proof, "LOOK_SECONDS", 0.0)
    counter.poll()
    with structlog.testing.capture_logs() as log:
        for _ in range(2):
            with database.connect(options="-c track_activities=off") as quiet:
                quiet.execute("SELECT 1")
                counter.poll()
            (reason,) = counter.exactness_reasons()
            assert "have track_activities off" in reason
            counter.poll()  # it is gone, and what it did meanwhile nobody knows
            assert counter.exactness_reasons() == (reason,)
    assert lines(log) == ["executions may have been missed"]
