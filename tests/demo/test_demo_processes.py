"""Children end when told to, in order, and when nobody is left to tell them."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from exporter.demo.processes import Child, Supervisor

DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(600)"
PARENT = """
import sys, time
from pathlib import Path
from exporter.demo.processes import Child
child = Child(name="sleep", command=["sleep", "600"], log=Path(sys.argv[1]))
child.start()
print(child.pid, flush=True)
time.sleep(600)
"""


def wait_for(condition: Callable[[], bool], seconds: float = 60) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()


def sleeper(tmp_path: Path, name: str = "sleep") -> Child:
    return Child(name=name, command=["sleep", "600"], log=tmp_path / f"{name}.log")


def test_a_child_runs_until_stopped(tmp_path: Path) -> None:
    child = sleeper(tmp_path)
    assert not child.running
    child.start()
    assert child.running
    child.stop()
    assert not child.running
    assert child.process is not None
    assert child.process.returncode == -signal.SIGTERM


def test_a_deaf_child_is_killed(tmp_path: Path) -> None:
    child = Child(name="deaf", command=[sys.executable, "-c", DEAF], log=tmp_path / "log")
    child.start()
    assert wait_for(lambda: (tmp_path / "log").read_text() != "")
    child.stop(grace=0.2)
    assert child.process is not None
    assert child.process.returncode == -signal.SIGKILL


def test_children_are_stopped_in_reverse_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    supervisor, stopped = Supervisor(), []
    for name in ("first", "second", "third"):
        supervisor.start(sleeper(tmp_path, name))
    stop = Child.stop

    def noted(child: Child) -> None:
        stopped.append(child.name)
        stop(child)

    monkeypatch.setattr(Child, "stop", noted)
    supervisor.stop()
    assert stopped == ["third", "second", "first"]


def test_kill_spares_nobody(tmp_path: Path) -> None:
    supervisor = Supervisor()
    children = [supervisor.start(sleeper(tmp_path, str(number))) for number in range(3)]
    supervisor.kill()
    assert wait_for(lambda: not any(child.running for child in children))


def test_a_killed_parent_takes_its_children_along(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PARENT, str(tmp_path / "log")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        child = psutil.Process(pid)
        assert wait_for(lambda: child.name() == "sleep")  # the launcher has become the program
        parent.kill()
    assert wait_for(lambda: not psutil.pid_exists(pid))


def test_output_goes_to_the_log(tmp_path: Path) -> None:
    child = Child(name="say", command=["sh", "-c", "seq 30; echo $WORD >&2"], log=tmp_path / "log")
    child.environment = {"WORD": "done"}
    child.start()
    assert child.wait(60)
    assert child.last_lines(2) == "30\ndone"
