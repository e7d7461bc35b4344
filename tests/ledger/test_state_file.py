"""The state file: what cannot be used is said, set aside, never deleted; nothing is written by halves."""

from __future__ import annotations

import math
import os
import sqlite3
from pathlib import Path

import pytest

from exporter.config.model import Retention
from exporter.domain import Counts
from exporter.errors import LedgerError, StateUnavailable
from exporter.ledger.cursor import CursorState
from exporter.ledger.database import FILE_NAME, InUse, open_state
from exporter.ledger.finished import Finished
from exporter.ledger.identity import Identity
from exporter.ledger.ledger import Ledger, Opened

HERE = Identity(system="1", database="a", oid=1)


def row(key: str, stamp: float) -> Finished:
    return Finished(key, stamp, key, "1", None, None, "t", "SUCCESS", 0, None, stamp - 1, stamp, None)


def state(upto: float, floor: float = 0.0) -> CursorState:
    return CursorState(upto=upto, read_at=upto, floor=floor)


def opened(directory: str) -> Ledger:
    return Ledger(directory, budget=500)


async def stage(ledger: Ledger, rows: list[Finished], upto: float = -math.inf) -> None:
    await ledger.stage("main", rows, count=True, now=0.0, counted_to=upto, keep_above=0.0)


async def commit(ledger: Ledger, cursor: CursorState) -> Counts:
    counts, written = await ledger.commit("main", cursor, count=True, horizon=cursor.read_at)
    assert written == cursor
    return counts


async def test_what_was_committed_survives_and_what_was_staged_does_not(tmp_path: Path) -> None:
    async with opened(str(tmp_path)) as ledger:
        assert await ledger.attach("main", HERE) is None
        await stage(ledger, [row("1", 10.0), row("2", 11.0)])
        await commit(ledger, state(12.0))
        await stage(ledger, [row("3", 13.0)])
    async with opened(str(tmp_path)) as ledger:
        assert await ledger.attach("main", HERE) == state(12.0)
        await stage(ledger, [row("2", 11.0), row("3", 13.0)], upto=12.0)
        counts = await commit(ledger, state(14.0))
        assert counts.executions == {"t": (3, 0, 0, 0)}
        assert (counts.duplicate, counts.late) == (1, 0)


async def test_the_same_key_twice_in_one_poll_is_counted_once(tmp_path: Path) -> None:
    async with opened(":memory:") as ledger:
        await ledger.attach("main", HERE)
        await stage(ledger, [row("1", 10.0), row("1", 10.0)])
        await stage(ledger, [row("1", 10.0)])
        assert (await commit(ledger, state(12.0))).executions == {"t": (1, 0, 0, 0)}


async def test_keys_below_the_floor_are_forgotten(tmp_path: Path) -> None:
    async with opened(str(tmp_path)) as ledger:
        await ledger.attach("main", HERE)
        await stage(ledger, [row(str(i), float(i)) for i in range(100)])
        await commit(ledger, state(100.0, floor=90.0))
    with sqlite3.connect(tmp_path / FILE_NAME) as db:
        assert db.execute("SELECT count(*) FROM seen").fetchone() == (9,)
    db.close()


async def test_another_database_is_refused(tmp_path: Path) -> None:
    async with opened(str(tmp_path)) as ledger:
        await ledger.attach("main", HERE)
        with pytest.raises(LedgerError, match="name the new store differently"):
            await ledger.attach("main", Identity(system="2", database="a", oid=1))
        # The identifier may be hidden from the role for a while: the same database all the same.
        await ledger.attach("main", Identity(system=None, database="a", oid=1))


def test_a_damaged_file_is_set_aside_and_kept(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_bytes(b"this is no database " * 500)
    fresh = open_state(str(tmp_path))
    assert fresh.db.execute("SELECT count(*) FROM store").fetchone() == (0,)
    fresh.close()
    kept = list(tmp_path.glob(f"{FILE_NAME}.damaged-*"))
    assert [file.read_bytes()[:10] for file in kept] == [b"this is no"]


def test_a_newer_file_is_left_alone(tmp_path: Path) -> None:
    open_state(str(tmp_path)).close()
    with sqlite3.connect(tmp_path / FILE_NAME) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(LedgerError, match="newer scheduler-exporter"):
        open_state(str(tmp_path))


def test_a_second_process_is_kept_out_and_told_by_whom(tmp_path: Path) -> None:
    first = open_state(str(tmp_path))
    with pytest.raises(InUse, match=rf"in use by another scheduler-exporter \(process {os.getpid()} on .* since 2"):
        open_state(str(tmp_path))
    first.close()
    open_state(str(tmp_path)).close()


def test_a_directory_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LedgerError, match="cannot be used"):
        open_state(str(tmp_path / "file" / "state"))


