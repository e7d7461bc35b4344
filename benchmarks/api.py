"""JSON over 10 M executions: answers from memory at 8 clients, one job's log from the store, a million-row export.

    python -m benchmarks.api [--executions 10000000]

Budgets: answers from snapshot or state file p99 at most 10 ms at 8 clients (``benchmarks.load``, open loop, 200
requests/s over 8 connections; wrk's closed loop is told, too); one job's log at most 25 ms for one client (p99 of 500
jobs drawn at random); while a million rows are exported, resident memory grows by less than 20 MB and the event loop
is late by at most 50 ms (``scheduling_exporter_event_loop_lag_seconds``).
"""

from __future__ import annotations

import http.client
import random
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field

from benchmarks import kept, load
from benchmarks.report import Row, Sizes, percentile, run, spread
from benchmarks.sidecar import HOST, Sidecar, one_store, running

CLIENTS, RATE, SECONDS = 8, 200, 3
ASKED = 500
FROM_MEMORY = (
    "/api/system/health",
    "/api/system/stats?period=24h",
    "/api/system/stats/live",
    "/api/system/workers",
    "/api/logs/recent",
    "/api/logs/recent?status=FAILED&taskType=report",
    "/monitoring/connections/status",
    "/monitoring/tasks/running",
    "/api/v1/workers",
    "/api/v1/scheduler/status",
    "/api/scheduler-monitoring/status",
    "/api/scheduler-monitoring/metrics",
    "/api/scheduler-monitoring/jobs",
    "/api/scheduler-monitoring/errors",
    "/api/scheduler-monitoring/health",
    "/api/scheduler-monitoring/dashboard",
)
ROWS_WANTED = 1_000_000
#: The last so many days of history have been read before anything is measured.
BACKFILL = "1d"


def measure(sizes: Sizes) -> list[Row]:
    """The rows of BENCHMARKS.md."""
    with kept.server() as server:
        store = kept.store(server, executions=sizes.executions, jobs=sizes.jobs)
        config = {
            **one_store(store, counting={"backfill": BACKFILL}, max_db_load=1.0),
            "environment": "development",
            "api": {"rate_limit": {"per_second": 0}},
        }
        with running(config) as sidecar:
            sidecar.until(
                lambda: sidecar.value("scheduling_exporter_backfill_ratio", store="main") == 1, 900, every=0.5
            )
            time.sleep(5)
            rows = from_memory(sidecar)
            for name, path in (
                ("one job's log", "/api/jobs/{}/logs"),
                ("one job's summary", "/api/jobs/{}/logs/summary"),
                ("one job", "/api/jobs/{}"),
                ("one task's executions", "/monitoring/tasks/{}/executions"),
            ):
                rows.append(of_one_job(sidecar, name, path, sizes))
            for kind in ("json", "csv"):
                rows += export(sidecar, kind)
    return rows


def from_memory(sidecar: Sidecar) -> list[Row]:
    """p99 of each path at a steady rate, and at full load."""
    steady, full = {}, {}
    for path in FROM_MEMORY:
        url = sidecar.url + path
        steady[path] = load.result(load.steady(url, rate=RATE, seconds=SECONDS, connections=CLIENTS))["p99"]
        full[path] = load.wrk(url, seconds=SECONDS, connections=CLIENTS)
        print(
            f"{path}: p99 {steady[path]:.1f} ms at {RATE}/s; {full[path][0]:,.0f}/s, p99 {full[path][1]:.1f} ms",
            flush=True,
        )
    worst = max(steady, key=steady.__getitem__)
    slowest = max(full, key=lambda path: full[path][1])
    return [
        Row(f"answers from memory, p99 at {RATE} requests/s over {CLIENTS} connections, {len(FROM_MEMORY)} paths",
            spread(list(steady.values()), " ms"), "<= 10 ms", steady[worst] <= 10),
        Row("the slowest of them", worst),
        Row(f"p99 at full load by {CLIENTS} clients (wrk)", spread([p99 for _, p99 in full.values()], " ms")),
        Row("the slowest there", f"{slowest}, {full[slowest][0]:,.0f} requests/s"),
    ]  # fmt: skip


def of_one_job(sidecar: Sidecar, name: str, path: str, sizes: Sizes) -> Row:
    """One client asks for one job after the other."""
    draw = random.Random(1)
    with closing(http.client.HTTPConnection(HOST, sidecar.port, timeout=30)) as connection:
        spent = []
        for number in range(ASKED + 20):
            started = time.perf_counter()
            connection.request("GET", path.format(draw.randint(1, sizes.jobs)))
            answer = connection.getresponse()
            answer.read()
            if answer.status != 200:
                raise RuntimeError(f"{path}: status {answer.status}")
            if number >= 20:
                spent.append(1000 * (time.perf_counter() - started))
    budget, p99 = ("<= 25 ms", percentile(spent, 0.99)) if name == "one job's log" else ("", percentile(spent, 0.99))
    figure = f"{statistics.median(spent):.1f} ms, p99 {p99:.1f} ms"
    return Row(f"{name}, one client, {ASKED} jobs", figure, budget, p99 <= 25 if budget else None)


@dataclass
class Watched:
    """What was seen of the process meanwhile."""

    rss: list[float] = field(default_factory=list)
    lag: list[float] = field(default_factory=list)


@contextmanager
def watching(sidecar: Sidecar) -> Iterator[Watched]:
    """Look at resident memory every 50 ms, and at the event loop's lag every second."""
    seen, end = Watched(), threading.Event()

    def look() -> None:
        next_lag = 0.0
        while not end.wait(0.05):
            seen.rss.append(sidecar.rss())
            if time.monotonic() >= next_lag:
                next_lag = time.monotonic() + 1
                seen.lag.append(sidecar.value("scheduling_exporter_event_loop_lag_seconds") or 0.0)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        end.set()
        thread.join()


def export(sidecar: Sidecar, kind: str) -> list[Row]:
    """Read a million rows of history, as fast as they come; nobody else asks."""
    before = sidecar.rss()
    path = f"/api/scheduler-monitoring/export?type=executions&format={kind}&period=30d"
    with watching(sidecar) as seen, closing(http.client.HTTPConnection(HOST, sidecar.port, timeout=60)) as connection:
        started = time.perf_counter()
        connection.request("GET", path)
        answer = connection.getresponse()
        rows = size = 0
        while rows < ROWS_WANTED and (data := answer.read(1 << 18)):
            rows += data.count(b"\n")
            size += len(data)
        seconds = time.perf_counter() - started
    grown, lag = max(seen.rss) - before, 1000 * max(seen.lag)
    return [
        Row(f"export of {rows:,} rows, {kind}", f"{rows / seconds:,.0f} rows/s, {size / 1e6:,.0f} MB"),
        Row("resident memory grows by", f"{grown:.1f} MB", "< 20 MB", grown < 20),
        Row("event loop lag", f"{lag:.0f} ms", "< 50 ms", lag < 50),
    ]


if __name__ == "__main__":
    run("api", measure)
