"""Stretches that are read again - in pieces, interrupted, after the clock was set back - and ids that begin again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from support.counting import Counter
from support.postgres import Database

from exporter.config.model import Cursor, Duration, PostgresStore, Profile
from exporter.errors import StoreError
from exporter.instruments import QueryInstruments
from exporter.ledger import account
from exporter.stores import reader
from exporter.stores.credentials import StoreCredentials
from exporter.stores.rows import Width
from exporter.stores.session import Session

BY_TIME = Profile(
    executions="SELECT id, id AS job_id, 0 AS attempt, 'SUCCESS' AS status, 'x' AS task_type, done_at AS completed_at"
    " FROM work",
    cursor=Cursor(column="completed_at", kind="timestamp"),
    history="per_attempt",
)
BY_ID = Profile(
    executions="SELECT id, id AS job_id, 0 AS attempt, 'SUCCESS' AS status, 'x' AS task_type FROM work",
    cursor=Cursor(column="id", kind="id", position="SELECT max(id) FROM work"),
    key=("id",),
    history="per_attempt",
)
INSERT = "INSERT INTO work (done_at) SELECT clock_timestamp() FROM generate_series(1, 100)"


@pytest.fixture
def admin(database: Database) -> Iterator[psycopg.Connection[Any]]:
    with database.connect() as connection:
        connection.execute("CREATE TABLE work (id bigserial PRIMARY KEY, done_at timestamptz)")
        connection.execute("CREATE INDEX ON work (done_at)")
        yield connection


@pytest.fixture
def counter(database: Database, admin: psycopg.Connection[Any], tmp_path: Path) -> Iterator[Counter]:
    """Counts by time; a row of a transaction that is open since before 400 others ended and were counted."""
    counter = Counter(database.dsn, BY_TIME, tmp_path / "state", late_window=0.3)
    try:
        counter.poll()
        with psycopg.connect(database.dsn) as late:
            late.execute("INSERT INTO work (done_at) VALUES (now())")
            for _ in range(4):
                admin.execute(INSERT)
                admin.execute("SELECT pg_sleep(0.5)")
                counter.poll()
            assert counter.totals()["SUCCESS"] == 400
        yield counter
    finally:
        counter.close()


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A busy machine: narrow slices, one in a turn."""
    monkeypatch.setattr(reader, "TURN_SECONDS", -1.0)
    monkeypatch.setattr(Width, "value", 0.6)
    return monkeypatch


def test_a_stretch_is_read_again_over_several_turns(counter: Counter, narrow: pytest.MonkeyPatch) -> None:
    del narrow
    counter.poll()
    assert counter.totals()["SUCCESS"] == 401
    assert counter.counts.late == 1


def test_killed_in_the_middle_of_that_stretch(counter: Counter, narrow: pytest.MonkeyPatch) -> None:
    turn = counter.turn()
    assert turn.more
    counter.kill()
    narrow.undo()
    counter.start()
    counter.poll()
    assert counter.totals()["SUCCESS"] == 401


