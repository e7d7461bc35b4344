"""Many targets at once: none delays another, reload keeps what may be kept, nothing leaks."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
import traceback
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from itertools import pairwise
from typing import Any

import pytest
from structlog.testing import capture_logs
from support.postgres import Database

from exporter.config.model import Connections, Duration, Target
from exporter.config.secrets import Secret
from exporter.connections import (
    ConnectionManager,
    ConnectionState,
    TargetGoneError,
)
from exporter.connections.check import Checker
from exporter.connections.resolve import Resolver
from exporter.connections.runner import Schedule
from exporter.connections.target import CheckTarget
from exporter.credentials import Credentials, CredentialsError, Fixed
from exporter.snapshot import Hub, Part


class RecordingHub(Hub):
    """Remembers when which target was published, and what came of its checks."""

    def __init__(self) -> None:
        super().__init__()
        self.published: dict[str, list[float]] = {}
        self.failures: dict[str, Counter[str]] = {}

    def publish(self, *parts: Part) -> None:
        for part in parts:
            self.published.setdefault(part.source, []).append(time.monotonic())
            failures = self.failures.setdefault(part.source, Counter())
            if part.collector == "connections" and not part.value.result.is_healthy:
                failures[part.value.result.result] += 1
        super().publish(*parts)


def connections(*targets: Target, interval: float = 0.5, timeout: float = 0.3, **values: Any) -> Connections:
    return Connections(interval=Duration(interval), timeout=Duration(timeout), targets=targets, **values)


@contextlib.asynccontextmanager
async def running(config: Connections, **values: Any) -> AsyncIterator[tuple[ConnectionManager, RecordingHub]]:
    hub = RecordingHub()
    manager = ConnectionManager(hub, config, **values)
    task = asyncio.create_task(manager.run())
    try:
        yield manager, hub
    finally:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def until(condition: Callable[[], object], timeout: float = 60) -> None:
    async with asyncio.timeout(timeout):
        while not condition():  # noqa: ASYNC110 - what is waited for is outside
            await asyncio.sleep(0.01)


def state_of(hub: Hub, name: str) -> ConnectionState:
    part = hub.current.part("connections", name)
    assert part is not None
    state: ConnectionState = part.value
    return state


def outcomes(hub: Hub) -> dict[str, tuple[Any, ...]]:
    parts = [p.value for p in hub.current.parts.values() if p.collector == "connections"]
    return {s.name: (s.result.result, s.result.failed_stage) for s in parts}


def on_time(times: Sequence[float], interval: float) -> bool:
    """Whether the last five are: waited for, because the machine may stand still for one of them."""
    gaps = [after - before for before, after in pairwise(times[-6:])]
    return (
        len(gaps) == 5
        and all(abs(gap - interval) < interval * 0.8 for gap in gaps)  # none is left out
        and abs(sum(gaps) / len(gaps) - interval) < interval / 5  # the grid: no drift
    )


async def test_each_target_shows_its_own_trouble_and_the_healthy_one_is_on_time(
    make_target: Any, black_hole_port: int, silent_port: int, free_port: Callable[[], int]
) -> None:
    config = connections(
        make_target(name="swallows", port=black_hole_port),
        make_target(name="silent", port=silent_port, sslmode="prefer"),
        make_target(name="refuses", port=free_port()),
        make_target(name="healthy"),
    )
    async with running(config) as (_, hub):
        expected = {
            "swallows": ("timeout", "tcp"),
            "silent": ("timeout", "tls"),
            "refuses": ("refused", "tcp"),
            "healthy": ("ok", None),
        }
        await until(
            lambda: (
                all(on_time(hub.published.get(name, ()), 0.5) for name in ("healthy", "refuses"))
                and outcomes(hub) == expected
            )
        )
        refused = state_of(hub, "refuses")
        assert refused.failures == hub.failures["refuses"]
        assert sum(refused.failures.values()) == refused.checks == len(hub.published["refuses"])
        assert refused.last_success is None
        healthy = state_of(hub, "healthy")
        assert healthy.failures == hub.failures["healthy"]
        assert healthy.last_check == healthy.last_success
        durations = hub.current.part("connection_checks", "")
        assert durations is not None
        assert durations.value.durations.count == sum(s.checks for s in (state_of(hub, t.name) for t in config.targets))


async def test_black_holes_do_not_take_the_slots_of_others(make_target: Any, black_hole_port: int) -> None:
    holes = [make_target(name=f"hole{n}", port=black_hole_port) for n in range(3)]
    config = connections(*holes, make_target(name="healthy"), max_concurrent_checks=2)
    async with running(config) as (_, hub):
        await until(lambda: all(len(hub.published.get(hole.name, ())) >= 1 for hole in holes))
        hub.published.clear()
        # They are still checked, one after another.
        await until(
            lambda: (
                on_time(hub.published.get("healthy", ()), 0.5) and all(hub.published.get(hole.name) for hole in holes)
            )
        )


async def test_reload(make_target: Any, free_port: Callable[[], int]) -> None:
    same, changed, gone = (make_target(name=name) for name in ("same", "changed", "gone"))
    async with running(connections(same, changed, gone, timeout=30)) as (manager, hub):
        await until(lambda: all(s.checks >= 2 for s in manager.states.values()) and len(manager.states) == 3)
        before = manager.states
        new = make_target(name="changed", port=free_port())
        added = make_target(name="added")
        await manager.apply(connections(same, new, added, timeout=30))
        assert list(manager.states) == ["same", "changed", "added"]
        # Those that go are waited for: meanwhile one that stays may have been checked.
        assert manager.states["same"].checks >= before["same"].checks
        assert manager.states["same"].result is not None
        assert before["changed"].checks <= manager.states["changed"].checks <= before["changed"].checks + 1
        assert manager.states["changed"].result is None
        assert manager.states["changed"].port == new.port
        assert hub.current.part("connections", "gone") is None
        await until(lambda: all(s.result and s.checks for s in manager.states.values()))
        assert outcomes(hub) == {"same": ("ok", None), "changed": ("refused", "tcp"), "added": ("ok", None)}
        assert state_of(hub, "changed").checks > before["changed"].checks
        with pytest.raises(KeyError):
            await manager.check_now("gone")

        await manager.apply(connections(same, interval=0.25, timeout=30))  # another rhythm: all start anew
        assert manager.states["same"].result is not None, "and forget nothing"
        await until(lambda: hub.current.parts["connections", "same"].interval == 0.25)
        await manager.apply(connections())
        assert outcomes(hub) == {}


async def test_reload_before_the_start(make_target: Any) -> None:
    hub = Hub()
    manager = ConnectionManager(hub, connections(make_target(name="old")))
    await manager.apply(connections(make_target(name="new")))
    assert dict(manager.states) == {}
    task = asyncio.create_task(manager.run())
    await until(lambda: hub.current.part("connections", "new"))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_check_now_is_one_check_for_all_who_ask(make_target: Any, silent_port: int) -> None:
    targets = make_target(name="healthy"), make_target(name="silent", port=silent_port)
    config = connections(*targets, interval=60, timeout=60)
    async with running(config) as (manager, _):
        await until(lambda: manager.states)
        results = await asyncio.gather(*(manager.check_now("healthy") for _ in range(5)))
        assert len({id(result) for result in results}) == 1
        assert results[0].is_healthy
        assert manager.states["healthy"].checks <= 2  # the scheduled one may have come before

        asked = asyncio.create_task(manager.check_now("silent"))
        gave_up = asyncio.create_task(manager.check_now("silent"))
        await asyncio.sleep(0.1)
        gave_up.cancel()
        await asyncio.sleep(0)
        assert not asked.done()
        await manager.apply(connections(targets[0], interval=60, timeout=60))
        with pytest.raises(TargetGoneError):
            await asked


async def test_a_fault_of_ours_is_one_targets_trouble(
    make_target: Any, monkeypatch: pytest.MonkeyPatch, password: str
) -> None:
    original = Checker.check

    async def check(self: Checker, timeout: float, *, force: bool = False) -> Any:
        if self.target.name == "broken":
            raise ZeroDivisionError(password)
        return await original(self, timeout, force=force)

    monkeypatch.setattr(Checker, "check", check)
    with capture_logs() as logs:
        config = connections(make_target(name="broken"), make_target(name="healthy"), timeout=30)
        async with running(config) as (_, hub):
            await until(lambda: all(len(hub.published.get(n, ())) >= 3 for n in ("broken", "healthy")))
            part = hub.current.part("connections", "broken")
    assert part is not None
    assert not part.success
    assert part.error is not None
    assert "ZeroDivisionError in test_connection_manager.py" in part.error
    assert outcomes(hub)["broken"] == ("other", None)
    assert outcomes(hub)["healthy"] == ("ok", None)
    assert len([entry for entry in logs if entry.get("target") == "broken"]) == 1
    assert password not in repr(logs) + repr(hub.current)


async def test_credentials_are_asked_for_each_time(make_target: Any, password: str, roles: dict[str, str]) -> None:
    answers: list[Credentials | Exception] = [
        Credentials(roles["monitor"], Secret(password)),
        Credentials(roles["monitor"], Secret("old")),
        CredentialsError("vault is sealed"),
    ]

    class Source(Fixed):
        async def current(self) -> Credentials:
            answer = answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer

    config = connections(make_target(password=None, user=None), interval=60, timeout=30)
    async with running(config, credentials=lambda target: Source(Credentials(None, None))) as (manager, _):
        await until(lambda: manager.states and manager.states["target"].checks)
        first = manager.states["target"].result
        assert first is not None
        assert first.is_healthy
        assert next(iter(first.stages)) == "vault"
        assert (await manager.check_now("target")).result == "auth"
        third = await manager.check_now("target")
    assert (third.result, third.failed_stage, third.error_message) == ("vault", "vault", "vault is sealed")


async def test_only_changes_are_logged(make_target: Any, database: Database, roles: dict[str, str]) -> None:
    with capture_logs() as logs, database.connect() as admin:
        async with running(connections(make_target(), interval=0.1, timeout=30, reuse="never")) as (manager, _):
            await until(lambda: manager.states and manager.states["target"].checks >= 2)
            admin.execute(f'ALTER ROLE "{roles["monitor"]}" NOLOGIN')
            await until(lambda: sum(manager.states["target"].failures.values()) >= 3)
            admin.execute(f'ALTER ROLE "{roles["monitor"]}" LOGIN')
            assert (await manager.check_now("target")).is_healthy  # who asks is told: the credentials rest for others
    told = [(entry["event"], entry["log_level"]) for entry in logs if entry["log_level"] != "debug"]
    assert told == [("target is down", "warning"), ("target is up again", "info")]
    assert logs[-2]["result"] == "auth"


async def test_the_password_is_nowhere(
    make_target: Any, password: str, silent_port: int, free_port: Callable[[], int], roles: dict[str, str]
) -> None:
    targets = [
        make_target(name="healthy"),
        make_target(name="user", user="nobody"),
        make_target(name="database", database="none"),
        make_target(name="silent", port=silent_port),
        make_target(name="refused", port=free_port()),
        make_target(name="dns", host="name.invalid"),
        make_target(name="file", sslmode="verify-full", sslrootcert="/none"),
        make_target(name="nul", database="a\0b"),
    ]
    with capture_logs() as logs:
        async with running(connections(*targets)) as (manager, hub):
            await until(
                lambda: (
                    manager.states
                    and all(s.checks for s in manager.states.values())
                    and {name for name, (result, _) in outcomes(hub).items() if result == "ok"} == {"healthy"}
                )
            )
            seen = repr(logs) + repr(hub.current) + repr(manager.states) + repr(manager.__dict__)
            seen += "".join(repr(task) for task in asyncio.all_tasks())
    assert "s3ntinel" not in seen
    assert "target is down" in seen


async def test_a_server_that_repeats_the_password_is_not_quoted(check: Any, password: str) -> None:
    result = await check(user=password)  # the server names the user it refused
    assert result.error_message is not None
    assert "s3ntinel" not in result.error_message
    assert "<secret>" in result.error_message


async def test_tracebacks_with_local_variables_do_not_show_it(
    make_target: Any, monkeypatch: pytest.MonkeyPatch, free_port: Callable[[], int]
) -> None:
    async def broken(*_: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("exporter.connections.check.read_facts", broken)
    checker = Checker(CheckTarget.from_config(make_target()), Resolver())
    with pytest.raises(ZeroDivisionError) as caught:
        await checker.check(30)
    shown = "".join(traceback.TracebackException.from_exception(caught.value, capture_locals=True).format())
    assert "attempt = " in shown
    assert "s3ntinel" not in shown


async def test_the_end_ends_everything(make_target: Any, silent_port: int) -> None:
    before = len(os.listdir("/proc/self/fd"))
    targets = [make_target(name=f"t{n}", port=silent_port) for n in range(5)]
    async with running(connections(*targets, interval=60, timeout=60)):
        await until(lambda: len(os.listdir("/proc/self/fd")) >= before + len(targets))
    assert len(os.listdir("/proc/self/fd")) == before
    assert [task for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []


def test_schedule() -> None:
    schedule = Schedule(first=101.0, phase=109.0, interval=15.0)
    assert schedule.after(101.0, 101.0) == 109.0
    assert schedule.after(109.0, 109.2) == 124.0
    assert schedule.after(124.0, 128.9) == 139.0
    assert schedule.after(139.0, 171.0) == 184.0  # two are left out
    assert Schedule(first=102.0, phase=103.0, interval=15.0).after(102.0, 102.0) == 118.0


async def test_hidden_facts_are_said_once(make_target: Any, database: Database, roles: dict[str, str]) -> None:
    target = make_target(user=roles["nobody"])
    with capture_logs() as logs, database.connect() as admin:
        async with running(connections(target, interval=0.1, timeout=30)) as (manager, _):
            await until(lambda: manager.states and manager.states["target"].checks >= 5)
            admin.execute(f'GRANT pg_monitor TO "{roles["nobody"]}"')
            before = manager.states["target"].checks
            await until(lambda: manager.states["target"].checks >= before + 5)
    told = [entry for entry in logs if entry["event"].startswith("target ") and entry["log_level"] != "debug"]
    assert [(entry["event"], entry.get("facts")) for entry in told] == [
        ("target does not show everything", ["backends"]),
        ("target shows everything", None),
    ]
    assert "pg_monitor" in told[0]["remedy"]
