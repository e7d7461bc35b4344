"""Somebody locks the scheduler's tables for long. The sidecar keeps answering, waits briefly, misses nothing."""

from __future__ import annotations

import contextlib
import http.client
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from support.exposition import Metrics
from support.polling import until
from support.ports import free_port
from support.scheduler import NativeStore, backends, insert_finished
from support.sidecar import HOST, NAME, Sidecar, StartSidecar, one_store, target

LOCKED_SECONDS = 30.0
STALENESS = 12.0
#: Between two requests; a sample of the server's sessions comes with every second one.
TICK = 0.05
#: What the issue promises: the 99th percentile of /metrics (s).
P99 = 0.010
#: Which collectors read the locked tables, with a gauge of each; the others read the tables that are not locked.
BLOCKED = {
    "executions": "scheduling_exporter_cursor_timestamp_seconds",
    "running": "scheduling_executions_running",
    "queues": "scheduling_queue_jobs",
    "jobs": "scheduling_jobs",
    "schedules": "scheduling_job_next_run_timestamp_seconds",
}
FREE = {"workers": "scheduling_workers", "operations": "scheduling_operations"}


@dataclass(repr=False)
class Observed:
    """What was seen while the tables were locked: seconds of each request, backends of each sample, pages.

    ``beside`` are the seconds of as many requests of a sidecar without stores: what this machine takes anyway.
    """

    requests: list[float] = field(default_factory=list)
    beside: list[float] = field(default_factory=list)
    backends: list[int] = field(default_factory=list)
    pages: list[tuple[float, Metrics]] = field(default_factory=list)

    def __repr__(self) -> str:
        median, worst = statistics.median(self.requests), max(self.requests)
        return (
            f"{len(self.requests)} requests: median {median * 1e3:.2f} ms, worst {worst * 1e3:.2f} ms,"
            f" p99 {percentile(self.requests, 99) * 1e3:.2f} ms, beside {percentile(self.beside, 99) * 1e3:.2f} ms;"
            f" at most {max(self.backends)} backends in {len(self.backends)} samples"
        )

    @property
    def quick(self) -> bool:
        """Within what is promised, or on a machine that is busy as quick as who asks no store."""
        busy = percentile(self.requests, 95) < 2 * percentile(self.beside, 95)
        return percentile(self.requests, 99) < P99 or busy


def percentile(seconds: list[float], number: int) -> float:
    return statistics.quantiles(seconds, n=100)[number - 1]


def watch(sidecar: Sidecar, other: Sidecar, seconds: float, count_backends: Callable[[], int]) -> Observed:
    """Ask both for /metrics twenty times a second over one connection, as a scraper does, and look at the server."""
    observed = Observed()
    with contextlib.ExitStack() as stack:
        connection, beside = (
            stack.enter_context(contextlib.closing(http.client.HTTPConnection(HOST, one.port, timeout=60)))
            for one in (sidecar, other)
        )
        number = 0
        began = tick = time.monotonic()
        while (now := time.monotonic()) < began + seconds:
            page, taken = asked(connection)
            observed.requests.append(taken)
            observed.beside.append(asked(beside)[1])
            number += 1
            if number % 2:
                observed.backends.append(count_backends())
            if number % 20 == 0:
                observed.pages.append((now - began, Metrics(page)))
            tick = max(tick + TICK, time.monotonic() - TICK)
            time.sleep(max(0.0, tick - time.monotonic()))
    return observed


def asked(connection: http.client.HTTPConnection) -> tuple[str, float]:
    """A page, and the seconds until it was there."""
    started = time.perf_counter()
    connection.request("GET", "/metrics")
    answer = connection.getresponse()
    page = answer.read()
    taken = time.perf_counter() - started
    assert answer.status == 200
    return page.decode(), taken


def success(metrics: Metrics, collector: str) -> bool:
    return metrics.value("scheduling_exporter_collector_success", collector=collector, source=NAME) == 1


def counts(metrics: Metrics) -> dict[str, float]:
    return metrics.by("status", "scheduling_executions_total")


def test_locked_tables_cost_nobody_anything(native: NativeStore, start_sidecar: StartSidecar) -> None:
    sidecar = start_sidecar(one_store(native.dsn, interval="2s", timeout="10s", staleness=f"{STALENESS:g}s"))
    other = start_sidecar({"connections": {"targets": [target("none", free_port())]}})
    sidecar.settled(since=0)
    native.finish(3)
    sidecar.settled(since=native.finish(2, status="FAILED"))
    history = native.truth()

    with native.database.connect() as sampler, native.database.connect(autocommit=False) as locker:
        until(lambda: backends(sampler), 60, "its sessions are seen")
        native.finish(4)  # just before: not yet polled, perhaps
        locker.execute("LOCK TABLE jobs, executions IN ACCESS EXCLUSIVE MODE")
        insert_finished(locker, 6, status="TIMEOUT")  # by him who holds the lock, with a stamp of its beginning
        observed = watch(sidecar, other, LOCKED_SECONDS, lambda: len(backends(sampler)))
        insert_finished(locker, 7, status="CANCELLED")  # and of its end
        locker.commit()
        released = native.finish(5)  # just after

    print(observed)
    assert observed.quick, observed
    assert max(observed.backends) <= 2, "two sessions at most, whatever happens"

    # Each waits for the lock for a second and gives up; they share a session, so the last has waited for all.
    since = min(at for at, page in observed.pages if not any(success(page, collector) for collector in BLOCKED))
    assert since < STALENESS, since
    assert not any(success(page, collector) for at, page in observed.pages if at > since for collector in BLOCKED)
    assert all(success(page, collector) for _, page in observed.pages for collector in FREE)
    for at, page in observed.pages:
        assert all(page.series(gauge) for gauge in FREE.values())
        last = "scheduling_exporter_collector_last_success_timestamp_seconds"
        newest = max(page.value(last, collector=collector) for collector in FREE)
        for collector, gauge in BLOCKED.items():
            age = newest - page.value(last, collector=collector)
            only = {"status": "COMPLETED"} if collector == "jobs" else {}  # the others are from queues, too
            assert not page.series(gauge, **only) or age <= STALENESS + 1, (at, collector, age)
        assert counts(page).items() >= {"failed": history["failed"], "timeout": 0, "cancelled": 0}.items()
    assert not any(observed.pages[-1][1].series(gauge) for gauge in BLOCKED.values())

    until(lambda: all(success(sidecar.metrics(), c) for c in (*BLOCKED, *FREE)), 60, "everything works again")
    metrics = sidecar.settled(since=released)
    assert counts(metrics) == native.truth() == {"success": 12, "failed": 2, "timeout": 6, "cancelled": 7}
    assert all(metrics.series(gauge) for gauge in (*BLOCKED.values(), *FREE.values()))
    assert metrics.value("scheduling_store_up") == 1


def test_it_ends_at_once_while_the_tables_are_locked(native: NativeStore, start_sidecar: StartSidecar) -> None:
    sidecar = start_sidecar(one_store(native.dsn, interval="1s"))
    sidecar.settled(since=0)
    with native.database.connect() as sampler, native.database.connect(autocommit=False) as locker:
        locker.execute("LOCK TABLE jobs, executions, workers, operations IN ACCESS EXCLUSIVE MODE")
        until(lambda: not success(sidecar.metrics(), "executions"), 60, "it waits in vain")
        assert sidecar.stop(seconds=15) == 0
        until(lambda: backends(sampler) == [], 20, "no session is left")
        locker.rollback()
