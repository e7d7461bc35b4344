"""A file of version 1 is brought up to date and counted on from exactly; a step that fails leaves it as it was."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from exporter.errors import StateUnavailable
from exporter.ledger import schema
from exporter.ledger.cursor import CursorState
from exporter.ledger.database import FILE_NAME, open_state
from exporter.ledger.finished import Finished
from exporter.ledger.identity import Identity
from exporter.ledger.ledger import Ledger

BUCKETS = 13
OLD_STORE = (
    "main",
    '{"system":"7","database":"orders","oid":5}',
    '{"upto":1000.0,"read_at":1000.0,"floor":970.0,"open":[],"trail":[],"greatest":null,"epoch":0}',
    '{"late":3,"duplicate":9,"newest":999.0}',
    500.0,
)
OLD_SERIES = [
    ("main", "executions", "mail", "[40,2,0,0]"),
    ("main", "retries", "mail", "[4]"),
    ("main", "duration", "mail", str([0.0, 42.0, *[0.0] * (BUCKETS - 2), 0.5])),
]
OLD_JOB = ("main", "9", '{"name":"nightly","task_type":"mail","recurring":true,"streak":2,"last_status":"FAILED",'
           '"last_finished":990.0,"last_failure":990.0,"finished":5,"failed":2}')  # fmt: skip


def old_file(directory: Path) -> Path:
    """A state file as version 1 of the schema left it."""
    directory.mkdir(exist_ok=True)
    file = directory / FILE_NAME
    db = sqlite3.connect(file, isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    db.executescript(f"BEGIN; {schema.migrations()[0]}; PRAGMA user_version = 1; COMMIT;")
    db.execute("INSERT INTO store VALUES (?, ?, ?, ?, ?)", OLD_STORE)
    db.executemany("INSERT INTO series VALUES (?, ?, ?, ?)", OLD_SERIES)
    db.executemany("INSERT INTO seen VALUES ('main', ?, ?)", [("98", 980.0), ("99", 999.0)])
    db.execute("INSERT INTO job VALUES (?, ?, ?)", OLD_JOB)
    db.execute("INSERT INTO exposed VALUES ('scheduling_executions_total\x1fmain\x1fmail\x1fsuccess')")
    db.close()
    return file


def finished(key: str, stamp: float, status: str = "SUCCESS") -> Finished:
    return Finished(key, stamp, key, "9", "nightly", "9", "mail", status, 0, None, stamp - 0.01, stamp, None)


async def test_counting_goes_on_from_version_1(tmp_path: Path) -> None:
    old_file(tmp_path)
    async with Ledger(str(tmp_path), budget=500) as ledger:
        assert ledger.exposed == ["scheduling_executions_total\x1fmain\x1fmail\x1fsuccess"]
        state = await ledger.attach("main", Identity(system="7", database="orders", oid=5))
        assert state == CursorState(upto=1000.0, read_at=1000.0, floor=970.0)
        before = await ledger.counts("main")
        assert before is not None
        assert before.executions == {"mail": (40, 2, 0, 0)}
        assert [(job.job_id, job.streak) for job in before.failing] == [("9", 2)]
        rows = [
            finished("98", 980.0),
            finished("99", 999.0),
            finished("100", 1000.5),
            finished("101", 1001.0, "FAILED"),
        ]
        await ledger.stage("main", rows, count=True, now=1002.0, counted_to=1000.0, keep_above=990.0)
        cursor = CursorState(upto=1002.0, read_at=1002.0, floor=990.0)
        counts, _ = await ledger.commit("main", cursor, count=True, horizon=0.0)
    assert counts.executions == {"mail": (41, 3, 0, 0)}, "what was seen before is not counted again"
    assert (counts.late, counts.duplicate) == (3, 11)
    assert counts.retries == {"mail": 4}
    assert sum(counts.durations["mail"].counts) == 44
    assert counts.durations["mail"].sum == pytest.approx(0.52)
    assert counts.backfill is not None
    assert not counts.backfill.complete, "the statistics are filled from history, which version 1 had none of"


def test_an_older_file_gives_room_back_from_then_on(tmp_path: Path) -> None:
    old_file(tmp_path)
    opened = open_state(str(tmp_path))
    assert opened.db.execute("PRAGMA auto_vacuum").fetchone() == (2,)
    assert opened.db.execute("PRAGMA user_version").fetchone() == (len(schema.migrations()),)
    opened.close()


def test_a_new_file_has_what_an_old_one_gets(tmp_path: Path) -> None:
    old_file(tmp_path / "old")
    dumps = []
    for directory in (tmp_path / "old", tmp_path / "new"):
        opened = open_state(str(directory))
        dumps.append(opened.db.execute("SELECT name, sql FROM sqlite_master ORDER BY name").fetchall())
        assert opened.db.execute("PRAGMA auto_vacuum").fetchone() == (2,)
        opened.close()
    assert dumps[0] == dumps[1]


@pytest.mark.parametrize(
    "broken", ["CREATE TABLE later (x); SELECT no_such_function()", "CREATE TABLE later (x); NONSENSE"]
)
def test_a_step_that_fails_leaves_the_file_as_it_was(
    broken: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = old_file(tmp_path)
    scripts = schema.migrations()
    monkeypatch.setattr(schema, "migrations", lambda: (scripts[0], f"ALTER TABLE store ADD COLUMN extra; {broken}"))
    before = list(sqlite_dump(file))
    with pytest.raises(StateUnavailable, match=r"ledger\.sqlite' cannot be opened: "):
        open_state(str(tmp_path))
    assert list(sqlite_dump(file)) == before
    assert sorted(f.name for f in tmp_path.iterdir()) == ["ledger.lock", FILE_NAME], "nothing was set aside"
    monkeypatch.undo()
    open_state(str(tmp_path)).close()


def sqlite_dump(file: Path) -> list[str]:
    db = sqlite3.connect(file)
    lines = [*db.iterdump(), str(db.execute("PRAGMA user_version").fetchone())]
    db.close()
    return lines


def test_each_step_is_whole_before_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = old_file(tmp_path)
    scripts = schema.migrations()
    monkeypatch.setattr(schema, "migrations", lambda: (*scripts, "CREATE TABLE third (x); NONSENSE"))
    with pytest.raises(StateUnavailable):
        open_state(str(tmp_path))
    db = sqlite3.connect(file)
    assert db.execute("PRAGMA user_version").fetchone() == (len(scripts),), "as far as it went"
    assert db.execute("SELECT name FROM sqlite_master WHERE name = 'third'").fetchone() is None
    db.close()


def test_a_database_of_another_program_is_left_alone(tmp_path: Path) -> None:
    db = sqlite3.connect(tmp_path / FILE_NAME)
    db.execute("CREATE TABLE theirs (x)")
    db.commit()
    db.close()
    before = (tmp_path / FILE_NAME).read_bytes()
    with pytest.raises(StateUnavailable, match="a database of another program"):
        open_state(str(tmp_path))
    assert (tmp_path / FILE_NAME).read_bytes() == before
