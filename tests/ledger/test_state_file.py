"""The state file: what cannot be used is said, set aside, never deleted; nothing is written by halves."""

from __future__ import annotations

import math
import sqlite3
from pathlib import Path

import pytest

from exporter.domain import Counts
from exporter.errors import LedgerError
from exporter.ledger.cursor import CursorState
from exporter.ledger.database import FILE_NAME, open_state
from exporter.ledger.finished import Finished
from exporter.ledger.ledger import Identity, Ledger

HERE = Identity(system="1", database="a", oid=1)


def row(key: str, stamp: float) -> Finished:
    return Finished(key, stamp, key, "1", None, None, "t", "SUCCESS", 0, None, stamp - 1, stamp, None)


def state(upto: float, floor: float = 0.0) -> CursorState:
    return CursorState(upto=upto, read_at=upto, floor=floor)


def opened(directory: str) -> Ledger:
    return Ledger(directory, budget=500)


async def stage(ledger: Ledger, rows: list[Finished], upto: float = -math.inf) -> None:
    await ledger.stage("main", rows, count=True, now=0.0, upto=upto, keep_above=0.0)


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


def test_a_second_process_is_kept_out(tmp_path: Path) -> None:
    first = open_state(str(tmp_path))
    with pytest.raises(LedgerError, match="in use by another"):
        open_state(str(tmp_path))
    first.close()
    open_state(str(tmp_path)).close()


def test_a_directory_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LedgerError, match="cannot be used"):
        open_state(str(tmp_path / "file" / "state"))
