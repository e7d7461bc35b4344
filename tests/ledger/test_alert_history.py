"""Alerts in the state file: one row for each time that one fired, its end, its bounds, across a restart."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from exporter.config.model import Duration, Retention
from exporter.domain import Alert
from exporter.ledger import alerts
from exporter.ledger.alerts import AlertHistory
from exporter.ledger.ledger import Ledger

#: When this was read: the tests may run an hour later.
NOW = float(int(time.time()))
DAY = 86_400.0


def alert(fingerprint: str = "a1", starts_at: float = NOW - 60, ends_at: float | None = None, **more: str) -> Alert:
    return Alert(
        fingerprint=fingerprint,
        labels={"alertname": "JobFailed", **more},
        annotations={"summary": "it failed"},
        state="resolved" if ends_at else "firing",
        starts_at=starts_at,
        ends_at=ends_at,
    )


async def test_an_alert_is_known_by_its_fingerprint_and_start(tmp_path: Path) -> None:
    async with Ledger(str(tmp_path), budget=500) as ledger:
        history = AlertHistory(ledger)
        assert await history.tell([alert(), alert("b2")]) == 2
        assert await history.tell([alert(severity="critical")]) == 0, "a repeated notification"
        assert await history.tell([alert(starts_at=NOW - 30)]) == 1, "it fired anew"
        found, total = await history.read(limit=10)
        assert total == 3
        assert [(a.fingerprint, a.starts_at) for a in found] == [("a1", NOW - 30), ("b2", NOW - 60), ("a1", NOW - 60)]
        assert found[2] == alert(severity="critical"), "with its latest texts"
        assert await history.read(limit=1, offset=1) == ([found[1]], 3)


async def test_an_end_is_kept_whatever_comes_late(tmp_path: Path) -> None:
    async with Ledger(str(tmp_path), budget=500) as ledger:
        history = AlertHistory(ledger)
        await history.tell([alert(ends_at=NOW - 10)])
        await history.tell([alert()])
    async with Ledger(str(tmp_path), budget=500) as ledger:
        assert await AlertHistory(ledger).read(limit=10) == ([alert(ends_at=NOW - 10)], 1)


async def test_what_retention_forgets_is_not_told(tmp_path: Path) -> None:
    async with Ledger(str(tmp_path), budget=500, retention=Retention(alerts=Duration(DAY))) as ledger:
        history = AlertHistory(ledger)
        await history.tell([alert("old", NOW - 9 * DAY, NOW - 2 * DAY), alert("long", NOW - 9 * DAY, NOW - 60)])
        assert [a.fingerprint for a in (await history.read(limit=10))[0]] == ["old", "long"], "told of just now"
        await ledger.write(lambda db: db.execute("UPDATE alert SET told_at = ends_at").rowcount)
        assert [a.fingerprint for a in (await history.read(limit=10))[0]] == ["long"]
        await history.tell([alert("new")])
        assert await ledger.read(lambda db: db.execute("SELECT count(*) FROM alert").fetchone()) == (2,)


async def test_history_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alerts, "KEPT", 3)
    async with Ledger(str(tmp_path), budget=500) as ledger:
        history = AlertHistory(ledger)
        await history.tell([alert(str(n), NOW - n, None, **{"x" * 2000: "y" * 5000}) for n in range(5)])
        found, total = await history.read(limit=10)
        assert ([a.fingerprint for a in found], total) == (["0", "1", "2"], 3)
        assert {len(k): len(v) for k, v in found[0].labels.items()}[alerts.CHARACTERS_KEPT] == alerts.CHARACTERS_KEPT
