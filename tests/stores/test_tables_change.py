"""A scheduler that is upgraded, dropped or made anew under a running exporter: told, followed, and counted on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
import structlog
from msgspec.structs import replace
from support.counting import WORK_BY_ID, Counter
from support.postgres import Database, execute

from exporter.config.model import Cursor, Profile
from exporter.errors import StoreError
from exporter.stores import proof
from exporter.stores import tables as looking

QUARTZ = Path(__file__).parents[1] / "contract" / "schemas" / "quartz.sql"
WORK = "CREATE TABLE work (id bigserial PRIMARY KEY, kind text, ended timestamptz)"
DONE = "INSERT INTO work (kind, ended) SELECT 'x', clock_timestamp() FROM generate_series(1, {})"
BY_TIME = Profile(
    executions="SELECT id, kind AS task_type, 'SUCCESS' AS status, ended AS completed_at FROM work",
    running="SELECT id FROM work WHERE ended IS NULL",
    cursor=Cursor(column="completed_at"),
    key=("id",),
)


@pytest.fixture(autouse=True)
def looking_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looking, "SUSPECT_SECONDS", 0.0)
    monkeypatch.setattr(looking, "LOOK_SECONDS", 0.0)
    monkeypatch.setattr(proof, "LOOK_SECONDS", 0.0)


@pytest.fixture
def log() -> Iterator[list[Any]]:
    with structlog.testing.capture_logs() as lines:
        yield lines


def told(log: list[Any]) -> list[str]:
    return [line["event"] for line in log if "the store's tables" in line["event"]]


def test_a_column_that_is_renamed_and_back_is_told_once_each_and_nothing_is_lost(
    database: Database, tmp_path: Path, log: list[Any]
) -> None:
    execute(database, WORK)
    with closing(Counter(database.dsn, BY_TIME, tmp_path)) as counter:
        counter.poll()
        execute(database, DONE.format(3), "ALTER TABLE work RENAME COLUMN kind TO what")
        for _ in range(3):
            with pytest.raises(StoreError, match='column "kind" does not exist'):
                counter.poll()
        assert counter.ask("running") is not None, "what can still be asked goes on"
        execute(database, "ALTER TABLE work RENAME COLUMN what TO kind", DONE.format(2))
        counter.poll()
        assert (counter.totals()["SUCCESS"], counter.exactness_reasons()) == (5, ())
    assert told(log) == ["the store's tables no longer fit its profile", "the store's tables fit its profile again"]
    (reason,) = [line["reason"] for line in log if "no longer fit" in line["event"]]
    assert 'column "kind" does not exist' in reason


def test_a_type_that_changes_is_followed(database: Database, tmp_path: Path, log: list[Any]) -> None:
    execute(database, WORK)
    with closing(Counter(database.dsn, BY_TIME, tmp_path)) as counter:
        counter.poll()
        execute(database, DONE.format(1), "ALTER TABLE work ALTER COLUMN id TYPE text", "ALTER TABLE work ADD x int")
        counter.poll()
        assert (counter.totals()["SUCCESS"], counter.exactness_reasons()) == (1, ())
    assert told(log) == ["the store's tables have changed: its profile is opened anew"]
    (reason,) = [line["reason"] for line in log if "have changed" in line["event"]]
    assert reason == "others are executions (id); running (id)"


def test_what_was_not_counted_before_is_still_said(database: Database, tmp_path: Path) -> None:
    execute(database, WORK)
    done = BY_TIME.executions or ""
    odd = replace(BY_TIME, executions=done.replace("'SUCCESS'", "CASE WHEN id > 1 THEN 'SUCCESS' ELSE 'odd' END"))
    with closing(Counter(database.dsn, odd, tmp_path)) as counter:
        counter.poll()
        execute(database, DONE.format(1))
        counter.poll()
        (told,) = counter.exactness_reasons()
        assert told.endswith("gives statuses that mean nothing: odd")
        execute(database, "DELETE FROM work", "ALTER TABLE work ALTER COLUMN id TYPE numeric")
        counter.poll()
        assert counter.exactness_reasons() == (told,)


def test_a_part_that_is_installed_brings_the_variant_that_reads_it(
    database: Database, tmp_path: Path, log: list[Any]
) -> None:
    execute(database, QUARTZ.read_text(), "ALTER TABLE qrtz_simple_triggers RENAME TO later")
    with closing(Counter(database.dsn, "auto", tmp_path)) as counter:
        assert "qrtz_simple_triggers" not in str(counter.profile.jobs)
        execute(database, "ALTER TABLE later RENAME TO qrtz_simple_triggers")
        assert "qrtz_simple_triggers" in str(counter.profile.jobs)
    assert told(log) == ["the store's tables have changed: its profile is opened anew"]
    assert [line["variant"] for line in log if "have changed" in line["event"]] == ["with simple triggers"]


def test_ids_of_a_table_that_was_made_anew_and_is_past_the_old_one(database: Database, tmp_path: Path) -> None:
    execute(database, WORK, DONE.format(5))
    with closing(Counter(database.dsn, WORK_BY_ID, tmp_path)) as counter:
        counter.poll()
        assert counter.exactness_reasons() == ()
        execute(database, "DROP TABLE work", WORK, DONE.format(8))
        counter.poll()
        (reason,) = counter.exactness_reasons()
        assert "public.work was made anew: ids up to those" in reason


def test_a_table_that_is_locked_is_no_misfit(database: Database, tmp_path: Path, log: list[Any]) -> None:
    execute(database, WORK)
    with closing(Counter(database.dsn, BY_TIME, tmp_path)) as counter:
        counter.poll()
        with psycopg.connect(database.dsn) as migration:
            migration.execute("LOCK TABLE work")
            with pytest.raises(StoreError, match="locked by another session"):
                counter.poll()
        execute(database, DONE.format(1))
        counter.poll()
        assert counter.totals()["SUCCESS"] == 1
    assert told(log) == []
