"""Child processes that never outlive their parent, and the supervisor that stops them in reverse order.

Each child has a session of its own, so that Ctrl-C reaches the parent alone, which then stops the children in
order; and it is tied to its parent (``child.py``), so that nothing is left even when the parent is killed.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

LAUNCHER: Final = Path(__file__).with_name("child.py")
GRACE: Final = 5.0
"""Seconds a child has to stop by itself."""


def tied(
    command: Sequence[str | Path], *, death_signal: int = signal.SIGKILL, user: tuple[int, int] | None = None
) -> list[str]:
    """``command`` such that it gets ``death_signal`` when this process ends, run as ``user`` (uid, gid)."""
    identity = "-" if user is None else f"{user[0]}:{user[1]}"
    # The launcher needs the standard library alone; -S saves reading the environment's .pth files.
    launcher = [sys.executable, "-I", "-S", str(LAUNCHER)]
    return [*launcher, str(os.getpid()), str(int(death_signal)), identity, *map(str, command)]


class Child(msgspec.Struct, kw_only=True):
    """One program: how it is started, where its output goes, which signals end it."""

    name: str
    command: Sequence[str | Path]
    log: Path
    environment: Mapping[str, str] = msgspec.field(default_factory=dict)
    directory: Path | None = None
    user: tuple[int, int] | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    kill_signal: signal.Signals = signal.SIGKILL
    process: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        """Whether it has been started and has not ended."""
        return self.process is not None and self.process.poll() is None

    @property
    def pid(self) -> int:
        """Its process id; of the launcher for the first moments, which then becomes the program."""
        if self.process is None:
            raise RuntimeError(f"{self.name} has not been started")
        return self.process.pid

    def start(self) -> None:
        """Start it; its standard output and error are appended to ``log``."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                tied(self.command, death_signal=self.kill_signal, user=self.user),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.directory,
                env={**os.environ, **self.environment},
                start_new_session=True,
            )

    def send(self, number: signal.Signals) -> None:
        """Send a signal, unless it is gone already."""
        if self.process is not None:
            self.process.send_signal(number)  # polls first: never hits a stranger with a reused pid

    def wait(self, seconds: float) -> bool:
        """Wait until it has ended; False when it has not in time."""
        if self.process is None:
            return True
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(seconds)
        return self.process.poll() is not None

    def stop(self, grace: float = GRACE) -> None:
        """Ask it to end, insist after ``grace`` seconds, and reap it."""
        for number in (self.stop_signal, self.kill_signal):
            self.send(number)
            if self.wait(grace):
                return
        self.send(signal.SIGKILL)
        self.wait(grace)

    def last_lines(self, count: int = 20) -> str:
        """The end of its log."""
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return "\n".join(lines[-count:])


class Supervisor:
    """The children in the order they were started."""

    def __init__(self) -> None:
        self.children: list[Child] = []

    def start(self, child: Child) -> Child:
        """Start ``child`` and answer for it from now on."""
        self.children.append(child)
        child.start()
        return child

    def adopt(self, child: Child) -> None:
        """Answer for a child that somebody else has started."""
        self.children.append(child)

    def kill(self) -> None:
        """End every child at once. Safe in a signal handler: ``stop`` then finds them gone."""
        for child in reversed(self.children):
            child.send(child.kill_signal)

    def stop(self) -> None:
        """End the children, the last one first: nobody loses what it depends on."""
        while self.children:
            self.children[-1].stop()
            self.children.pop()
