"""Stamps that lie where the reading has passed when they appear: lost, and so said."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from msgspec.structs import replace
from support.counting import Counter
from support.postgres import Database, execute

from exporter.config.model import Cursor, Profile
from exporter.errors import ProfileError
from exporter.stores import behind, proof

WORK = "CREATE TABLE work (id bigserial PRIMARY KEY, ended timestamp); CREATE INDEX ON work (ended)"
ENDED = "INSERT INTO work (ended) VALUES (clock_timestamp() AT TIME ZONE '{}')"
NAIVE = Profile(
    executions="SELECT id, 'SUCCESS' AS status, ended AS completed_at FROM work",
    cursor=Cursor(column="completed_at", kind="naive_timestamp"),
    key=("id",),
)


@pytest.fixture(autouse=True)
def looking_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proof, "LOOK_SECONDS", 0.0)


def test_local_time_west_of_greenwich_is_told(database: Database, tmp_path: Path) -> None:
    execute(database, WORK, ENDED.format("America/New_York"))
    with closing(Counter(database.dsn, NAIVE, tmp_path, late_window=0.5)) as counter:
        counter.poll()
        assert counter.exactness_reasons() == ()
        for _ in range(3):
            execute(database, ENDED.format("America/New_York"))
            counter.poll()
        assert counter.totals()["SUCCESS"] == 0
        (reason,) = counter.exactness_reasons()
        assert "are not counted: the latest one's lies" in reason
        assert any(hours in reason for hours in ("lies 4h", "lies 5h"))


def test_what_is_late_quiet_or_historical_is_not(database: Database, tmp_path: Path) -> None:
    """A long transaction's stamps are old when they appear, and are found by its mark."""
    execute(database, WORK, "INSERT INTO work (ended) SELECT now() - n * interval '1 s' FROM generate_series(1, 99) n")
    with closing(Counter(database.dsn, NAIVE, tmp_path, late_window=0.1)) as counter:
        counter.poll()
        with database.connect(autocommit=False) as late:
            late.execute("INSERT INTO work (ended) VALUES (now() AT TIME ZONE 'UTC')")
            for _ in range(4):
                counter.poll()
                execute(database, "SELECT pg_sleep(0.1)")
        for _ in range(3):
            counter.poll()
            execute(database, ENDED.format("UTC"), "SELECT pg_sleep(0.15)")
        counter.poll()
        counter.poll()
        assert (counter.totals()["SUCCESS"], counter.exactness_reasons()) == (4, ())


def test_a_look_that_no_index_serves_is_made_once_one_does(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`profile check` asks for that index, and nobody starts the exporter anew for it."""
    monkeypatch.setattr(behind, "REST_SECONDS", 0.0)
    monkeypatch.setattr(behind, "_DEAR_PASSED", 1_000.0)  # or 50,000 rows would be sorted for it
    late = ENDED.format("America/New_York")
    yesterday = "now() - interval '1 day' - n * interval '1 s'"
    history = f"INSERT INTO work (ended) SELECT {yesterday} FROM generate_series(1, 50000) n"
    execute(database, WORK.partition(";")[0], history, "ANALYZE work")
    with closing(Counter(database.dsn, NAIVE, tmp_path)) as counter:
        for _ in range(3):
            execute(database, late)
            counter.poll()
        assert counter.exactness_reasons() == ()
        execute(database, "CREATE INDEX ON work (ended)")
        for _ in range(3):
            execute(database, late)
            counter.poll()
        (reason,) = counter.exactness_reasons()
        assert "are not counted" in reason


def test_some_clocks_that_are_slow_are_told(database: Database, tmp_path: Path) -> None:
    """Those of others are right, so that something is counted at each poll."""
    execute(database, WORK)
    late = "INSERT INTO work (ended) VALUES ((now() - interval '20 s') AT TIME ZONE 'UTC')"
    with closing(Counter(database.dsn, NAIVE, tmp_path, late_window=0.5)) as counter:
        for _ in range(3):
            execute(database, ENDED.format("UTC"))
            counter.poll()
        assert counter.exactness_reasons() == ()
        execute(database, late, ENDED.format("UTC"))
        counter.poll()
        assert counter.totals()["SUCCESS"] == 3
        (reason,) = counter.exactness_reasons()
        assert "are not counted: one lies 2" in reason
        assert "Is completed_at set when the execution ends" in reason


def test_a_cursor_that_is_set_before_the_end_is_told(database: Database, tmp_path: Path) -> None:
    """Ids are given when the row is inserted, and some end long after others."""
    execute(database, "CREATE TABLE runs (id bigserial PRIMARY KEY, made timestamptz DEFAULT now(), done boolean)")
    execute(database, "CREATE INDEX ON runs (made)")
    select = "SELECT id, 'SUCCESS' AS status, made FROM runs WHERE done"
    by_id = Profile(
        executions=select, cursor=Cursor(column="id", kind="id", position="SELECT max(id) FROM runs"), key=("id",)
    )
    by_time = Profile(executions=select, cursor=Cursor(column="made"), key=("id",))
    for profile, told in ((by_id, "appear with ids that were passed"), (by_time, "Is made set when")):
        with closing(Counter(database.dsn, profile, tmp_path / profile.cursor.kind, late_window=0)) as counter:
            counter.poll()
            execute(database, "INSERT INTO runs (done) VALUES (false)")
            for _ in range(4):
                execute(database, "INSERT INTO runs (done) VALUES (true)")
                counter.poll()
            assert counter.exactness_reasons() == ()
            execute(database, "UPDATE runs SET done = true")
            counter.poll()
            (reason,) = counter.exactness_reasons()
            assert told in reason, profile.cursor.kind


def test_what_is_known_of_the_passed_is_no_news(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor are rows that are touched, deleted, that more are there of than are looked at."""
    monkeypatch.setattr(behind, "PASSED", 10)
    execute(database, WORK, "ALTER TABLE work ADD note text")
    with closing(Counter(database.dsn, NAIVE, tmp_path, late_window=0)) as counter:
        for number in range(12):
            execute(database, ENDED.format("UTC"), ENDED.format("UTC"))
            execute(database, "UPDATE work SET note = 'again'", f"DELETE FROM work WHERE id = {number}")
            if number == 6:
                execute(database, "VACUUM FULL work", "ALTER TABLE work ALTER id TYPE numeric")
            counter.poll()
        assert counter.exactness_reasons() == ()
        assert counter.totals()["SUCCESS"] == 22


def test_a_real_number_of_seconds_is_refused(database: Database, tmp_path: Path) -> None:
    """One of now is as good as two minutes; polls would take some for new again, and miss others."""
    execute(database, "CREATE TABLE work (id bigserial PRIMARY KEY, ended real)")
    cursor = Cursor(column="completed_at", kind="epoch")
    with (
        closing(Counter(database.dsn, replace(NAIVE, cursor=cursor), tmp_path)) as counter,
        pytest.raises(ProfileError, match="is of type real, but kind 'epoch' needs smallint or integer"),
    ):
        counter.poll()


def test_what_is_just_behind_a_window_of_nothing_is_told(database: Database, tmp_path: Path) -> None:
    """Whole seconds are rounded, up too."""
    execute(database, "CREATE TABLE work (id bigserial PRIMARY KEY, ended timestamp(0)); CREATE INDEX ON work (ended)")
    with closing(Counter(database.dsn, NAIVE, tmp_path, late_window=0)) as counter:
        counter.poll()
        for _ in range(30):
            execute(database, ENDED.format("UTC"))
            counter.poll()
        assert counter.totals()["SUCCESS"] < 30
        assert counter.exactness_reasons()
