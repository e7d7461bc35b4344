"""Gives each question its own clock, its deadline and the one error boundary.

Belongs here: when a collector runs and what becomes of its failure. Does not: what it asks (``stores``).
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec
import structlog
from msgspec.structs import replace
from structlog.contextvars import bind_contextvars

from exporter import tracing
from exporter.errors import ExporterError, StoreTooSlow
from exporter.snapshot import Hub, Part

log = structlog.get_logger(component="poller")

#: Part of the interval by which each poll is moved at random, so that many sidecars do not beat together.
JITTER = 0.05


class Collected(msgspec.Struct, frozen=True, kw_only=True):
    """A successful collection: its value, the database time it took (s), and when the next one is due.

    ``more`` says that more is waiting right now, ``wait`` in how many seconds if not after the interval. ``also`` are
    values of the collector's other parts, by name.
    """

    value: Any
    load_seconds: float = 0.0
    more: bool = False
    wait: float | None = None
    also: Mapping[str, Any] = msgspec.field(default_factory=dict)


class Collector(msgspec.Struct, frozen=True, kw_only=True):
    """A question asked again and again. ``also``: the parts that its answer makes beside the one of its name.

    ``interval``, ``deadline`` and ``staleness`` are seconds; ``max_load`` is the part of one backend it may keep busy.
    """

    name: str
    source: str
    collect: Callable[[], Awaitable[Collected]]
    interval: float
    deadline: float
    staleness: float
    max_load: float = 1.0
    also: tuple[str, ...] = ()


class Poller(msgspec.Struct):
    """Runs collectors and publishes what they return.

    ``crashes`` keeps when (monotonic) and where an error that nobody expected was caught: the live check reads it.
    """

    hub: Hub
    crashes: deque[tuple[float, str]] = msgspec.field(default_factory=lambda: deque(maxlen=100))
    #: The collectors that fail, by source and error.
    _failing: dict[tuple[str, str | None], set[str]] = msgspec.field(default_factory=dict)

    async def run(self, collector: Collector) -> None:
        """Ask for ever. Ends only by cancellation."""
        tracing.detach()
        bind_contextvars(operation=collector.name)
        try:
            await self._for_ever(collector)
        finally:  # another one of this name, after a reload, begins anew
            for (source, _), names in self._failing.items():
                if source == collector.source:
                    names.discard(collector.name)

    async def _for_ever(self, collector: Collector) -> None:
        rhythm = _Rhythm(collector)
        due = time.monotonic()
        while True:
            with tracing.span(f"poll {collector.name}", "poll", attributes=_about(collector)) as span:
                result = await self._once(collector, rhythm, span)
            if result is not None and result.more:
                await asyncio.sleep(0)
                due = time.monotonic()
                continue
            if result is not None and result.wait is not None:
                await asyncio.sleep(result.wait)
                due = time.monotonic()
                continue
            due = max(due + rhythm.interval, time.monotonic())
            jitter = rhythm.interval * random.uniform(-JITTER, JITTER)  # noqa: S311 - no secret depends on it
            await asyncio.sleep(max(0.0, due - time.monotonic() + jitter))

    async def _once(self, collector: Collector, rhythm: _Rhythm, span: tracing.Span) -> Collected | None:
        started = time.monotonic()
        result, error, load = None, None, None
        try:
            async with asyncio.timeout(collector.deadline):
                result = await collector.collect()
                load = result.load_seconds
        except Exception as e:  # the boundary: one collector's fault stops no other
            task = asyncio.current_task()
            if task is not None and task.cancelling():  # what fails on the way out must not hide that it is the end
                raise asyncio.CancelledError from e
            error, load = self._failure(collector, e)
            span.failed(type(e).__name__, error)
        duration = time.monotonic() - started
        rhythm.note(load)
        self._publish(collector, rhythm, result, error, duration)
        return result

    def _failure(self, collector: Collector, failure: Exception) -> tuple[str, float | None]:
        """What is told of a failed collection, and the database time that it took where that is known (s)."""
        match failure:
            case TimeoutError():
                return f"no answer within {collector.deadline:g} s", None
            case StoreTooSlow():
                return str(failure), failure.load_seconds
            case ExporterError():
                return str(failure), None
        self.crashes.append((time.monotonic(), f"{collector.name}/{collector.source}"))
        log.exception("a collector failed unexpectedly", collector=collector.name, source=collector.source)
        return f"unexpected {type(failure).__name__}", None

    def _publish(
        self, collector: Collector, rhythm: _Rhythm, result: Collected | None, error: str | None, duration: float
    ) -> None:
        before = self.hub.current.part(collector.name, collector.source)
        self._say(collector, before.error if before is not None else None, error, duration)
        log.debug("polled", category="performance", source=collector.source, duration=_milliseconds(duration))
        frame = Part(
            collector=collector.name,
            source=collector.source,
            value=None,
            success=error is None,
            collected_at=None,
            collected_mono=None,
            duration=duration,
            interval=rhythm.interval,
            staleness=rhythm.staleness,
            error=error,
        )
        parts = []
        for name in (collector.name, *collector.also):
            known = self.hub.current.part(name, collector.source)
            if result is not None:
                value = result.value if name == collector.name else result.also.get(name)
                part = replace(frame, value=value, collected_at=time.time(), collected_mono=time.monotonic())
            elif known is not None:
                part = replace(
                    frame,
                    value=known.value,
                    collected_at=known.collected_at,
                    collected_mono=known.collected_mono,
                    staleness=known.staleness,
                )
            else:
                part = frame
            parts.append(replace(part, collector=name))
        self.hub.publish(*parts)

    def _say(self, collector: Collector, known: str | None, error: str | None, duration: float) -> None:
        """Log a failure when it begins or changes, and its end; not each repetition.

        What fails all of a source's collectors alike, as a server that is away does, is said once: by the first that
        fails so, and its end by the last.
        """
        if error == known:
            return
        source, name = collector.source, collector.name
        alike = self._failing.pop((source, known), set()) - {name}
        if alike:
            self._failing[source, known] = alike
        if error is None:
            level = log.debug if alike else log.info
            level("collector works again", category="errors", collector=name, source=source)
            return
        others = self._failing.setdefault((source, error), set())
        level = log.debug if others else log.warning
        level("collector fails", category="errors", collector=name, source=source, error=error,
              duration=_milliseconds(duration))  # fmt: skip
        others.add(name)


def _about(collector: Collector) -> dict[str, tracing.Value]:
    """What a trace tells of a poll before it is made."""
    return {"collector.name": collector.name, "collector.source": collector.source or None}


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 3)


class _Rhythm:
    """The interval in force: the configured one, or longer where the question is too dear for its load budget."""

    def __init__(self, collector: Collector) -> None:
        self._collector = collector
        # The least of the last three: one slow answer is no reason to look away for minutes.
        self._recent: deque[float] = deque(maxlen=3)

    def note(self, load_seconds: float | None) -> None:
        if load_seconds is not None:
            self._recent.append(load_seconds)

    @property
    def interval(self) -> float:
        cost = min(self._recent, default=0.0)
        return max(self._collector.interval, cost / self._collector.max_load)

    @property
    def staleness(self) -> float:
        """As configured; longer only where the load budget made the interval so, whose own values would look stale."""
        collector = self._collector
        if self.interval <= collector.interval:
            return collector.staleness
        return max(collector.staleness, 2 * self.interval + collector.deadline)


async def run_all(poller: Poller, collectors: list[Collector]) -> None:
    """Run ``collectors`` side by side, as named tasks, until cancelled."""
    async with asyncio.TaskGroup() as group:
        for collector in collectors:
            group.create_task(poller.run(collector), name=f"{collector.name}/{collector.source}")
