"""What runs now, as rows tell it: what they leave out is unknown, not none."""

from __future__ import annotations

from exporter.config.model import StuckAfter
from exporter.stores.answers import RunningTally
from exporter.stores.queries import RUNNING_COLUMNS

NOW = 1_000_000.0


def row(task_type: str, started_at: float | None) -> tuple[object, ...]:
    known = {"id": "1", "task_type": task_type, "started_at": started_at}
    return tuple(known.get(name) for name in RUNNING_COLUMNS)


def test_whether_it_is_stuck_is_unknown_where_no_start_is() -> None:
    tally = RunningTally(NOW, StuckAfter(), None)
    tally.add([row("unknown", None), row("fresh", NOW - 1), row("old", NOW - 10_000), row("old", None)])
    found = tally.result().by_task_type
    assert {kind: one.stuck for kind, one in found.items()} == {"unknown": None, "fresh": 0, "old": 1}
    assert {kind: one.running for kind, one in found.items()} == {"unknown": 1, "fresh": 1, "old": 2}
    assert found["unknown"].oldest_start is None
