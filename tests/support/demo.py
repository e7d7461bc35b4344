"""The whole demo, in a process of its own as a user runs it."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from support.polling import until
from support.ports import free_port

MARKER = "SCHEDULER_EXPORTER_DEMO_TEST"


def command() -> Sequence[str]:
    """On ports that are free and stay so, and never for ever."""
    ports = {"prometheus": free_port(), "alertmanager": free_port(), "inbox": free_port()}
    return (
        sys.executable, "-m", "exporter", "demo", "--duration=10m", f"--listen-address=127.0.0.1:{free_port()}",
        *(f"--{name}-port={port}" for name, port in ports.items()),
    )  # fmt: skip


@dataclass
class Demo:
    """A demo: its directory is made in ``temp``, its processes bear ``mark``."""

    temp: Path
    command: Sequence[str] = field(default_factory=command)
    directory: Path | None = None
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    mark: str = field(default_factory=lambda: uuid.uuid4().hex)
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with (self.temp / "output").open("wb") as output:
            self.process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self.directory,
                env={**self.environment, "TMPDIR": str(self.temp), MARKER: self.mark},
                start_new_session=True,  # what a terminal does: Ctrl-C then reaches all of them, make too
            )

    @property
    def output(self) -> str:
        return (self.temp / "output").read_text(errors="replace")

    def address(self, what: str) -> str:
        """The address that is printed beside this."""
        found = re.search(rf"^ +{what} +(\S+)", self.output, re.MULTILINE)
        assert found is not None, self.output
        return found[1]

    @property
    def directories(self) -> list[Path]:
        """The demo's own; others make some there too, such as pip."""
        return [path for path in self.temp.glob("scheduler-exporter-demo-*") if path.is_dir()]

    def processes(self) -> list[psutil.Process]:
        """Every process that inherited the mark, zombies apart."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.environ().get(MARKER) == self.mark and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found

    def wait_for_banner(self, seconds: float = 180) -> None:
        until(lambda: "Ctrl-C stops everything" in self.output or self.ended, seconds, "the demo says where it is")
        assert not self.ended, self.output

    @property
    def ended(self) -> bool:
        return self.process is not None and self.process.poll() is not None

    def end(self, number: signal.Signals, seconds: float = 60) -> int:
        """A signal to the process alone; its status."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(seconds)

    def interrupt(self, seconds: float = 60) -> int:
        """Ctrl-C in its terminal; the status."""
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGINT)
        return self.process.wait(seconds)

    def cleanup(self) -> None:
        """End it, whatever state it is in."""
        for process in self.processes():
            with contextlib.suppress(psutil.Error):
                process.kill()
        if self.process is not None:
            self.process.wait(60)


@contextlib.contextmanager
def directory_of_a_demo() -> Iterator[Path]:
    """Not below pytest's directory, which only its owner may enter: as root PostgreSQL runs as nobody."""
    with tempfile.TemporaryDirectory(prefix="demo-test-") as temp:
        Path(temp).chmod(0o711)
        yield Path(temp)