def test_an_empty_file_is_a_truncated_one(tmp_path: Path) -> None:
    open_state(str(tmp_path)).close()
    (tmp_path / FILE_NAME).write_bytes(b"")
    open_state(str(tmp_path)).close()
    [kept] = tmp_path.glob(f"{FILE_NAME}.damaged-*")
    assert kept.stat().st_size == 0


def test_a_log_without_its_file_is_kept(tmp_path: Path) -> None:
    opened_once = open_state(str(tmp_path))
    opened_once.db.execute("INSERT INTO exposed VALUES ('x')")
    log = (tmp_path / f"{FILE_NAME}-wal").read_bytes()
    opened_once.close()
    (tmp_path / FILE_NAME).unlink()
    (tmp_path / f"{FILE_NAME}-wal").write_bytes(log)
    open_state(str(tmp_path)).close()
    [kept] = tmp_path.glob(f"{FILE_NAME}.missing-*-wal")
    assert kept.read_bytes() == log


def test_a_file_that_was_being_put_back_is_found(tmp_path: Path) -> None:
    opened_once = open_state(str(tmp_path))
    opened_once.db.execute("INSERT INTO exposed VALUES ('x')")
    opened_once.close()
    (tmp_path / FILE_NAME).rename(tmp_path / f"{FILE_NAME}.saving")
    again = open_state(str(tmp_path))
    assert again.db.execute("SELECT key FROM exposed").fetchall() == [("x",)]
    again.close()


async def test_what_retention_forgets_is_given_back_to_the_disk(tmp_path: Path) -> None:
    file = tmp_path / FILE_NAME
    labels = 120  # as many as the budget lets in
    retention = Retention(recent_executions=10)
    async with Ledger(str(tmp_path), budget=500, retention=retention) as ledger:
        await ledger.attach("main", HERE)
        for hour in range(24):
            rows = [
                row(f"{minute} {label}", minute * 60.0)._replace(task_type=f"type {label}")
                for minute in range(hour * 60, hour * 60 + 60, 2)
                for label in range(labels)
            ]
            await stage(ledger, rows)
            await commit(ledger, state(hour * 3600.0 + 3599, floor=hour * 3600.0 + 3599))
    full = file.stat().st_size
    async with Ledger(str(tmp_path), budget=500, retention=retention) as ledger:
        await ledger.attach("main", HERE)
        later = 100 * 86_400.0
        await commit(ledger, state(later, floor=later))
        await commit(ledger, state(later + 1, floor=later))
    assert full > 5 << 19
    assert file.stat().st_size < 3 << 19, "but for 1 MB that the next hour needs"


async def test_after_another_file_was_begun_nothing_is_written_before_its_state_was_read(tmp_path: Path) -> None:
    async with opened(str(tmp_path)) as ledger:
        await ledger.attach("main", HERE)
        await stage(ledger, [row("1", 10.0)])
        os.truncate(tmp_path / FILE_NAME, 0)
        with pytest.raises(StateUnavailable, match="truncated and set aside; another one was begun"):
            await commit(ledger, state(12.0))
        with pytest.raises(StateUnavailable, match="was opened anew"):
            await commit(ledger, state(12.0))
        assert await ledger.attach("main", HERE) is None
        await stage(ledger, [row("1", 10.0)])
        assert (await commit(ledger, state(12.0))).executions == {"t": (1, 0, 0, 0)}
        assert ledger.writes == {"success": 1, "failure": 1}
        assert ledger.writable


async def test_what_a_scrape_had_seen_belongs_to_the_file(tmp_path: Path) -> None:
    openings: list[Opened] = []
    async with opened(str(tmp_path)) as ledger:
        ledger.on_open = openings.append
        await ledger.expose(["a"])
        (tmp_path / FILE_NAME).unlink()
        await ledger.look_after()
        assert openings == [Opened(["a"], anew=False)], "put back"
        os.truncate(tmp_path / FILE_NAME, 0)
        await ledger.look_after()
        assert openings[1:] == [Opened([], anew=True)]
