"""A real server on a free port round a context whose renderer, clock and checks belong to the test."""

from __future__ import annotations

import asyncio
import gzip as gziplib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp import web

from exporter.alertmanager import AlertSource
from exporter.api import FAMILIES
from exporter.config.model import Config, Web
from exporter.config.secrets import Secret
from exporter.connections import CheckResult, ConnectionState
from exporter.domain import Alert, AuditEntry, ErrorGroup, RecentExecution, Statistics
from exporter.errors import StateUnavailable
from exporter.httpd.context import Check, Context, Page, ReloadResult
from exporter.httpd.endpoint import Call, Declare, Endpoint, Family, Nothing
from exporter.httpd.limits import Timeouts
from exporter.httpd.roles import Role
from exporter.httpd.server import Server
from exporter.httpd.sessions import Sessions
from exporter.ledger.jobs import JobState
from exporter.pages.families import PAGES
from exporter.pages.reference import reference
from exporter.pages.status import StatusPage
from exporter.snapshot import Hub
from exporter.stores.reads import Reads


@dataclass(frozen=True)
class FakePage:
    body: bytes


@dataclass
class FakeRenderer:
    """Renders ``text`` and remembers what was asked and what was served."""

    text: bytes = b"# HELP up x\n# TYPE up gauge\nup 1\n"
    asked: list[dict[str, Any]] = field(default_factory=list)
    done: list[Page] = field(default_factory=list)

    def render(self, *, openmetrics: bool, gzip: bool, names: frozenset[str] | None) -> FakePage:
        self.asked.append({"openmetrics": openmetrics, "gzip": gzip, "names": names})
        body = self.text + (b"# EOF\n" if openmetrics else b"")
        return FakePage(gziplib.compress(body, 1) if gzip else body)

    async def served(self, page: Page) -> None:
        self.done.append(page)


@dataclass
class Observed:
    """The instruments: a list of what was observed."""

    requests: list[dict[str, Any]] = field(default_factory=list)
    _more: asyncio.Event = field(default_factory=asyncio.Event)

    def observe(self, **labels: Any) -> None:
        self.requests.append(labels)
        self._more.set()

    async def wait(self, count: int) -> list[dict[str, Any]]:
        """The observations, once there are ``count``: an answer arrives before it is counted."""
        async with asyncio.timeout(30):
            while len(self.requests) < count:
                self._more.clear()
                await self._more.wait()
        return self.requests


@dataclass
class FakeHistory:
    """Statistics by (store, seconds), which a test puts here. The state file may not be usable, or hang."""

    by_task_type: dict[tuple[str, float], Statistics] = field(default_factory=dict)
    by_worker: dict[tuple[str, float], Statistics] = field(default_factory=dict)
    groups: list[ErrorGroup] = field(default_factory=list)
    executions: list[RecentExecution] = field(default_factory=list)
    jobs: dict[str, JobState] = field(default_factory=dict)
    usable: bool = True
    hangs: bool = False

    async def statistics(self, store: str, seconds: float) -> Statistics | None:
        if self.hangs:
            await asyncio.sleep(60)
        if not self.usable:
            raise StateUnavailable("/var/lib/state.db: disk I/O error")
        return self.by_task_type.get((store, seconds))

    async def workers(self, store: str, seconds: float) -> Statistics | None:
        return self.by_worker.get((store, seconds))

    async def errors(self, store: str, seconds: float) -> list[ErrorGroup]:
        return self.groups

    async def recent(
        self, store: str, *, limit: int, offset: int = 0, status: str | None = None, task_type: str | None = None
    ) -> list[RecentExecution]:
        found = [e for e in self.executions if status in (None, e.status) and task_type in (None, e.task_type)]
        return found[offset : offset + limit]

    async def job(self, store: str, job_id: str) -> JobState | None:
        return self.jobs.get(job_id)


@dataclass
class FakeConnections:
    """Targets, and what their next check finds."""

    states: dict[str, ConnectionState] = field(default_factory=dict)
    found: dict[str, CheckResult] = field(default_factory=dict)
    checks: int = 0

    async def check_now(self, name: str) -> CheckResult:
        self.checks += 1
        result = self.found[name]
        self.states[name] = self.states[name].after(result)
        return result


class FakeAlertHistory:
    """No alert was ever told."""

    async def read(self, *, limit: int, offset: int = 0) -> tuple[list[Alert], int]:
        return [], 0


@dataclass
class FakeAudit:
    """The audit trail: a list of its entries."""

    entries: list[AuditEntry] = field(default_factory=list)

    def record(self, entry: AuditEntry) -> None:
        self.entries.append(entry)

    async def kept(self, entry: AuditEntry) -> None:
        self.entries.append(entry)


