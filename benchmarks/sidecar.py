"""The sidecar in a process of its own, as an operator runs it, and what it costs."""

from __future__ import annotations

import contextlib
import shutil
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil
import yaml
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.kept import DATA, OURS, PASSWORD, Database
from exporter.demo.ports import free_port
from exporter.demo.processes import Child

HOST = "127.0.0.1"
#: The image's Python (Dockerfile) leaves out docstrings.
IMAGE: Mapping[str, str] = {"PYTHONOPTIMIZE": "2"}
#: Seconds over which a share of a core is measured: two intervals, so that each round holds the same work.
ROUND = 30.0


def one_store(database: Database, **options: Any) -> dict[str, Any]:
    """A configuration with this store, everything else at its default."""
    return {"stores": [{"name": "main", "dsn": database.dsn(), **options}]}


def targets(database: Database, count: int) -> dict[str, Any]:
    """The section ``connections``: so many targets, all of them this database, without TLS."""
    target = {"host": HOST, "port": database.server.port, "database": database.name, "sslmode": "disable"}
    target |= {"user": OURS, "password": PASSWORD}
    return {"connections": {"targets": [{"name": f"target-{n}", **target} for n in range(count)]}}


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """A directory on the disk that the stores are on: what the state file's fsync costs is part of the figures."""
    DATA.mkdir(exist_ok=True)
    directory = Path(tempfile.mkdtemp(prefix="run-", dir=DATA))
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


class Sidecar:
    """``scheduler-exporter serve`` with its files in ``directory``, and more in its environment."""

    def __init__(self, directory: Path, config: Mapping[str, Any], environment: Mapping[str, str] = {}) -> None:
        self.port = free_port()
        self.url = f"http://{HOST}:{self.port}"
        self.state = directory / "state"
        self._file = directory / "config.yaml"
        self._file.write_text(
            yaml.safe_dump(
                {**config, "web": {"listen_address": [f"{HOST}:{self.port}"]}, "state": {"path": str(self.state)}}
            )
        )
        command = [sys.executable, "-m", "exporter", "serve", f"--config.file={self._file}"]
        self._child = Child(name="sidecar", command=command, log=directory / "log", environment=environment)

    def start(self, *, wait: bool = True) -> float:
        """Start it and return the seconds until it answered."""
        began = time.monotonic()
        self._child.start()
        if wait:
            self.until(lambda: self.get("/metrics") is not None, 30)
        return time.monotonic() - began

    def stop(self) -> None:
        """End it."""
        self._child.stop(grace=30)

    @property
    def process(self) -> psutil.Process:
        """The running process."""
        return psutil.Process(self._child.pid)

    def get(self, path: str) -> str | None:
        """An answer's text; None while there is none."""
        try:
            with urllib.request.urlopen(self.url + path, timeout=30) as answer:
                return str(answer.read().decode())
        except urllib.error.HTTPError as error:
            raise RuntimeError(f"{path}: status {error.code}") from error
        except OSError:
            return None

    def value(self, name: str, **labels: str) -> float | None:
        """The sum of a metric's samples with these labels; None when there is none."""
        page = self.get(f"/metrics?name[]={name}") or ""
        found = [
            sample.value
            for family in text_string_to_metric_families(page)
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        ]
        return sum(found) if found else None

    def until(self, check: Callable[[], object], seconds: float, every: float = 0.01) -> float:
        """Wait for ``check`` and return for how long; RuntimeError when it does not come true or the process ended."""
        began = time.monotonic()
        deadline = began + seconds
        while not check():
            if time.monotonic() > deadline or not self._child.running:
                raise RuntimeError(f"the sidecar did not come so far:\n{self._child.last_lines()}")
            time.sleep(every)
        return time.monotonic() - began

    def rss(self) -> float:
        """Resident memory in MB (2**20 bytes)."""
        return float(self.process.memory_info().rss) / 2**20

    def uss(self) -> float:
        """Memory that is this process's alone, in MB (2**20 bytes)."""
        return float(self.process.memory_full_info().uss) / 2**20

    def written(self) -> float:
        """What of it was written, and so cannot be read again from a library's file, in MB (2**20 bytes)."""
        rollup = Path(f"/proc/{self._child.pid}/smaps_rollup").read_text()
        return int(rollup.partition("Private_Dirty:")[2].split()[0]) / 1024

    def peak_rss(self) -> float:
        """The greatest resident memory since the start, in MB (2**20 bytes)."""
        status = Path(f"/proc/{self._child.pid}/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) / 1024

    def cpu(self) -> float:
        """Processor seconds so far."""
        times = self.process.cpu_times()
        return float(times.user + times.system)


def share(sidecar: Sidecar) -> float:
    """Percent of a core during one round, with a scrape in each interval."""
    before, began = sidecar.cpu(), time.monotonic()
    for _ in range(2):
        sidecar.get("/metrics")
        time.sleep(ROUND / 2)
    return 100 * (sidecar.cpu() - before) / (time.monotonic() - began)


def history_read(sidecar: Sidecar) -> bool:
    """Whether nothing is left of the history to be read into the statistics."""
    return sidecar.value("scheduling_exporter_backfill_ratio", store="main") == 1


def kept_waiting(sidecar: Sidecar) -> float:
    """Seconds that its threads were ready and others had the processors: the machine's noise, not the sidecar's."""
    tasks = Path(f"/proc/{sidecar.process.pid}/task").glob("*/schedstat")
    return sum(int(task.read_text().split()[1]) for task in tasks) / 1e9


@contextlib.contextmanager
def running(
    config: Mapping[str, Any], directory: Path | None = None, environment: Mapping[str, str] = {}
) -> Iterator[Sidecar]:
    """A sidecar that has answered once, ended at the end; its files are in ``directory`` where they shall stay."""
    with contextlib.nullcontext(directory) if directory is not None else scratch() as place:
        sidecar = Sidecar(place, config, environment)
        try:
            sidecar.start()
            yield sidecar
        finally:
            sidecar.stop()
