"""The ring of recent executions while catching up: it is filled at the end, also after a kill."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.counting import Counter
from support.postgres import Database

from exporter.config.model import Retention
from exporter.stores import reader
from exporter.stores.native import ddl
from exporter.stores.rows import Width

SIZE = 100
NEWEST = "SELECT id::text FROM executions ORDER BY completed_at DESC, id DESC LIMIT %s"
FILL = """
INSERT INTO executions (job_id, task_type, status, completed_at)
SELECT n, 'type', 'SUCCESS', clock_timestamp() - (%s - n) * interval '1 ms' FROM generate_series(1, %s) n
"""


@pytest.fixture
def store(database: Database) -> Database:
    with database.connect() as admin:
        admin.execute(ddl("public").encode())
    return database


@pytest.fixture
def counter(store: Database, tmp_path: Path) -> Iterator[Counter]:
    counter = Counter(store.dsn, "native", tmp_path, retention=Retention(recent_executions=SIZE), late_window=1.0)
    try:
        counter.poll()
        yield counter
    finally:
        counter.close()


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Slices of half a second, one in a turn."""
    monkeypatch.setattr(reader, "TURN_SECONDS", -1.0)
    monkeypatch.setattr(Width, "value", 0.5)


def fill(store: Database, number: int) -> None:
    """Executions, one each millisecond, up to now."""
    with store.connect() as admin:
        admin.execute(FILL, (number, number))


def newest(store: Database, number: int = SIZE) -> list[str]:
    with store.connect() as admin:
        return [row[0] for row in admin.execute(NEWEST, (number,))]


def listed(counter: Counter) -> list[str]:
    return [execution.id for execution in counter.recent(10 * SIZE)]


@pytest.mark.usefixtures("narrow")
def test_the_newest_are_listed_once_all_is_counted(store: Database, counter: Counter) -> None:
    with store.connect() as admin:
        admin.execute("SELECT pg_sleep(1.5)")
    fill(store, 1_000)
    assert counter.turn().more
    counter.poll()
    assert counter.totals()["SUCCESS"] == 1_000
    assert listed(counter) == newest(store)


@pytest.mark.usefixtures("narrow")
def test_fewer_than_the_ring_holds(store: Database, counter: Counter) -> None:
    fill(store, 20)
    counter.poll()
    with store.connect() as admin:
        admin.execute("SELECT pg_sleep(1.5)")
    fill(store, 30)
    counter.poll()
    assert listed(counter) == newest(store, 50)


def test_killed_while_catching_up(store: Database, counter: Counter, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as busy:
        busy.setattr(reader, "TURN_SECONDS", -1.0)
        busy.setattr(Width, "value", 0.5)
        with store.connect() as admin:
            admin.execute("SELECT pg_sleep(2.5)")
        fill(store, 2_000)
        while counter.turn().more:
            if counter.totals()["SUCCESS"] > 1_000:
                break
        assert 1_000 < counter.totals()["SUCCESS"] < 2_000
        counter.kill()
    with store.connect() as admin:  # what is left to be counted would not fill the ring
        admin.execute("DELETE FROM executions WHERE completed_at > (SELECT max(completed_at) - interval '950 ms'"
                      " FROM executions)")  # fmt: skip
    counter.start()
    counter.poll()
    assert listed(counter) == newest(store)
