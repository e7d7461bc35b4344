"""The sidecar as its operator runs it: a process of its own, a file of configuration, HTTP, signals, a log."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from exporter.demo.processes import Child
from support.exposition import Metrics
from support.polling import until
from support.ports import free_port

HOST = "127.0.0.1"
COMMAND = (sys.executable, "-m", "exporter")
#: Generous: other tests may have the processor.
START_SECONDS = 60.0
_OURS = ("SCHEDULER_EXPORTER_", "PROMETHEUS_PORT", "LOG_LEVEL", "PG")
NAME = "main"
#: What stores and targets are given to answer, where a test is not about that.
PATIENT = "20s"


def clean_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment without what the sidecar would read from it, and ``extra``."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
    return {**kept, **(extra or {})}


def run_command(
    *arguments: str, environment: Mapping[str, str] | None = None, directory: Path | None = None, seconds: float = 60
) -> subprocess.CompletedProcess[str]:
    """Run ``scheduler-exporter`` with these arguments to its end."""
    return subprocess.run(
        [*COMMAND, *arguments],
        env=clean_environment(environment),
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )


@dataclass(frozen=True)
class Response:
    """An answer over HTTP; header names are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def request(
    port: int,
    path: str,
    *,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
    timeout: float = 30,
) -> Response:
    """One request on a connection of its own."""
    connection = http.client.HTTPConnection(HOST, port, timeout=timeout)
    try:
        connection.request(method, path, body=body, headers=dict(headers or {}))
        answer = connection.getresponse()
        return Response(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
    finally:
        connection.close()


class Sidecar:
    """``scheduler-exporter serve`` with its files in ``directory``; always on the same port.

    ``config`` is the configuration without what every sidecar here needs: the address, the state, the log. ``python``
    is the interpreter of the environment that it runs in.
    """

    def __init__(
        self,
        directory: Path,
        config: Mapping[str, Any],
        *arguments: str,
        environment: Mapping[str, str] | None = None,
        python: str = sys.executable,
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.port = free_port()
        self.file = directory / "config.yaml"
        self.arguments = arguments
        self.environment = dict(environment or {})
        self.python = python
        self.child: Child | None = None
        self.configure(config)

    def configure(self, config: Mapping[str, Any]) -> None:
        """Write the configuration file."""
        whole = {
            "state": {"path": str(self.directory / "state")},
            "logging": {"level": "debug", "format": "json"},
            # Tests ask as often as they like; test_access and test_budgets are about limits.
            "api": {"rate_limit": {"per_second": 0}},
            **config,
            "web": {"listen_address": [f"{HOST}:{self.port}"], **config.get("web", {})},
        }
        self.file.write_text(yaml.safe_dump(whole, sort_keys=False))

    def start(self, *, wait: bool = True) -> float:
        """Start the process; returns the seconds from its spawning to the first answer on /metrics."""
        self.child = Child(
            name="sidecar",
            command=[self.python, *COMMAND[1:], "serve", f"--config.file={self.file}", *self.arguments],
            log=self.directory / "log",
            # What is inherited cannot be unset here; an empty variable is none.
            environment={**{n: "" for n in ("PROMETHEUS_PORT", "LOG_LEVEL") if n in os.environ}, **self.environment},
        )
        began = time.monotonic()
        self.child.start()
        if wait:
            until(self._answers, START_SECONDS, "the sidecar answers", every=0.01)
        return time.monotonic() - began

    def _answers(self) -> bool:
        assert self.process.poll() is None or self._give_up()
        return self.get("/metrics").status == 200

    def _give_up(self) -> bool:
        raise RuntimeError(f"the sidecar ended with status {self.process.returncode}:\n{self.log[-4000:]}")

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The running process."""
        assert self.child is not None and self.child.process is not None, "not started"
        return self.child.process

    def stop(self, seconds: float = 30) -> int:
        """SIGTERM; returns the exit status. AssertionError when it is not gone in time."""
        return self.end(signal.SIGTERM, seconds)

    def kill(self) -> int:
        """kill -9."""
        return self.end(signal.SIGKILL)

    def end(self, number: signal.Signals, seconds: float = 30) -> int:
        """Send a signal and wait for the end; returns the exit status."""
        self.process.send_signal(number)
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still there {seconds:g} s after {number.name}:\n{self.log[-4000:]}") from None

    def restart(self) -> float:
        """Stop it if it runs, and start it again, with the same files and port."""
        if self.process.poll() is None:
            self.stop()
        return self.start()

    def cleanup(self) -> None:
        """End it, whatever state it is in."""
        if self.child is not None:
            self.child.stop(grace=5)

    def get(self, path: str = "/metrics", **options: Any) -> Response:
        """One request."""
        return request(self.port, path, **options)

    def reload(self) -> Response:
        """POST /-/reload; needs web.enable_lifecycle."""
        return self.get("/-/reload", method="POST")

    def metrics(self) -> Metrics:
        """One scrape."""
        answer = self.get("/metrics")
        assert answer.status == 200, answer.text
        return Metrics(answer.text)

    def settled(self, since: float, store: str = NAME) -> Metrics:
        """The page after a poll of executions that began after ``since`` (Unix seconds, the store's clock).

        A series that is new is published as 0 until it was scraped: so this scrapes twice. Over one connection, whose
        second request is taken when the sidecar has remembered what the first one showed.
        """
        until(lambda: self.read_upto(store) > since, 60, f"a poll of executions of {store} after {since}")
        text = ""
        with contextlib.closing(http.client.HTTPConnection(HOST, self.port, timeout=30)) as connection:
            for _ in range(2):
                connection.request("GET", "/metrics")
                text = connection.getresponse().read().decode()
        return Metrics(text)

    def read_upto(self, store: str = NAME) -> float:
        """Up to when (Unix seconds) the store's executions have been read and counted."""
        return self.metrics().value("scheduling_exporter_cursor_timestamp_seconds", store=store)

    @property
    def log(self) -> str:
        """Everything that it wrote to its standard output and error, in all its lives."""
        file = self.directory / "log"
        return file.read_text(errors="replace") if file.exists() else ""  # the end may be half a character

    def events(self, message: str | None = None) -> list[dict[str, Any]]:
        """The log's JSON lines, those with this message if one is given."""
        lines = []
        for line in self.log.splitlines():
            with contextlib.suppress(ValueError):
                lines.append(json.loads(line))
        return [line for line in lines if message in (None, line.get("message"))]


@contextlib.contextmanager
def ended(sidecar: Sidecar) -> Iterator[Sidecar]:
    """``sidecar`` for as long as the block lasts, then it has to end as it should."""
    try:
        yield sidecar
        assert sidecar.stop() == 0
    finally:
        sidecar.cleanup()


#: What the fixtures ``make_sidecar`` and ``start_sidecar`` are: called as :class:`Sidecar`, without the directory.
StartSidecar = Callable[..., Sidecar]


def store(dsn: str, **options: Any) -> dict[str, Any]:
    """A store's section, polled twice a second unless ``options`` say otherwise, however slow the machine is."""
    # A machine that stands still for seconds is no store that does not answer.
    patient = {} if "staleness" in options else {"timeout": PATIENT}
    return {"name": NAME, "dsn": dsn, "interval": "500ms", "max_db_load": 1, **patient, **options}


def one_store(dsn: str, **options: Any) -> dict[str, Any]:
    """A configuration with one store."""
    return {"stores": [store(dsn, **options)]}


def target(name: str, port: int, **options: Any) -> dict[str, Any]:
    """A target's section, on this machine."""
    return {"name": name, "host": HOST, "port": port, "sslmode": "disable", **options}


def arguments_of(pid: int) -> Sequence[str]:
    """A process's command line as ``ps`` shows it."""
    return Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
