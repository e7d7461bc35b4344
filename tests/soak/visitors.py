"""Who comes by: Prometheus, readers of JSON, people who open the page and leave it, and whoever disturbs."""

from __future__ import annotations

import contextlib
import gzip
import http.client
import itertools
import signal
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from typing import Final

from support.exposition import Metrics
from support.sidecar import HOST, Sidecar

from soak.world import ADMIN, World

#: Every family, each of its answers once. ``{job}`` is a job that has executions.
PATHS: Final = (
    "/health", "/health/live", "/health/ready", "/-/healthy", "/-/ready", "/sd", "/probe?target=kept", "/config",
    "/openapi.json", "/docs", "/jobs/{job}",
    "/api/system/health", "/api/system/stats?period=1h", "/api/system/stats?period=24h",
    "/api/system/stats?period=30d", "/api/system/stats/live", "/api/system/workers", "/api/jobs/{job}",
    "/api/jobs/{job}/logs", "/api/jobs/{job}/logs/summary", "/api/logs/recent", "/api/logs/recent?status=FAILED",
    "/api/v1/monitoring/tasks/executions", "/api/v1/monitoring/tasks/{job}/executions",
    "/api/v1/monitoring/tasks/running", "/api/v1/monitoring/connections/status",
    "/api/scheduler-monitoring/status", "/api/scheduler-monitoring/metrics", "/api/scheduler-monitoring/jobs",
    "/api/scheduler-monitoring/jobs?status=FAILED&taskType=mail", "/api/scheduler-monitoring/health",
    "/api/scheduler-monitoring/errors", "/api/scheduler-monitoring/dashboard",
    "/api/scheduler-monitoring/export?type=executions&format=csv&period=1h",
    "/api/v1/workers", "/api/v1/operations", "/api/v1/scheduler/status", "/api/v1/scheduler/metrics",
    "/api/v1/system/health",
)  # fmt: skip
OPENMETRICS: Final = "application/openmetrics-text;version=1.0.0;q=0.9,text/plain;q=0.5"
TASKS, LAG = "scheduling_exporter_event_loop_tasks", "scheduling_exporter_event_loop_lag_seconds"


class Repeated(threading.Thread):
    """Does something every so many seconds until told to end; what it raises is kept, and ends it.

    ``hurry``: how many times as often, from its next turn on.
    """

    def __init__(self, name: str, every: float, act: Callable[[], object]) -> None:
        super().__init__(name=name, daemon=True)
        self.times = 0
        self.hurry = 1.0
        self.failed: BaseException | None = None
        self._every, self._act = every, act
        self._end = threading.Event()

    def run(self) -> None:
        """Not meant to be called."""
        due = time.monotonic()
        try:
            while not self._end.wait(max(0.0, due - time.monotonic())):
                self._act()
                self.times += 1
                due = max(due + self._every / self.hurry, time.monotonic())
        except BaseException as error:
            self.failed = error

    def end(self) -> None:
        """Wait for its last time."""
        self._end.set()
        self.join(120)


class Sleeper(threading.Thread):
    """Sleeps for moments: how late it wakes, at worst, is how long the machine let nobody run."""

    def __init__(self) -> None:
        super().__init__(name="sleeper", daemon=True)
        self._end = threading.Event()
        self._late: deque[tuple[float, float]] = deque()

    def run(self) -> None:
        """Not meant to be called."""
        while not self._end.is_set():
            before = time.monotonic()
            time.sleep(0.02)
            now = time.monotonic()
            self._late.append((now, now - before - 0.02))
            while self._late[0][0] < now - 60:
                self._late.popleft()

    def worst(self, seconds: float) -> float:
        """How late it woke within the last ``seconds``."""
        since = time.monotonic() - seconds
        return max((late for at, late in list(self._late) if at >= since), default=0.0)

    def end(self) -> None:
        """Wake for the last time."""
        self._end.set()
        self.join(60)


class Scraper:
    """Prometheus: over one connection, in OpenMetrics, compressed. Keeps what the page says of the event loop."""

    def __init__(self, sidecar: Sidecar) -> None:
        self._connection = http.client.HTTPConnection(HOST, sidecar.port, timeout=60)
        self.tasks: int | None = None
        self.lag: float | None = None

    def close(self) -> None:
        """Go away."""
        self._connection.close()

    def scrape(self) -> None:
        """Ask once."""
        self._connection.request("GET", "/metrics", headers={"Accept": OPENMETRICS, "Accept-Encoding": "gzip"})
        answer = self._connection.getresponse()
        page = gzip.decompress(answer.read()).decode()
        assert answer.status == 200, page
        metrics = Metrics(page, openmetrics=True)
        self.tasks = int(metrics.value(TASKS))
        with contextlib.suppress(LookupError):
            self.lag = metrics.value(LAG)


class Reader:
    """Asks for every path in turn, each on a connection of its own; counts the answers by status."""

    def __init__(self, world: World) -> None:
        self._sidecar = world.sidecar
        self.answers: Counter[int] = Counter()
        with world.database.connect() as connection:
            row = connection.execute("SELECT min(id) FROM jobs WHERE type = 'RECURRING'").fetchone()
        assert row is not None
        self._job = row[0]
        self._paths: Iterator[str] = itertools.cycle(PATHS)

    def forget(self) -> None:
        """Count anew: the store was cut off every few seconds until now."""
        self.answers = Counter()

    def ask(self) -> None:
        """The next path. A store that is cut off at this moment may be said to be away; an export is broken off."""
        path = next(self._paths).format(job=self._job)
        try:
            answer = self._sidecar.get(path, headers={"Authorization": f"Bearer {ADMIN}"}, timeout=60)
        except (http.client.IncompleteRead, ConnectionError):
            assert "/export" in path, path
            self.answers[503] += 1
            return
        assert answer.status in (200, 503), f"{path}: {answer.status} {answer.text[:500]}"
        self.answers[answer.status] += 1

    def look(self) -> None:
        """Open the page, be told what is new, and go away in the middle of it."""
        login = {"Authorization": f"Bearer {ADMIN}", "Accept": "text/html"}
        assert self._sidecar.get("/", headers=login, timeout=60).status == 200
        connection = http.client.HTTPConnection(HOST, self._sidecar.port, timeout=60)
        with contextlib.closing(connection):
            connection.request("GET", "/live", headers=login)
            with connection.getresponse() as answer:
                assert answer.status == 200
                assert answer.readline().startswith(b"event: changed")


class Disturber:
    """Changes the configuration back and forth, and cuts the sidecar's connections to PostgreSQL."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._more = False
        self.cut = 0

    def reload(self) -> None:
        """SIGHUP, with one target more or less."""
        self._more = not self._more
        self._world.configure(more=self._more)
        self._world.sidecar.process.send_signal(signal.SIGHUP)

    def disconnect(self) -> None:
        """As a restart of the server does it."""
        self.cut += self._world.cut()
