"""A real Alertmanager, a Prometheus with one rule that fires, and an HTTP server that answers as a test says."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from exporter.config.secrets import Secret
from exporter.demo.processes import Child
from support.polling import until
from support.ports import free_port
from support.prometheus_server import Prometheus
from support.sidecar import HOST, request

ROUTE = """\
route: {receiver: sidecar, group_by: [alertname], group_wait: 0s, group_interval: 1s, repeat_interval: 1h}
receivers:
  - name: sidecar
    webhook_configs: [%s]
inhibit_rules:
  - {source_matchers: [severity="critical"], target_matchers: [severity="warning"], equal: [job]}
"""
RULES = """\
groups:
  - name: one
    interval: 1s
    rules:
      - {alert: AlwaysFiring, expr: vector(1), labels: {severity: warning}, annotations: {summary: "{{ $value }}"}}
      - {alert: Pending, expr: vector(1), for: 1h}
"""


async def revealed(secret: Secret) -> str:
    """The text of a secret that the configuration spells out."""
    return secret.reveal()


def iso(at: float) -> str:
    """RFC 3339, UTC."""
    return datetime.fromtimestamp(at, UTC).isoformat()


class AlertmanagerServer:
    """Alertmanager of its own; ``webhook`` is one entry of its ``webhook_configs`` in YAML's flow style."""

    def __init__(self, directory: Path, webhook: str) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.url = f"http://{HOST}:{self.port}"
        config = directory / "alertmanager.yml"
        config.write_text(ROUTE % webhook)
        self._child = Child(
            name="alertmanager",
            command=[
                "prometheus-alertmanager",
                f"--config.file={config}",
                f"--storage.path={directory / 'data'}",
                f"--web.listen-address={HOST}:{self.port}",
                "--cluster.listen-address=",
            ],
            log=directory / "alertmanager.log",
        )

    def start(self) -> None:
        """Start it, and return once it answers."""
        self._child.start()
        until(lambda: request(self.port, "/-/ready").status == 200, 90, "Alertmanager is ready")

    def stop(self) -> None:
        """End it."""
        self._child.stop()

    async def fire(self, name: str, *, since: float | None = None, until_: float | None = None, **labels: str) -> None:
        """Tell it of an alert, as Prometheus would; one with an end in the past is over."""
        now = time.time()
        alert = {
            "labels": {"alertname": name, **labels},
            "annotations": {"summary": f"{name} fired"},
            "startsAt": iso(now - 60 if since is None else since),
            **({} if until_ is None else {"endsAt": iso(until_)}),
        }
        async with aiohttp.ClientSession(self.url) as client, client.post("/api/v2/alerts", json=[alert]) as answer:
            assert answer.status == 200, await answer.text()

    async def silences(self) -> list[dict[str, Any]]:
        """The silences that it has."""
        async with aiohttp.ClientSession(self.url) as client, client.get("/api/v2/silences") as answer:
            return list(await answer.json())


class RuledPrometheus(Prometheus):
    """Prometheus with a rule that fires at once, and one that is pending; what it scrapes is not there."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        rules = directory / "rules.yml"
        rules.write_text(RULES)
        super().__init__(directory, free_port(), [rules])

    def start(self) -> None:
        """Start it, and return once its rules were evaluated."""
        super().start()
        until(self._fires, 90, "Prometheus' rule fires")

    def _fires(self) -> bool:
        return {alert["state"] for alert in self.api("alerts")["alerts"]} == {"firing", "pending"}


@contextlib.contextmanager
def running(server: AlertmanagerServer | RuledPrometheus) -> Iterator[None]:
    """``server`` for as long as the block lasts."""
    try:
        server.start()
        yield
    finally:
        server.stop()


@dataclass
class Received:
    """One request that arrived; header names are in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """An HTTP server that remembers what it is asked and answers as ``answer`` says."""

    url: str
    answer: Callable[[Received], web.StreamResponse]
    requests: list[Received] = field(default_factory=list)
    delay: float = 0.0
    arrived: asyncio.Event = field(default_factory=asyncio.Event)


@contextlib.asynccontextmanager
async def receiver(answer: Callable[[Received], web.StreamResponse], **options: Any) -> AsyncIterator[Receiver]:
    """A :class:`Receiver` on a free port; ``options`` as of aiohttp's TCPSite."""
    port = free_port()
    scheme = "https" if options.get("ssl_context") else "http"
    found = Receiver(f"{scheme}://localhost:{port}", answer)

    async def handle(asked: web.Request) -> web.StreamResponse:
        received = Received(
            asked.method,
            asked.raw_path,
            {name.lower(): value for name, value in asked.headers.items()},
            await asked.read(),
        )
        found.requests.append(received)
        found.arrived.set()
        await asyncio.sleep(found.delay)
        return found.answer(received)

    runner = web.ServerRunner(web.Server(handle), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "localhost", port, **options).start()
    try:
        yield found
    finally:
        await runner.cleanup()
