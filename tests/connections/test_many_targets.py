"""200 targets of which 80 are in trouble of four kinds: the healthy ones are checked on time, each bad one is named."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

import pytest
from support.postgres import Database

from exporter.config.model import Connections, Duration, Target
from exporter.config.secrets import Secret
from exporter.connections import ConnectionManager, ConnectionState
from exporter.snapshot import Hub, Part

INTERVAL = 4.0
TIMEOUT = 2.0
ROUNDS = 3
#: What is refused rests for two minutes.
PATIENCE = 100
FOUND = {
    ("healthy", "ok", None): 120,
    ("hole", "timeout", "tcp"): 20,
    ("refused", "refused", "tcp"): 20,
    ("password", "auth", "auth"): 20,
    ("dns", "dns", "dns"): 20,
}


class RecordingHub(Hub):
    """Remembers when each target's check ended, as it is published, and what came of it."""

    def __init__(self) -> None:
        super().__init__()
        self.ended: dict[str, list[float]] = {}
        self.failures: dict[str, Counter[str]] = {}

    def publish(self, *parts: Part) -> None:
        for part in parts:
            if part.collector == "connections":
                self.ended.setdefault(part.source, []).append(part.value.last_check)
                failures = self.failures.setdefault(part.source, Counter())
                if not part.value.result.is_healthy:
                    failures[part.value.result.result] += 1
        super().publish(*parts)

    def late(self, targets: list[Target]) -> list[float]:
        """The longest times between the last checks of these; all of them while there are too few."""
        # The second check is where a target's place in the interval begins.
        times = {target.name: self.ended.get(target.name, [])[1:][-ROUNDS:] for target in targets}
        gaps = [after - before for each in times.values() for before, after in pairwise(each)]
        on_time = sum(abs(gap - INTERVAL) <= INTERVAL / 10 for gap in gaps)
        enough = all(len(each) == ROUNDS for each in times.values())
        # None is left out; the rest is for a machine that is busy with others.
        if enough and max(gaps) < 1.5 * INTERVAL and on_time >= 0.98 * len(gaps):
            return []
        return sorted(gaps)[-10:] or [0.0]


def found(states: Mapping[str, ConnectionState]) -> Counter[Any]:
    """How many of each kind came to which end."""
    return Counter((name.split()[0], s.result.result, s.result.failed_stage) for name, s in states.items() if s.result)


@pytest.mark.parametrize("reuse", ["always", "never"])
async def test_two_hundred_targets(
    make_target: Callable[..., Target],
    database: Database,
    roles: dict[str, str],
    black_hole_port: int,
    free_port: Callable[[], int],
    reuse: Any,
) -> None:
    closed = free_port()
    targets = [make_target(name=f"healthy {n}") for n in range(120)]
    targets += [make_target(name=f"hole {n}", port=black_hole_port) for n in range(20)]
    targets += [make_target(name=f"refused {n}", port=closed) for n in range(20)]
    targets += [make_target(name=f"password {n}", password=Secret("wrong")) for n in range(20)]
    targets += [make_target(name=f"dns {n}", host=f"name{n}.invalid") for n in range(20)]
    config = Connections(interval=Duration(INTERVAL), timeout=Duration(TIMEOUT), targets=tuple(targets), reuse=reuse)
    log, user = database.server.log, roles["monitor"]
    refused = log.read_text().count(f'password authentication failed for user "{user}"')
    hub = RecordingHub()
    manager = ConnectionManager(hub, config)
    task = asyncio.create_task(manager.run())
    try:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                while hub.late(targets[:120]) or found(manager.states) != FOUND:  # noqa: ASYNC110
                    await asyncio.sleep(0.1)
        states, late = manager.states, hub.late(targets[:120])
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    assert late == []
    assert found(states) == FOUND
    assert {name: s.failures for name, s in states.items()} == hub.failures
    assert {sum(s.failures.values()) == s.checks for n, s in states.items() if n[:2] != "he"} == {True}
    in_vain = sum(s.failures.get("timeout", 0) for n, s in states.items() if n[:2] == "pa")
    said = log.read_text().count(f'password authentication failed for user "{user}"') - refused
    assert 20 <= said <= 20 + in_vain, "one failed login for each: what is refused rests"
