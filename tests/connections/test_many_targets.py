"""200 targets of which 80 are in trouble of four kinds: the healthy ones are checked on time, each bad one is named."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from support.postgres import Database

from exporter.config.model import Connections, Duration, Target
from exporter.config.secrets import Secret
from exporter.connections import ConnectionManager
from exporter.snapshot import Hub, Part

INTERVAL = 4.0
TIMEOUT = 2.0
ROUNDS = 3


class RecordingHub(Hub):
    """Remembers when each target's check ended, as it is published."""

    def __init__(self) -> None:
        super().__init__()
        self.ended: dict[str, list[float]] = {}

    def publish(self, *parts: Part) -> None:
        for part in parts:
            if part.collector == "connections":
                self.ended.setdefault(part.source, []).append(part.value.last_check)
        super().publish(*parts)


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
        async with asyncio.timeout(60):
            while not all(len(hub.ended.get(t.name, ())) > ROUNDS for t in targets[:120]):  # noqa: ASYNC110
                await asyncio.sleep(0.1)
            while len(hub.ended) < len(targets):  # noqa: ASYNC110
                await asyncio.sleep(0.1)
    finally:
        states = manager.states
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    # The second check is where a target's place in the interval begins.
    gaps = [after - before for t in targets[:120] for before, after in pairwise(hub.ended[t.name][1 : ROUNDS + 1])]
    assert max(gaps) < 1.5 * INTERVAL, "none is left out"
    on_time = sum(abs(gap - INTERVAL) <= INTERVAL / 10 for gap in gaps)
    assert on_time >= 0.98 * len(gaps), sorted(gaps)[-10:]  # the rest is for a machine that is busy with others
    found = Counter((name.split()[0], s.result.result, s.result.failed_stage) for name, s in states.items() if s.result)
    assert found == {
        ("healthy", "ok", None): 120,
        ("hole", "timeout", "tcp"): 20,
        ("refused", "refused", "tcp"): 20,
        ("password", "auth", "auth"): 20,
        ("dns", "dns", "dns"): 20,
    }
    assert {s.failures.keys() == {s.result.result} for n, s in states.items() if s.result and n[:2] != "he"} == {True}
    said = log.read_text().count(f'password authentication failed for user "{user}"') - refused
    assert said == 20, "one failed login for each: what is refused rests"
