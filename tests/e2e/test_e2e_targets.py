"""Targets in trouble keep it to themselves: each has its own result, and the healthy one is checked on time."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator
from itertools import pairwise

import pytest
from support.exposition import Metrics
from support.polling import until
from support.ports import free_port
from support.postgres import Database
from support.scheduler import PASSWORD, monitor, native_store
from support.sidecar import HOST, Sidecar, StartSidecar, ended, store, target
from support.undisturbed import undisturbed

from exporter.config.dsn import parse_dsn

INTERVAL = 1.0
TIMEOUT = 4.0
#: How late one may be because others have the processor; what waits for another's timeout is later.
LATE = 1.0


@pytest.fixture
def black_hole() -> Iterator[int]:
    """The port of a server that does not even answer a SYN: its queue of connections is full."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server((HOST, 0), backlog=0))
        port: int = listener.getsockname()[1]
        for _ in range(3):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex((HOST, port))
        yield port


@pytest.fixture
def mute() -> Iterator[int]:
    """The port of a server that takes connections and never says a word."""
    with socket.create_server((HOST, 0), backlog=64) as listener:
        yield listener.getsockname()[1]


def stages(metrics: Metrics, name: str) -> set[str]:
    """The stages that the last check reached."""
    return set(metrics.by("stage", "scheduling_connection_check_stage_seconds", connection=name))


def test_one_target_in_trouble_delays_no_other(
    database: Database, black_hole: int, mute: int, start_sidecar: StartSidecar
) -> None:
    user = parse_dsn(monitor(database))["user"]
    login = {"user": user, "password": PASSWORD, "database": database.name}
    port = database.server.port
    targets = [
        target("swallows", black_hole, **login),
        target("refuses", free_port(), **login),
        target("mute", mute, **login),
        target("rejects", port, **{**login, "password": "not-the-password"}),
        target("healthy", port, **login),
    ]
    config = {"connections": {"interval": f"{INTERVAL:g}s", "timeout": f"{TIMEOUT:g}s", "targets": targets}}

    def story() -> None:
        with ended(start_sidecar(config)) as sidecar:
            each_has_its_own_result(sidecar, len(targets))
        # One session at the target at most, and nothing is left of it at the end.
        with database.connect() as connection:
            left = "SELECT count(*) FROM pg_stat_activity WHERE usename = %s"
            until(lambda: connection.execute(left, [user]).fetchone() == (0,), 20, "no session is left")

    undisturbed(story, by=0.5)


def each_has_its_own_result(sidecar: Sidecar, targets: int) -> None:
    """Once each was checked, and was for twice as long as a check may take."""
    until(lambda: sidecar.metrics().value("scheduling_connection_up", connection="healthy") == 1, 60)
    until(lambda: len(sidecar.metrics().series("scheduling_connection_up")) == targets, 60)

    seen: set[float] = set()
    checks = sidecar.metrics().value("scheduling_connection_checks_total", connection="healthy")
    began = time.monotonic()
    while time.monotonic() < began + 2 * TIMEOUT:
        metrics = sidecar.metrics()
        seen.add(metrics.value("scheduling_connection_last_check_timestamp_seconds", connection="healthy"))
        time.sleep(0.1)
    times = sorted(seen)
    # Whom another one delayed would be a TIMEOUT late.
    assert max(b - a for a, b in pairwise(times)) < INTERVAL + LATE, times
    assert metrics.value("scheduling_connection_checks_total", connection="healthy") - checks >= 2 * TIMEOUT - 2

    up = {"swallows": 0, "refuses": 0, "mute": 0, "rejects": 0, "healthy": 1}
    assert metrics.by("connection", "scheduling_connection_up") == up
    failures = metrics.series("scheduling_connection_check_failures_total")
    results = {(dict(labels)["connection"], dict(labels)["result"]) for labels in failures}
    assert results == {("swallows", "timeout"), ("refuses", "refused"), ("mute", "timeout"), ("rejects", "auth")}
    assert all(failures.values()), failures
    for name, reached in {"swallows": {"tcp"}, "refuses": {"tcp"}, "mute": {"tcp", "auth"}}.items():
        assert stages(metrics, name) == reached
    assert stages(metrics, "rejects") == {"tcp", "auth"}
    assert stages(metrics, "healthy") == {"tcp", "auth", "query"}
    waited = metrics.value("scheduling_connection_check_stage_seconds", connection="swallows", stage="tcp")
    assert waited == pytest.approx(TIMEOUT, abs=LATE)

    told = {event["target"]: (event["result"], event["stage"]) for event in sidecar.events("target is down")}
    assert told == {
        "swallows": ("timeout", "tcp"),
        "refuses": ("refused", "tcp"),
        "mute": ("timeout", "auth"),
        "rejects": ("auth", "auth"),
    }
    assert len(sidecar.events("target is down")) == 4, "what stays as it is is not told again and again"


def test_a_store_that_swallows_packets_delays_no_other(
    database: Database, black_hole: int, start_sidecar: StartSidecar
) -> None:
    healthy = native_store(database)
    dead = f"postgresql://nobody:nothing@{HOST}:{black_hole}/nowhere"
    stores = [store(dead, name="dead", interval="1s", timeout="2s"), store(healthy.dsn, name="main", interval="1s")]

    def story() -> None:
        with ended(start_sidecar({"stores": stores})) as sidecar:
            until(lambda: sidecar.read_upto("main") > 0, 60)
            until(lambda: sidecar.metrics().value("scheduling_store_up", store="dead") == 0, 60)
            began = time.monotonic()
            times = set()
            while time.monotonic() < began + 6:
                times.add(sidecar.read_upto("main"))
                time.sleep(0.1)
            in_order = sorted(times)
            assert max(b - a for a, b in pairwise(in_order)) < 1 + LATE, in_order
            metrics = sidecar.metrics()
            assert metrics.by("store", "scheduling_store_up") == {"dead": 0, "main": 1}

    undisturbed(story, by=0.5)
