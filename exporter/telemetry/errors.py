"""Warnings and errors of the log on their way to Sentry: taken at once, sent in the background, lost without harm."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections import deque
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec
import structlog

from exporter import __version__
from exporter.config.model import Config
from exporter.config.secrets import Secret
from exporter.config.telemetry import ErrorClass
from exporter.config.telemetry_checks import SENTRY, installed, remedy
from exporter.errors import ConfigError, ExporterError
from exporter.logs import ErrorEvent, on_error, scrubber
from exporter.logs.pipeline import SERVICE
from exporter.outbound import Reveal
from exporter.telemetry.events import fatal_event, sentry_event
from exporter.telemetry.outage import Outage
from exporter.threads import in_thread

if TYPE_CHECKING:
    from exporter.telemetry.sentry import Client

_COMPONENT: Final = "sentry"
log = structlog.get_logger(component=_COMPONENT)

#: Events that wait; the oldest give way.
WAITING: Final = 100
#: Events in a minute at most: what is beyond is counted, and the next one tells how many.
A_MINUTE: Final = 60
#: Seconds after which a DSN is asked for again that could not be had.
PAUSE: Final = 30.0
#: Seconds at the end for what has not been sent.
LAST: Final = 1.4


class Project(msgspec.Struct, frozen=True, kw_only=True):
    """What Sentry is told of us, and where it is; ``level`` is the lowest class that is sent."""

    dsn: Secret
    origin: str
    environment: str
    release: str
    level: ErrorClass
    ca_file: str | None


def project(config: Config, environ: Mapping[str, str]) -> Project | None:
    """The project that is configured, None if none is."""
    section = config.sentry
    text = environ.get("SENTRY_DSN", "").strip()
    dsn = section.dsn or (Secret(text) if text else None)
    if dsn is None:
        return None
    return Project(
        dsn=dsn,
        origin="sentry.dsn" if section.dsn is not None else "SENTRY_DSN",
        environment=section.environment or environ.get("SENTRY_ENVIRONMENT") or config.setting,
        release=section.release or environ.get("SENTRY_RELEASE") or f"{SERVICE}@{__version__}",
        level=section.level,
        ca_file=section.ca_file,
    )


@contextlib.asynccontextmanager
async def reporting(config: Config, reveal: Reveal, environ: Mapping[str, str] = os.environ) -> AsyncIterator[None]:
    """Send what is logged within as a warning or worse, where ``config`` or ``environ`` has a DSN; ConfigError if bad.

    What ends the process in the middle is sent too. ``reveal`` gives the text of a secret.
    """
    told = project(config, environ)
    if told is None:
        yield
        return
    if not installed(SENTRY):
        # ``sentry.dsn`` has been refused by then: a variable may be meant for others in the same pod.
        log.warning("errors are not reported: Sentry's client is not installed", variable=told.origin,
                    remedy=remedy("sentry"))  # fmt: skip
        yield
        return
    if told.dsn.template is None:
        scrubber.add(told.dsn.reveal())
    async with Reporter(told, reveal):
        log.info("errors are reported", origin=told.origin, environment=told.environment, release=told.release)
        yield


class Reporter:
    """Takes events from any thread; a task of its own sends them. An async context manager."""

    def __init__(self, told: Project, reveal: Reveal) -> None:
        self._told = told
        self._reveal = reveal
        self._waiting: deque[dict[str, Any] | ErrorEvent] = deque(maxlen=WAITING)
        self._more = asyncio.Event()
        self._budget = _Budget()
        self._outage = Outage(log, "errors cannot be reported to Sentry", "errors are reported to Sentry again")
        self._client: Client | None = None
        self._loop: asyncio.AbstractEventLoop
        self._task: asyncio.Task[None]

    async def __aenter__(self) -> Reporter:
        if self._told.dsn.template is None:
            await self._ready()  # one that is none is refused at the start
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.create_task(self._run(), name="sentry")
        self._end = on_error(self.take, least=self._told.level)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        """Send what is left, for a moment; first of all what ended the process."""
        self._end()
        if isinstance(error, Exception) and not _explained(error):
            self._waiting.append(fatal_event(error))
        self._task.cancel()
        await asyncio.wait([self._task])
        with contextlib.suppress(TimeoutError, ExporterError):
            async with asyncio.timeout(LAST):
                await self._send()
                client = self._client
                if client is not None:
                    await in_thread(lambda: client.close(LAST), "sentry-end")

    def take(self, event: ErrorEvent) -> None:
        """Have ``event`` sent, in a while. Never waits."""
        if event.fields.get("component") == _COMPONENT:
            return  # of Sentry's own troubles the log tells
        if not self._budget.admits():
            return
        self._waiting.append(event)
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._more.set)

    async def _run(self) -> None:
        while True:
            await self._more.wait()
            self._more.clear()
            try:
                await self._send()
            except ExporterError as error:
                self._outage.failed(str(error), 0)
                await asyncio.sleep(PAUSE)
                self._more.set()

    async def _send(self) -> None:
        """Hand what waits to Sentry's client. ExporterError while its DSN cannot be had."""
        if self._waiting:
            client = await self._ready()
            await in_thread(lambda: self._hand_over(client), "sentry-events")

    def _hand_over(self, client: Client) -> None:
        while True:
            try:
                event = self._waiting.popleft()
            except IndexError:
                return
            made = sentry_event(event) if isinstance(event, ErrorEvent) else event
            if left_out := self._budget.left_out():
                made.setdefault("extra", {})["leftOutBefore"] = left_out
            client.capture(made)

    async def _ready(self) -> Client:
        """The client for the DSN of now. ConfigError for one that is none."""
        dsn = await self._reveal(self._told.dsn)
        if self._client is None or self._client.dsn != dsn:
            # It takes a moment to load, and only those who have Sentry shall pay for it.
            from exporter.telemetry.sentry import Client  # noqa: PLC0415

            scrubber.add(dsn)
            told = self._told
            before, self._client = self._client, None
            if before is not None:
                before.close(0)
            self._client = Client(dsn, environment=told.environment, release=told.release, ca_file=told.ca_file,
                                  origin=told.origin, outage=self._outage)  # fmt: skip
        return self._client


class _Budget:
    """So many events a minute. What is beyond is counted; not to the one when several threads are at it."""

    def __init__(self) -> None:
        self._since = time.monotonic()
        self._taken = 0
        self._left_out = 0

    def admits(self) -> bool:
        now = time.monotonic()
        if now - self._since >= 60:
            self._since, self._taken = now, 0
        self._taken += 1
        if self._taken <= A_MINUTE:
            return True
        self._left_out += 1
        return False

    def left_out(self) -> int:
        """How many were left out since this was asked last."""
        found, self._left_out = self._left_out, 0
        return found


def _explained(error: BaseException) -> bool:
    """Whether this is the operator's to mend, and no fault of ours."""
    if isinstance(error, BaseExceptionGroup):
        return all(_explained(each) for each in error.exceptions)
    return isinstance(error, ConfigError)
