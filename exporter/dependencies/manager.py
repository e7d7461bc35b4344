"""Every dependency on a task of its own: none delays another. Reload adds and removes them.

Belongs here: who runs, what becomes of a check's end. Does not: how a dependency is spoken to (one module each).
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Mapping, Sequence
from typing import Final, Protocol

import structlog
from msgspec.structs import replace

from exporter.config.model import (
    AnyDependency,
    HttpDependency,
    KafkaDependency,
    PostgresDependency,
    RedisDependency,
    SmtpDependency,
    TcpDependency,
)
from exporter.connections.resolve import Resolver
from exporter.dependencies.http import HttpCheck
from exporter.dependencies.kafka import KafkaCheck
from exporter.dependencies.link import Dialer, failure_of
from exporter.dependencies.postgres import PostgresCheck
from exporter.dependencies.redis import RedisCheck
from exporter.dependencies.results import COLLECTOR, CheckFailed, Count, DependencyState
from exporter.dependencies.smtp import SmtpCheck
from exporter.dependencies.tcp import TcpCheck
from exporter.poller import Collected, Collector, Poller
from exporter.snapshot import Part
from exporter.vault.references import Secrets

log = structlog.get_logger(component="dependencies")

#: Seconds over which first checks are spread.
_FIRST_WITHIN: Final = 1.0
#: Seconds beyond its own deadline after which a check is given up from outside.
_GRACE: Final = 2.0


class Check(Protocol):
    """How a dependency is checked: one of this package's modules."""

    async def check(self) -> Mapping[Count, int]:
        """What has been counted so far. Raises what ``failure_of`` knows."""

    async def close(self) -> None:
        """It is checked no more."""


class Dependencies:
    """Checks what is configured for as long as ``run`` runs; the poller publishes each result."""

    def __init__(self, poller: Poller, secrets: Secrets, resolver: Resolver | None = None) -> None:
        self._poller = poller
        self._hub = poller.hub
        self._secrets = secrets
        self._resolver = resolver or Resolver()
        self._wanted: dict[str, AnyDependency] = {}
        self._running: dict[str, tuple[AnyDependency, asyncio.Task[None]]] = {}
        self._group: asyncio.TaskGroup | None = None

    @property
    def states(self) -> dict[str, DependencyState]:
        """What is known of each, in the order of the configuration."""
        parts = (self._hub.current.part(COLLECTOR, name) for name in self._wanted)
        return {part.source: part.value for part in parts if part is not None}

    async def configure(self, dependencies: Sequence[AnyDependency]) -> None:
        """Check these from now on. One that has not changed goes on, its counters too."""
        before, self._wanted = self._wanted, {config.name: config for config in dependencies}
        for name, config in before.items():
            if self._wanted.get(name) != config:
                await self._stop(name)
                self._hub.withdraw(name, COLLECTOR)
        for name, config in self._wanted.items():
            if before.get(name) != config:
                self._hub.publish(_unknown(config))
        self._start()

    async def run(self) -> None:
        """Check until cancelled."""
        try:
            async with asyncio.TaskGroup() as self._group:
                self._start()
                await asyncio.Event().wait()
        finally:
            self._group = None

    def _start(self) -> None:
        if self._group is None:
            return
        for name, config in self._wanted.items():
            if name not in self._running:
                task = self._group.create_task(self._watch(config), name=f"dependency {name}")
                self._running[name] = config, task

    async def _stop(self, name: str) -> None:
        if name in self._running:
            _, task = self._running.pop(name)
            task.cancel()
            await asyncio.wait([task])

    async def _watch(self, config: AnyDependency) -> None:
        check = _check_of(config, self._secrets, self._resolver)
        watched = Watched(config, check)
        collector = Collector(
            name=COLLECTOR,
            source=config.name,
            collect=watched.collect,
            interval=config.interval,
            deadline=config.timeout + _GRACE,
            staleness=config.staleness,
        )
        try:
            await asyncio.sleep(random.uniform(0, min(_FIRST_WITHIN, config.interval)))  # noqa: S311 - no secret
            await self._poller.run(collector)
        finally:
            with contextlib.suppress(Exception):  # whatever is left of a connection goes with the process
                await check.close()


class Watched:
    """One dependency: its last state, and what the log has been told of it."""

    def __init__(self, config: AnyDependency, check: Check) -> None:
        self._timeout = config.timeout
        self._check = check
        self._state = _state(config)

    async def collect(self) -> Collected:
        """Check once, within the timeout. A check that fails is one that was carried out."""
        started = time.monotonic()
        failure: CheckFailed | None = None
        counts = self._state.counts
        try:
            async with asyncio.timeout(self._timeout):
                counts = await self._check.check()
        except Exception as error:
            failure = failure_of(error, self._timeout)
            if failure is None:
                raise  # the poller's boundary tells it
        state = self._state.after(failure, response=time.monotonic() - started, at=time.time())
        self._say(state)
        self._state = replace(state, counts=counts)
        return Collected(value=self._state)

    def _say(self, state: DependencyState) -> None:
        """Log what begins, changes or ends; not each repetition."""
        if state.result == self._state.result:
            return
        if not state.is_healthy:
            log.warning("dependency is down", dependency=state.name, kind=state.kind, result=state.result,
                        error=state.message)  # fmt: skip
        elif self._state.result is not None:
            log.info("dependency is up again", category="errors", dependency=state.name, kind=state.kind)


def _state(config: AnyDependency) -> DependencyState:
    return DependencyState(name=config.name, kind=config.kind, required=config.required)


def _unknown(config: AnyDependency) -> Part:
    """What is known before the first check."""
    return Part(
        collector=COLLECTOR,
        source=config.name,
        value=_state(config),
        success=True,
        collected_at=None,
        collected_mono=None,
        duration=0.0,
        interval=config.interval,
        staleness=config.staleness,
    )


def _check_of(config: AnyDependency, secrets: Secrets, resolver: Resolver) -> Check:
    dialer = Dialer(resolver, config.timeout)
    match config:
        case PostgresDependency():
            return PostgresCheck(config, secrets, resolver)
        case RedisDependency():
            return RedisCheck(config, secrets, dialer)
        case KafkaDependency():
            return KafkaCheck(config, secrets, dialer)
        case HttpDependency():
            return HttpCheck(config, secrets, resolver)
        case SmtpDependency():
            return SmtpCheck(config, dialer)
        case TcpDependency():
            return TcpCheck(config, dialer)
