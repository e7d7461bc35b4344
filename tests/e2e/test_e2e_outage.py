"""PostgreSQL is down: at the start, for a while, at a restart. What is unknown is absent, what was counted stays."""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Iterator

import psutil
from support.exposition import Key, Metrics
from support.polling import until
from support.scheduler import NativeStore, backends
from support.sidecar import NAME, Sidecar, StartSidecar, one_store
from support.undisturbed import undisturbed

from exporter.demo.postgres import PostgresServer

#: Everything that only a store can tell begins with one of these.
FROM_STORE = (
    "scheduling_job",
    "scheduling_queue",
    "scheduling_execution",
    "scheduling_last_execution",
    "scheduling_worker",
    "scheduling_operations",
    "scheduling_exporter_cursor",
    "scheduling_exporter_counting_exact",
)
#: Seconds that this machine may stand still.
PATIENCE = 5
COUNTERS = (
    "scheduling_executions_total",
    "scheduling_execution_retries_total",
    "scheduling_execution_duration_seconds",
    "scheduling_execution_wait_seconds",
    "scheduling_worker_executions_total",
)
#: A gauge of each collector, by which its presence is told.
GAUGE_OF = {
    "executions": "scheduling_exporter_cursor_timestamp_seconds",
    "running": "scheduling_executions_running",
    "queues": "scheduling_queue_jobs",
    "jobs": "scheduling_jobs",
    "workers": "scheduling_workers",
    "operations": "scheduling_operations",
    "schedules": "scheduling_job_next_run_timestamp_seconds",
}
#: What is the collector's alone where another one adds to its gauge.
ONLY = {"jobs": {"status": "COMPLETED"}}


def gauges(metrics: Metrics) -> set[str]:
    """The store's gauges on the page."""
    return {name for name in metrics.names(FROM_STORE) if not name.startswith(COUNTERS)}


def counters(metrics: Metrics) -> dict[Key, float]:
    """The store's counters and histograms on the page."""
    return {key: value for key, value in metrics.items() if key[0].startswith(COUNTERS)}


def is_up(metrics: Metrics) -> bool:
    """The store is up and every collector has its gauge on the page."""
    return metrics.value("scheduling_store_up") == 1 and set(GAUGE_OF.values()) <= gauges(metrics)


def test_it_serves_at_once_without_the_store_and_follows_when_it_comes(
    own_native: NativeStore, make_sidecar: StartSidecar
) -> None:
    server = own_native.database.server
    own_native.finish(5)
    server.stop()
    sidecar = make_sidecar(one_store(own_native.dsn, interval="2s"))
    # The best of three: another process on this machine can only make it slower.
    took = [sidecar.start(), sidecar.restart(), sidecar.restart()]
    for collector in GAUGE_OF:  # each has tried in vain
        until(lambda c=collector: failed(sidecar.metrics(), c), 60, collector)
    metrics = sidecar.metrics()
    assert metrics.value("scheduling_store_up", store=NAME) == 0
    assert metrics.names(FROM_STORE) == set()
    assert sidecar.get("/health/ready").status == 200

    undisturbed(lambda: complete_within(own_native, sidecar, 2 + 1), by=0.5)
    assert sidecar.metrics().value("scheduling_queue_jobs", state="ready") == 3
    own_native.finish(2, status="FAILED")
    counted = sidecar.settled(since=own_native.finish(1))
    assert counted.by("status", "scheduling_executions_total")["failed"] == 2
    assert counted.by("status", "scheduling_executions_total")["success"] == 1, "history is not counted"
    assert len(sidecar.events("started")) == 3, "and no restart was needed"
    beside = [sidecar.restart() for _ in range(2)]
    print("seconds to the first answer:", took, "with the store:", beside)
    assert min(took) < max(2, 1.5 * min(beside)), "as soon as with the store"


def complete_within(native: NativeStore, sidecar: Sidecar, seconds: float) -> None:
    """The store comes back, and all that is known of it."""
    native.database.server.stop()
    until(lambda: sidecar.metrics().value("scheduling_store_up") == 0, 60, "it is away")
    native.database.server.start()
    began = time.monotonic()
    until(lambda: is_up(sidecar.metrics()), 60, "it is complete")
    assert time.monotonic() - began < seconds, "within one interval and a second"


def failed(metrics: Metrics, collector: str) -> bool:
    return metrics.value("scheduling_exporter_collector_success", collector=collector, source=NAME) == 0


