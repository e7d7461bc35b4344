"""One target's task: when it is checked, which slot it takes, what is remembered of it.

Belongs here: the rhythm, single flight, the boundary that keeps one target's trouble its own. Does not: what
the targets share (``manager``).
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import random
import time
from collections.abc import Callable
from pathlib import PurePath
from typing import Final

import msgspec
import structlog
from structlog.contextvars import bind_contextvars

from exporter import tracing
from exporter.connections.check import Checker
from exporter.connections.facts import hidden
from exporter.connections.results import CheckResult, ConnectionState
from exporter.connections.target import CheckTarget
from exporter.errors import ExporterError

log = structlog.get_logger(component="connections")

#: Takes a target's new state, the check that made it, and the text of a fault of ours (None: the check
#: worked).
Publish = Callable[[ConnectionState, CheckResult, str | None], None]
#: Takes the seconds by which a scheduled check began late.
Late = Callable[[float], None]
#: Seconds over which checks are spread that something made worth while.
HURRY_WITHIN: Final = 1.0


class TargetGoneError(ExporterError):
    """The target left the configuration, or changed, while it was being checked."""


class Slots:
    """How many checks run at once: of ``limit`` a fifth are for targets that failed last time, the rest for the others.

    A target that swallows packets holds its slot until the deadline; so it waits for its like, never in the
    way of a healthy one. Each has one slot at least. Checks on demand have a fifth beside, because somebody is waiting
    for them.
    """

    def __init__(self, limit: int) -> None:
        failing = max(1, limit // 5)
        self.healthy = asyncio.Semaphore(max(1, limit - failing))
        self.failing = asyncio.Semaphore(failing)
        self.on_demand = asyncio.Semaphore(max(1, limit // 5))


class Schedule(msgspec.Struct, frozen=True):
    """When to check (loop's clock): at ``first``, then at ``phase`` plus whole ``interval``s (seconds)."""

    first: float
    phase: float
    interval: float

    def after(self, due: float, now: float) -> float:
        """The time after the one that was ``due``: on the grid, in the future, half an interval on or more.

        However long a check takes, the grid stays; a time that has passed meanwhile is left out, not made up
        for.
        """
        earliest = max(now, due + self.interval / 2)
        return self.phase + math.ceil((earliest - self.phase) / self.interval) * self.interval


def initial_state(target: CheckTarget, before: ConnectionState | None, *, same: bool) -> ConnectionState:
    """What is known of a target at its start: its counters, and the rest if it is the ``same`` as before."""
    if before is not None and same:
        return before
    return ConnectionState(
        id=target.id,
        name=target.name,
        host=target.host,
        port=target.port,
        database=target.database,
        checks=before.checks if before else 0,
        failures=before.failures if before else {},
        deadlocks=before.deadlocks if before else None,
    )


class TargetRunner:
    """Checks one target in its rhythm and on demand, at most one check at a time, and keeps its ``state``."""

    def __init__(
        self,
        checker: Checker,
        state: ConnectionState,
        *,
        timeout: float,
        slots: Callable[[], Slots],
        publish: Publish,
        late: Late,
    ) -> None:
        self.state = state
        self._checker = checker
        self._timeout = timeout
        self._slots = slots
        self._publish = publish
        self._late = late
        self._hidden: tuple[str, ...] = ()
        self._hurried = asyncio.Event()
        self._group: asyncio.TaskGroup | None = None
        self._loop_task: asyncio.Task[None] | None = None
        self._check_task: asyncio.Task[CheckResult] | None = None
        self._going_on: asyncio.Future[CheckResult] | None = None

    def start(self, group: asyncio.TaskGroup, schedule: Schedule) -> None:
        """Begin to check as ``schedule`` says, in a task of ``group``."""
        self._group = group
        self._loop_task = group.create_task(self._run(schedule), name=f"connection:{self.state.name}")

    def cancel(self) -> None:
        """End all tasks of this target, without waiting for them."""
        self._group = None
        for task in self._tasks():
            task.cancel()

    def finish(self) -> None:
        """Close the connection that was kept, once all tasks have ended."""
        self._checker.finish()

    def hurry(self) -> None:
        """Check within moments instead of when it is due; not all targets in one of them."""
        asyncio.get_running_loop().call_later(random.uniform(0, HURRY_WITHIN), self._hurried.set)  # noqa: S311

    async def stop(self) -> None:
        """End all tasks of this target; nothing is published afterwards, and no connection is left."""
        self.cancel()
        if tasks := self._tasks():
            await asyncio.wait(tasks)
        await self._checker.close()

    async def check_now(self) -> CheckResult:
        """The result of the check that is going on, or else of a new one, login included. Raises TargetGoneError."""
        if self._going_on is not None or (self._check_task is not None and not self._check_task.done()):
            return await self._join()
        async with self._slots().on_demand:
            return await self._join(force=True)

    def _tasks(self) -> list[asyncio.Task[None] | asyncio.Task[CheckResult]]:
        return [task for task in (self._loop_task, self._check_task) if task is not None and not task.done()]

    async def _run(self, schedule: Schedule) -> None:
        tracing.detach()
        bind_contextvars(operation="check")
        loop = asyncio.get_running_loop()
        due = schedule.first
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(due):
                    await self._hurried.wait()
                    due = loop.time()
            self._hurried.clear()
            slots = self._slots()
            answered = self.state.result is None or self.state.result.is_healthy
            async with slots.healthy if answered else slots.failing:
                self._late(loop.time() - due)
                await self._scheduled()
            due = schedule.after(due, loop.time())

    async def _scheduled(self) -> None:
        """A check within this task, so that it costs no other; those who ask meanwhile wait for its result."""
        if self._check_task is not None and not self._check_task.done():
            await self._join()
            return
        self._going_on = asyncio.get_running_loop().create_future()
        try:
            self._going_on.set_result(await self._check(force=False))
        finally:
            self._going_on.cancel()  # no effect once there is a result
            self._going_on = None

    async def _join(self, *, force: bool = False) -> CheckResult:
        """One check for all who ask at the same time. It goes on when one of them gives up."""
        if self._group is None:
            raise TargetGoneError(f"{self.state.name} is not checked any more")
        if self._going_on is not None:
            return await self._result_of(self._going_on)
        task = self._check_task
        if task is None or task.done():
            task = self._group.create_task(self._check(force), name=f"connection-check:{self.state.name}")
            self._check_task = task
        return await self._result_of(task)

    async def _result_of(self, check: asyncio.Future[CheckResult]) -> CheckResult:
        await asyncio.wait({check})
        if check.cancelled():
            raise TargetGoneError(f"{self.state.name} is not checked any more")
        return check.result()

    async def _check(self, force: bool) -> CheckResult:
        """Check once and publish, in a span of its own."""
        with tracing.span("check connection", "check", "client", attributes=self._about()) as span:
            result = await self._checked(force)
            span.set("check.result", result.result)
            if not result.is_healthy:
                span.set("check.failed_stage", result.failed_stage)
                span.failed(result.result, result.error_message or "")
        return result

    def _about(self) -> dict[str, tracing.Value]:
        """What a trace tells of the target."""
        state = self.state
        return {
            "connection.name": state.name,
            "db.system.name": "postgresql",
            "db.namespace": state.database,
            "server.address": state.host,
            "server.port": state.port,
        }

    async def _checked(self, force: bool) -> CheckResult:
        """What came of a check. A fault of ours is this target's result "other", no one else's trouble."""
        error: str | None = None
        started = time.perf_counter()
        try:
            result = await self._checker.check(self._timeout, force=force)
        except Exception as fault:  # the error boundary
            error = f"internal error: {_describe(fault)}"
            result = CheckResult(
                result="other",
                finished_at=time.time(),
                response_seconds=time.perf_counter() - started,
                stages={},
                error_message=error,
            )
        self._log_change(self.state.result, result)
        self._log_hidden(result)
        self.state = self.state.after(result)
        self._publish(self.state, result, error)
        return result

    def _log_change(self, before: CheckResult | None, now: CheckResult) -> None:
        """Tell what changed; a target that stays as it is says nothing, however often it is checked."""
        if before and (before.result, before.failed_stage) == (now.result, now.failed_stage):
            return
        name = self.state.name
        if not now.is_healthy:
            log.warning(
                "target is down", target=name, result=now.result, stage=now.failed_stage, error=now.error_message
            )
        elif before is None:
            log.debug("target is up", target=name)
        else:
            log.info("target is up again", category="errors", target=name, was=before.result)

    def _log_hidden(self, result: CheckResult) -> None:
        """Tell once what the role may not see of the server, and when it may."""
        if result.facts is None:
            return
        before, self._hidden = self._hidden, hidden(result.facts)
        if self._hidden == before:
            return
        if self._hidden:
            log.warning("target does not show everything", target=self.state.name, facts=list(self._hidden),
                        remedy="GRANT pg_monitor to the role that checks it")  # fmt: skip
        else:
            log.info("target shows everything", target=self.state.name)


def _describe(fault: Exception) -> str:
    """The kind and the place of a fault. Not its text, which may quote what it choked on."""
    trace = fault.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = f" in {PurePath(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}" if trace else ""
    return type(fault).__name__ + place
