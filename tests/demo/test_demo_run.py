"""The whole demo, as a user runs it: it comes up complete, and goes without a trace."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest
from support.ports import free_port

from exporter.demo.readiness import fetch, is_complete

MARKER = "SCHEDULER_EXPORTER_DEMO_TEST"


@dataclass
class Demo:
    """A demo in a process of its own: its directory is made in ``temp``, its processes bear ``mark``."""

    temp: Path
    sidecar_port: int = field(default_factory=free_port)
    prometheus_port: int = field(default_factory=free_port)
    mark: str = field(default_factory=lambda: uuid.uuid4().hex)
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "exporter", "demo", "--duration", "3m"]
        command += ["--listen-address", f"127.0.0.1:{self.sidecar_port}"]
        command += ["--prometheus-port", str(self.prometheus_port)]
        with (self.temp / "output").open("wb") as output:
            self.process = subprocess.Popen(
                command,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, "TMPDIR": str(self.temp), MARKER: self.mark},
            )

    @property
    def output(self) -> str:
        return (self.temp / "output").read_text()

    @property
    def directories(self) -> list[Path]:
        return [path for path in self.temp.iterdir() if path.is_dir()]

    def processes(self) -> list[psutil.Process]:
        """Every process that inherited the mark, zombies apart."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.environ().get(MARKER) == self.mark and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found

    def wait_for(self, condition: Callable[[], bool], seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert self.process is not None
            assert time.monotonic() < deadline, self.output
            time.sleep(0.1)

    def wait_for_banner(self) -> None:
        self.wait_for(lambda: "Ctrl-C stops everything" in self.output or self.ended, 60)
        assert not self.ended, self.output

    @property
    def ended(self) -> bool:
        return self.process is not None and self.process.poll() is not None

    def end(self, number: signal.Signals, seconds: float = 20) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(seconds)


@pytest.fixture
def demo() -> Iterator[Demo]:
    # Not below pytest's directory, which only its owner may enter: as root PostgreSQL runs as nobody.
    with tempfile.TemporaryDirectory(prefix="demo-test-") as temp:
        Path(temp).chmod(0o711)
        made = Demo(Path(temp))
        made.start()
        try:
            yield made
        finally:
            for process in made.processes():
                with contextlib.suppress(psutil.Error):
                    process.kill()
            if made.process is not None:
                made.process.wait(10)


def targets(port: int) -> list[str]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/targets", timeout=5) as response:
        return [target["health"] for target in json.load(response)["data"]["activeTargets"]]


def rule_groups(port: int) -> set[str]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/rules", timeout=5) as response:
        return {group["name"] for group in json.load(response)["data"]["groups"]}


def executions(demo: Demo) -> float:
    metrics = fetch(f"http://127.0.0.1:{demo.sidecar_port}/metrics") or ""
    values = re.findall(r"^scheduling_executions_total\{.*\} (\S+)$", metrics, re.MULTILINE)
    return sum(float(value) for value in values)


def test_it_comes_up_complete_and_leaves_nothing(demo: Demo) -> None:
    demo.wait_for_banner()
    assert f"http://127.0.0.1:{demo.sidecar_port}/metrics" in demo.output
    assert is_complete(fetch(f"http://127.0.0.1:{demo.sidecar_port}/metrics"))
    demo.wait_for(lambda: executions(demo) > 10, 30)
    page = fetch(f"http://127.0.0.1:{demo.sidecar_port}/metrics") or ""
    assert "scheduling_vault_up 1.0" in page and 'scheduling_connection_up{connection="shop"} 1.0' in page
    if shutil.which("prometheus"):  # the demo does without it where it is not installed
        demo.wait_for(lambda: targets(demo.prometheus_port) == ["up"], 30)
        assert {"scheduling-executions", "scheduling-slo-recorded"} <= rule_groups(demo.prometheus_port)
    dsn = re.search(r"psql (\S+)", demo.output)
    assert dsn is not None
    assert len(demo.processes()) > 6

    assert demo.end(signal.SIGINT) == 0
    assert "nothing is left" in demo.output
    assert demo.processes() == []
    assert demo.directories == []


def test_a_killed_demo_leaves_no_process_and_the_next_removes_its_directory(demo: Demo) -> None:
    demo.wait_for_banner()
    demo.end(signal.SIGKILL)
    demo.wait_for(lambda: demo.processes() == [], 5)
    [left] = demo.directories
    demo.start()
    demo.wait_for(lambda: not left.exists(), 20)
    assert demo.end(signal.SIGTERM) == 0
    assert demo.directories == []


def test_it_ends_when_the_sidecar_does(demo: Demo) -> None:
    demo.wait_for_banner()
    [sidecar] = [process for process in demo.processes() if "serve" in process.cmdline()]
    sidecar.kill()
    assert demo.process is not None
    assert demo.process.wait(20) == 1
    assert "sidecar ended" in demo.output
    assert demo.processes() == []
    assert demo.directories == []
