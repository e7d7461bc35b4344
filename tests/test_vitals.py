"""What liveness looks at: memory within its limit, no unexpected error of five minutes, an event loop that runs."""

from __future__ import annotations

import asyncio
import time
from types import SimpleNamespace
from typing import Any

import pytest
from support.parts import part

from exporter import vitals
from exporter.snapshot import Hub
from exporter.vitals import LoopClock, Vitals


def watched(**given: Any) -> Vitals:
    """The checks of a process that has crashed so long (s) ago, and has so much memory."""
    hub = Hub()
    state = SimpleNamespace(rss=given.get("rss", 99), memory_limit=100)
    hub.publish(part("process", state, source=""))
    crashes = [(time.monotonic() - age, "app.py:1") for age in given.get("crashed", ())]
    poller: Any = SimpleNamespace(crashes=crashes)
    ledger: Any = None
    return Vitals(hub=hub, poller=poller, clock=given.get("clock", LoopClock()), ledger=ledger)


def failing(checks: Vitals) -> dict[str, str | None]:
    return {check.name: check.detail for check in checks.liveness() if not check.ok}


def test_all_is_well() -> None:
    assert [check.name for check in watched().liveness()] == ["event_loop", "memory", "core_loops"]
    assert failing(watched()) == {}


def test_memory_has_a_limit() -> None:
    assert failing(watched(rss=100)) == {"memory": "over its limit"}


def test_an_unexpected_error_matters_for_five_minutes() -> None:
    assert failing(watched(crashed=[290])) == {"core_loops": "failed unexpectedly within five minutes"}
    assert failing(watched(crashed=[301])) == {}


async def test_an_event_loop_that_is_blocked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vitals, "BLOCKED", 0.5)
    clock = LoopClock()
    measuring = asyncio.create_task(clock.run())
    await asyncio.sleep(0)
    time.sleep(1.5)  # noqa: ASYNC251 - that is what blocks it
    await asyncio.sleep(0.01)
    measuring.cancel()
    assert failing(watched(clock=clock)) == {"event_loop": "blocked"}