def test_no_value_is_older_than_its_staleness_and_counters_stay(
    own_native: NativeStore, start_sidecar: StartSidecar
) -> None:
    staleness, server = 6.0, own_native.database.server
    sidecar = start_sidecar(one_store(own_native.dsn, interval="2s", staleness=f"{staleness:g}s", max_db_load=1.0))
    sidecar.settled(since=0)
    before = counters(sidecar.settled(since=own_native.finish(7)))
    assert sum(value for key, value in before.items() if key[0] == "scheduling_executions_total") == 7
    until(lambda: is_up(sidecar.metrics()), 60, "complete")

    server.stop()
    stopped = time.time()
    while time.time() < stopped + staleness + 3:
        asked = time.time()
        metrics = sidecar.metrics()
        for collector, gauge in GAUGE_OF.items():
            last = metrics.value("scheduling_exporter_collector_last_success_timestamp_seconds", collector=collector)
            shown = metrics.series(gauge, **ONLY.get(collector, {}))
            assert not shown or asked - last <= staleness + 0.1, (collector, asked - last)
        assert counters(metrics) == before
        if asked > stopped + 3 + PATIENCE:
            assert metrics.value("scheduling_store_up") == 0
        time.sleep(0.2)
    metrics = sidecar.metrics()
    assert gauges(metrics) == set()
    assert all(failed(metrics, collector) for collector in GAUGE_OF)

    undisturbed(lambda: complete_within(own_native, sidecar, 2 + 1), by=0.5)
    assert counters(sidecar.settled(since=time.time())) == before


def test_a_profile_that_maps_little_does_not_call_a_dead_store_up(
    own_native: NativeStore, start_sidecar: StartSidecar
) -> None:
    """Collectors of what a profile does not map ask nobody, so they know nothing of the store."""
    little = {"name": "little", "jobs": "SELECT id, status FROM jobs"}
    sidecar = start_sidecar(one_store(own_native.dsn, profile=little))
    until(lambda: sidecar.metrics().value("scheduling_store_up") == 1, 60)
    own_native.database.server.stop()
    until(lambda: failed(sidecar.metrics(), "jobs") and failed(sidecar.metrics(), "queues"), 60)
    answers = []
    for _ in range(20):  # four polls, or more
        answers.append(sidecar.metrics().value("scheduling_store_up"))
        time.sleep(0.1)
    assert set(answers) == {0}


@contextlib.contextmanager
def frozen(server: PostgresServer) -> Iterator[None]:
    """The server keeps its connections, and takes new ones, and never says a word."""
    postmaster = psutil.Process(server.child.pid)
    stopped = [postmaster, *postmaster.children(recursive=True)]
    for process in stopped:
        process.suspend()
    try:
        yield
    finally:
        for process in stopped:
            process.resume()


def test_a_server_that_stops_answering_is_down_and_holds_up_nothing(
    own_native: NativeStore, start_sidecar: StartSidecar
) -> None:
    # On a slow machine a poll may take over 1% of so short an interval, which would stretch the staleness too.
    sidecar = start_sidecar(one_store(own_native.dsn, timeout="2s", staleness="6s", max_db_load=1.0))
    sidecar.settled(since=0)
    before = counters(sidecar.settled(since=own_native.finish(3)))
    with frozen(own_native.database.server):
        until(
            lambda: sidecar.metrics().value("scheduling_store_up") == 0,
            2 + 2 + 1 + 2 + 2 * PATIENCE,
            "timeout, patience, cancelling, slack",
        )
        until(lambda: gauges(sidecar.metrics()) == set(), 60, "gauges go when they are stale")
        taken = []
        for _ in range(30):
            asked = time.monotonic()
            metrics = sidecar.metrics()
            taken.append(time.monotonic() - asked)
            assert (metrics.value("scheduling_store_up"), counters(metrics)) == (0, before)
            time.sleep(0.1)
        assert statistics.median(taken) < 0.5, "a page waits for nobody"
    until(lambda: is_up(sidecar.metrics()), 60, "everything back")
    after = sidecar.settled(since=own_native.finish(1))
    assert after.by("status", "scheduling_executions_total")["success"] == 4
    with own_native.database.connect() as connection:
        until(lambda: len(backends(connection)) <= 2, 60, "what was given up is gone from the server too")


def test_it_ends_in_time_while_the_server_does_not_answer(own_native: NativeStore, start_sidecar: StartSidecar) -> None:
    sidecar = start_sidecar(one_store(own_native.dsn, timeout="1m"))
    until(lambda: is_up(sidecar.metrics()), 60)
    with frozen(own_native.database.server):
        time.sleep(2)  # every collector has asked, or waits for its turn
        assert sidecar.stop(seconds=15) == 0
    with own_native.database.connect() as connection:
        until(lambda: backends(connection) == [], 60, "no session is left")


def test_a_restart_while_the_store_is_down_serves_the_counters_at_once(
    own_native: NativeStore, start_sidecar: StartSidecar
) -> None:
    server = own_native.database.server
    sidecar = start_sidecar(one_store(own_native.dsn))
    sidecar.settled(since=0)
    own_native.finish(4, status="FAILED", attempt=1)
    before = counters(sidecar.settled(since=own_native.finish(9)))
    assert before
    server.stop()
    for end in (sidecar.stop, sidecar.kill):
        end()
        sidecar.start()
        metrics = sidecar.metrics()
        assert counters(metrics) == before, "the first page, neither zero nor absent"
        assert gauges(metrics) == set()
        assert metrics.value("scheduling_store_up") == 0
    server.start()
    after = counters(sidecar.settled(since=own_native.finish(1)))
    grown = {key: after[key] - value for key, value in before.items() if key[0] == "scheduling_executions_total"}
    assert sum(grown.values()) == 1