@dataclass
class World:
    """What a test changes behind the context."""

    web: Web = field(default_factory=lambda: Web(listen_address=("127.0.0.1:0",)))
    renderer: FakeRenderer = field(default_factory=FakeRenderer)
    observed: Observed = field(default_factory=Observed)
    ready: list[Check] = field(default_factory=list)
    live: list[Check] = field(default_factory=list)
    outcome: ReloadResult = field(default_factory=lambda: ReloadResult(ok=True))
    reloads: int = 0
    hub: Hub = field(default_factory=Hub)
    history: FakeHistory = field(default_factory=FakeHistory)
    audit: FakeAudit = field(default_factory=FakeAudit)
    connections: FakeConnections = field(default_factory=FakeConnections)
    reads: dict[str, Reads] = field(default_factory=dict)
    #: What the application would make: these need a state file and stores of their own.
    actions: Any = None
    remediation: Any = None
    config: Config | None = None
    clock: Callable[[], float] = time.monotonic

    def __post_init__(self) -> None:
        # Both are looked up when they are asked: a test changes them.
        self.sessions = Sessions(self._config_now, self.secret, self._clock_now)

    def _config_now(self) -> Config:
        return self.config or Config(web=self.web)

    def _clock_now(self) -> float:
        return self.clock()

    async def secret(self, secret: Secret) -> str:
        return secret.reveal()

    async def reload(self) -> ReloadResult:
        self.reloads += 1
        return self.outcome

    @property
    def context(self) -> Context:
        return Context(
            hub=self.hub,
            history=self.history,
            audit=self.audit,
            config=self._config_now,
            secret=self.secret,
            redacted_config=lambda: "web:\n  telemetry_path: /metrics\n",
            render=self.renderer,
            reload=self.reload,
            instruments=self.observed,
            liveness=lambda: self.live,
            readiness=lambda: self.ready,
            started_at=time.time() - 3600,
            version="1.2.3",
            landing=StatusPage(),
            sessions=self.sessions,
            reads=self.reads.get,
            connections=self.connections,
            alerts=AlertSource(lambda: (self.config or Config()).alerting, self.secret),
            actions=self.actions,
            alert_history=FakeAlertHistory(),  # type: ignore[arg-type]
            remediation=self.remediation,
            probe=lambda target: f"# {target}\n".encode(),
            reference=reference,
        )


#: A slow machine is no slow client. A test of one of these has it shorter, and the others like this.
PATIENT = Timeouts(headers=60, body=60, write=60, keepalive=2.0, handshake=60, shutdown=0.5)


OTHER = Family(name="tests", description="Paths of a test")


def extra(path: str, handler: Any, method: Any = "GET", **options: Any) -> Declare:
    """A family of one path, whose handler takes the request; open to anyone unless ``options`` say otherwise."""

    async def handle(call: Call[Any, Any]) -> web.StreamResponse:
        answer: web.StreamResponse = await handler(call.request)
        return answer

    given = {"family": OTHER, "role": Role.ANYONE, "summary": "", "answers": {}, "params": Nothing, **options}
    endpoint = Endpoint(path=path, handler=handle, method=method, **given)
    return lambda _: [endpoint]


@asynccontextmanager
async def serving(
    world: World, *, families: Iterable[Declare] = (), timeouts: Timeouts = PATIENT, tls: Any = True
) -> AsyncIterator[tuple[Server, aiohttp.ClientSession]]:
    """The server and a client whose paths start at it; ``tls`` is the client's context."""
    async with Server(world.context, (*FAMILIES, *PAGES, *families), timeouts=timeouts) as server:
        connector = aiohttp.TCPConnector(ssl=tls, force_close=tls is not True)
        async with aiohttp.ClientSession(server.urls[0], connector=connector, auto_decompress=False) as client:
            yield server, client


async def eventually(check: Callable[[], Awaitable[bool]], seconds: float = 30.0) -> None:
    """Wait until ``check`` holds."""
    async with asyncio.timeout(seconds):
        while not await check():  # noqa: ASYNC110 - files and handshakes have no event
            await asyncio.sleep(0.05)


async def raw(server: Server, data: bytes, *, seconds: float = 30.0) -> bytes:
    """Everything that the server answers to ``data`` until it hangs up: before those of ``PATIENT`` would."""
    host, _, port = server.addresses[0].rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(data)
        async with asyncio.timeout(seconds):
            return await reader.read()
    finally:
        writer.close()