def test_the_servers_clock_goes_back_within_the_late_window(
    database: Database, admin: psycopg.Connection[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counter = Counter(database.dsn, BY_TIME, tmp_path / "state", late_window=30)
    try:
        counter.poll()
        monkeypatch.setattr(reader, "CLOCK", "SELECT extract(epoch FROM clock_timestamp())::float8 + 5")
        admin.execute(INSERT.replace("clock_timestamp()", "clock_timestamp() + interval '2 s'"))
        counter.poll()
        assert counter.totals()["SUCCESS"] == 100
        monkeypatch.undo()  # the clock is back by 5 s
        counter.poll()
        admin.execute("SELECT pg_sleep(2.5)")
        counter.poll()
        assert counter.totals()["SUCCESS"] == 100
        assert counter.exactness_reasons() == ()
    finally:
        counter.close()


def test_a_clock_that_goes_back_further_is_told(
    database: Database, tmp_path: Path, admin: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    counter = Counter(database.dsn, BY_TIME, tmp_path / "state", late_window=1)
    try:
        monkeypatch.setattr(reader, "CLOCK", "SELECT extract(epoch FROM clock_timestamp())::float8 + 60")
        counter.poll()
        admin.execute(INSERT)
        monkeypatch.undo()
        counter.poll()
        (reason,) = counter.exactness_reasons()
        assert "the server's clock was set back, further than late_window (1 s)" in reason
        counter.poll()
        assert counter.exactness_reasons() == (reason,)
        counter.kill()
        counter.start()  # still before the point up to which nothing is counted a second time
        admin.execute(INSERT)
        counter.poll()
        assert counter.exactness_reasons() == (reason,)
    finally:
        counter.close()


def test_a_row_without_attempts_that_ends_again_in_a_transaction_open_at_a_poll(
    database: Database, admin: psycopg.Connection[Any], tmp_path: Path
) -> None:
    profile = Profile(
        executions=BY_TIME.executions.replace("0 AS attempt, ", ""), cursor=BY_TIME.cursor, history="final"
    )
    counter = Counter(database.dsn, profile, tmp_path / "state", late_window=30)
    try:
        counter.poll()
        admin.execute(INSERT)
        counter.poll()
        for expected in (200, 300):
            with psycopg.connect(database.dsn) as late:
                late.execute("UPDATE work SET done_at = now()")
                counter.poll()  # later than the new end
            counter.poll()
            counter.poll()
            assert counter.totals()["SUCCESS"] == expected
        assert counter.exactness_reasons() == ()
    finally:
        counter.close()


def test_ids_that_begin_again_are_counted_and_told(
    database: Database, admin: psycopg.Connection[Any], tmp_path: Path
) -> None:
    counter = Counter(database.dsn, BY_ID, tmp_path / "state", late_window=0.1)
    try:
        counter.poll()
        for _ in range(3):
            admin.execute(INSERT)
            admin.execute("SELECT pg_sleep(0.2)")
            counter.poll()
        admin.execute("DELETE FROM work")  # pruning alone is no reason for doubt
        counter.poll()
        admin.execute(INSERT)
        counter.poll()
        assert counter.totals()["SUCCESS"] == 400
        assert counter.exactness_reasons() == ()
        admin.execute("TRUNCATE work RESTART IDENTITY")
        counter.poll()
        for expected in (500, 600, 700, 800, 900, 1000):  # beyond the ids of before
            admin.execute(INSERT)
            admin.execute("SELECT pg_sleep(0.2)")
            counter.poll()
            assert counter.totals()["SUCCESS"] == expected
        (reason,) = counter.exactness_reasons()
        assert "ids began again" in reason
        counter.kill()
        counter.start()
        counter.poll()
        assert counter.totals()["SUCCESS"] == 1000
    finally:
        counter.close()


def test_keys_are_bounded_however_long_a_transaction_is_open(
    database: Database, admin: psycopg.Connection[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(account, "KEYS_KEPT", 150)
    counter = Counter(database.dsn, BY_TIME, tmp_path / "state", late_window=0.1)
    try:
        counter.poll()
        with psycopg.connect(database.dsn) as late:
            late.execute("INSERT INTO work (done_at) VALUES (now())")
            for expected in (100, 200, 300, 400):
                admin.execute(INSERT)
                admin.execute("SELECT pg_sleep(0.2)")
                counter.poll()
                assert counter.totals()["SUCCESS"] == expected
            (reason,) = counter.exactness_reasons()  # said once
            assert "a transaction is open for so long" in reason
            assert counter.keys() <= 150
        counter.poll()
        assert counter.totals()["SUCCESS"] == 400  # nothing is counted twice, and what is missed was told
    finally:
        counter.close()


async def test_a_server_that_goes_away_before_the_cursor_is_closed(database: Database) -> None:
    store = PostgresStore(name="main", dsn=database.dsn, timeout=Duration(60))
    session = Session("main", StoreCredentials(store), 60.0, QueryInstruments())
    with pytest.raises(StoreError):
        async with session.transaction() as transaction:
            async for _ in transaction.stream("rows", "SELECT 1"):
                with database.connect() as admin:
                    admin.execute("SELECT pg_terminate_backend(%s)", [session.backend_pid])
    await session.close()
