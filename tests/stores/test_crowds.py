"""Many executions with one stamp, as one statement ends them: read a few times, not again and again."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from support.counting import Counter
from support.postgres import Database, execute

from exporter.config.model import Cursor, Profile
from exporter.stores import backfill, reader
from exporter.stores.rows import ExecutionRows, TooManyRows, Width

WORK = "CREATE TABLE work (id bigserial PRIMARY KEY, ended {}); CREATE INDEX ON work (ended)"
#: The column's type, the stamp, and for how many seconds it may lie in the future, or be read again without a window.
STAMPS = {
    "timestamp": ("timestamptz", "now()", 0.0),
    "epoch": ("integer", "extract(epoch FROM now())::int", 1.0),
    "one by one": ("timestamptz", "clock_timestamp() + n * interval '1 us'", 0.05),
}
CROWD = "INSERT INTO work (ended) SELECT {} FROM generate_series(1, 300) n"


@pytest.fixture
def narrowed(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """How often a slice was given up as one of too many rows; more than 40 are."""
    monkeypatch.setattr(reader, "SLICE_ROWS", (10, 20))
    monkeypatch.setattr(backfill, "SLICE_ROWS", (10, 20))
    seen: list[None] = []
    read = ExecutionRows.read

    async def watched(*args: Any, **keys: Any) -> int:
        try:
            return await read(*args, **keys)
        except TooManyRows:
            seen.append(None)
            raise

    monkeypatch.setattr(ExecutionRows, "read", watched)
    return lambda: len(seen)


@pytest.mark.parametrize("stamps", STAMPS)
def test_a_crowd_is_read_through(database: Database, tmp_path: Path, narrowed: Callable[[], int], stamps: str) -> None:
    column, stamp, whole = STAMPS[stamps]
    kind = "epoch" if stamps == "epoch" else "timestamp"
    execute(database, WORK.format(column))
    profile = Profile(
        executions="SELECT id, 'SUCCESS' AS status, ended AS completed_at FROM work",
        cursor=Cursor(column="completed_at", kind=kind),
        key=("id",),
    )
    with closing(Counter(database.dsn, profile, tmp_path / "polls", late_window=2)) as counter:
        counter.poll()
        execute(database, f"SELECT pg_sleep({whole})", CROWD.format(stamp), f"SELECT pg_sleep({whole})")
        counter.poll()
        assert counter.totals()["SUCCESS"] == 300
        assert narrowed() <= (60 if stamps == "one by one" else 3)
        execute(database, f"SELECT pg_sleep({2 * whole + 0.2})")  # beyond what the first poll looks at
        before = narrowed()
        with closing(Counter(database.dsn, profile, tmp_path / "history", late_window=0.1)) as history:
            history.poll()
            done = history.backfill()
            assert done is not None
            assert done.executions == 300
        assert narrowed() - before <= (60 if stamps == "one by one" else 8)


@pytest.mark.parametrize("down", [False, True])
def test_a_slice_that_is_crowded_is_at_most_half_as_wide_next(*, down: bool) -> None:
    width = Width("time", 5, 14, down=down)
    before = width.value
    width.crowded(1_000.0, 1_000.0 + before, [1_000.1, 1_000.0 + before])
    assert width.value == pytest.approx(before / 2, abs=0.1)
    assert width.most == 28
    width.crowded(1_000.0, 1_010.0, [1_004.0, 1_004.0])
    assert width.value == pytest.approx((6 if down else 4) + 0.001)
    assert width.most > 1e9
    width.found(100)
    assert width.most == 28
