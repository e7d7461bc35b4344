"""A real Prometheus beside the sidecar: what it stores is what happened, through restarts of the sidecar too."""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.polling import until
from support.prometheus_server import Prometheus
from support.scheduler import NativeStore
from support.sidecar import Sidecar, StartSidecar, one_store, target

TOTAL = "scheduling_executions_total"
pytestmark = pytest.mark.skipif(
    not (shutil.which("prometheus") and shutil.which("promtool")), reason="Prometheus is not installed"
)


@pytest.fixture
def sidecar(native: NativeStore, start_sidecar: StartSidecar) -> Sidecar:
    """A sidecar with a store and a target, whose first look at the store is over."""
    port = native.database.server.port
    targets = [target("shop", port, user="nobody", password="wrong"), target("off", 1)]
    sidecar = start_sidecar({**one_store(native.dsn), "connections": {"interval": "1s", "targets": targets}})
    until(lambda: sidecar.read_upto() > 0, 60)
    return sidecar


@pytest.fixture
def prometheus(tmp_path: Path, sidecar: Sidecar) -> Iterator[Prometheus]:
    """A Prometheus that has scraped the sidecar."""
    server = Prometheus(tmp_path / "prometheus", sidecar.port, every=2)
    try:
        server.start()
        until(lambda: server.target()["health"] == "up", 60, "the target is up")
        yield server
    finally:
        server.stop()


def scraped(prometheus: Prometheus, since: float) -> float:
    """Wait for two scrapes of what was counted after ``since``; returns when the last one was.

    Asks Prometheus alone: a scrape of the test's own would be the one to which new series are shown as 0.
    """
    cursor = "scheduling_exporter_cursor_timestamp_seconds"
    until(lambda: max(prometheus.query(cursor).values(), default=0) > since, 60, "a scrape of what was counted")
    first = prometheus.last_scrape()
    return until(lambda: (at := prometheus.last_scrape()) > first and at, 60, "the one after it")


def assert_stored(prometheus: Prometheus, native: NativeStore, since: float) -> None:
    """What Prometheus has, and how much it saw it grow, is what the tables say."""
    at = scraped(prometheus, since)
    truth = {status: float(count) for status, count in native.truth().items()}
    assert prometheus.query(f"sum by (status) ({TOTAL})", label="status", at=at) == truth
    # Evaluated at the very last sample nothing is extrapolated: series that began with 0 give the whole truth.
    grown = prometheus.query(f"sum by (status) (increase({TOTAL}[10m]))", label="status", at=at)
    assert grown == pytest.approx(truth)
    seen = prometheus.query("sum(increase(scheduling_execution_duration_seconds_count[10m]))", at=at)
    assert seen == pytest.approx({"": sum(truth.values())})


def exemplars(prometheus: Prometheus) -> set[str]:
    """The executions that Prometheus has as examples of a duration."""
    query, now = "scheduling_execution_duration_seconds_bucket", time.time()
    series = prometheus.api("query_exemplars", query=query, start=now - 300, end=now + 60)
    return {exemplar["labels"]["execution_id"] for one in series for exemplar in one["exemplars"]}


def test_it_negotiates_openmetrics_and_stores_what_happened(native: NativeStore, prometheus: Prometheus) -> None:
    for round_ in range(1, 6):
        native.finish(3 * round_)
        native.finish(round_, status="FAILED", task_type="report")
        native.finish(1, status="TIMEOUT", task_type=f"one-off {round_}")
        done = native.finish(2, status="CANCELLED", attempt=1)
        time.sleep(0.7)
    assert_stored(prometheus, native, done)
    # A scrape that took too long, on a machine that stood still, is none of a page that was refused.
    until(lambda: prometheus.target()["lastError"] == "", 30, "there is nothing to complain of")
    assert prometheus.query("quantile_over_time(0.5, up[10m])") == {"": 1.0}

    # That it was OpenMetrics: the text format knows no exemplars and has another name for the family.
    found = until(lambda: exemplars(prometheus), 60, "an exemplar")
    with native.database.connect() as connection:
        ids = {str(n) for (n,) in connection.execute("SELECT id FROM executions WHERE completed_at IS NOT NULL")}
    assert found <= ids
    [described] = prometheus.api("metadata", metric="scheduling_executions")["scheduling_executions"]
    assert described["type"] == "counter"


def test_a_restart_is_no_reset(native: NativeStore, sidecar: Sidecar, prometheus: Prometheus) -> None:
    assert_stored(prometheus, native, native.finish(20))
    for number in (signal.SIGTERM, signal.SIGKILL):
        sidecar.end(number)
        native.finish(5)
        native.finish(3, status="FAILED", task_type="new while it was down")
        until(lambda: prometheus.target()["health"] == "down", 60, "Prometheus has missed it")
        sidecar.start()
        until(lambda: prometheus.target()["health"] == "up", 60, "and has it back")
        assert_stored(prometheus, native, native.finish(2))
    for name in (TOTAL, "scheduling_execution_duration_seconds_count", "scheduling_execution_wait_seconds_bucket"):
        assert set(prometheus.query(f"sum(resets({name}[10m]))").values()) == {0.0}, name


def test_promtool_has_no_complaint_about_the_whole_page(native: NativeStore, sidecar: Sidecar) -> None:
    native.finish(1, status="FAILED")
    sidecar.settled(since=native.finish(1))
    until(lambda: sidecar.metrics().value("scheduling_connection_up", connection="off") == 0, 60)
    sidecar.get("/")
    page = sidecar.get("/metrics")
    checked = subprocess.run(
        ["promtool", "check", "metrics"], input=page.body, capture_output=True, timeout=120, check=False
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")
    names = sidecar.metrics().names()
    assert {"scheduling_store_up", "process_cpu_seconds_total", "scheduling_connection_up"} <= names
    assert len(names) >= 50
