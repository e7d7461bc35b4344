"""The audit trail: in the log at once, in the state file as soon as it can be written, bounded."""

from __future__ import annotations

import asyncio
import contextlib
import time
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs
from support.serving import eventually

from exporter.config.model import Duration, Retention
from exporter.domain import AuditEntry
from exporter.errors import StateUnavailable
from exporter.ledger import audit, keeper
from exporter.ledger.audit import AuditTrail
from exporter.ledger.ledger import Ledger


def entry(action: str = "trigger", result: Any = "success", at: float | None = None, **more: Any) -> AuditEntry:
    return AuditEntry(at=time.time() if at is None else at, action=action, actor="ops", result=result, **more)


async def rows(ledger: Ledger) -> list[tuple[Any, ...]]:
    sql = "SELECT action, actor, result, times, data FROM audit ORDER BY id"
    return await ledger.read(lambda db: db.execute(sql).fetchall())


async def test_an_entry_is_logged_and_kept(tmp_path: Path) -> None:
    async with Ledger(str(tmp_path), budget=500) as ledger:
        with capture_logs() as logged:
            await AuditTrail(ledger).kept(entry(target="main/42", request_id="r1", client="10.0.0.1"))
        assert logged == [
            {"event": "audit", "component": "audit", "category": "audit", "log_level": "info",
             "operation": "trigger", "user_id": "ops",
             "action": "trigger", "actor": "ops",
             "result": "success", "target": "main/42", "request_id": "r1", "client": "10.0.0.1"}
        ]  # fmt: skip
        data = '{"target":"main/42","request_id":"r1","client":"10.0.0.1"}'
        assert await rows(ledger) == [("trigger", "ops", "success", 1, data)]


async def test_what_nobody_waits_for_is_written_soon_and_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "PAUSE", 0.01)
    async with Ledger(str(tmp_path), budget=500) as ledger:
        trail = AuditTrail(ledger)
        task = asyncio.create_task(trail.run())
        trail.record(entry("login", "refused"))
        await eventually(lambda: rows(ledger), seconds=60)
        trail.record(entry("reload"))
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        assert [row[0] for row in await rows(ledger)] == ["login", "reload"]


async def test_entries_wait_for_a_state_file_that_cannot_be_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper, "RETRY_SECONDS", 0.05)
    async with contextlib.AsyncExitStack() as stack:
        holder = contextlib.AsyncExitStack()
        await holder.enter_async_context(Ledger(str(tmp_path), budget=500))
        waiting = await stack.enter_async_context(Ledger(str(tmp_path), budget=500))
        trail = AuditTrail(waiting)
        async with asyncio.timeout(60):
            await trail.kept(entry())
        assert not waiting.opened
        await holder.aclose()

        async def opened() -> bool:
            with contextlib.suppress(StateUnavailable):
                await waiting.look_after()
            return waiting.opened

        await eventually(opened, seconds=60)
        await trail.kept(entry("silence"))
        assert [row[0] for row in await rows(waiting)] == ["trigger", "silence"]


async def test_a_flood_of_refusals_is_one_row_and_turns_nothing_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "REFUSALS_KEPT", 2)
    async with Ledger(str(tmp_path), budget=500) as ledger:
        trail = AuditTrail(ledger)
        await trail.kept(entry())
        for _ in range(50):
            trail.record(entry("login", "refused", client="10.0.0.9"))
        for number in range(5):
            await trail.kept(entry("login", "refused", client=f"10.0.0.{number}"))
        assert [(row[0], row[3]) for row in await rows(ledger)] == [("trigger", 1), ("login", 1), ("login", 1)]
        trail.record(entry("login", "refused", client="10.0.0.4"))
        await trail.kept(entry("login", "refused", client="10.0.0.4"))
        assert [row[3] for row in await rows(ledger)] == [1, 1, 3]


async def test_the_trail_is_bounded_in_time_and_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "KEPT", 3)
    async with Ledger(str(tmp_path), budget=500, retention=Retention(audit=Duration(3600))) as ledger:
        trail = AuditTrail(ledger)
        trail.record(entry("old", at=time.time() - 7200))
        for number in range(5):
            trail.record(entry(str(number)))
        await trail.kept(entry("last"))
        assert [row[0] for row in await rows(ledger)] == ["3", "4", "last"]
