"""What the log has of how it goes: a few lines every ``logging.summary_interval``, from what is known anyway.

Belongs here: the categories ``jobs`` (each store's), ``performance`` (polls, requests) and ``metrics`` (the process) as
long as nothing begins, changes or ends. Does not: what happens, which is said where it does.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, Protocol

import structlog

from exporter import logs
from exporter.config.logs import LogSettings
from exporter.connections import COLLECTOR, ConnectionState
from exporter.domain import FINAL_STATUSES, Executions, Running
from exporter.instruments import ApiInstruments
from exporter.job_counts import overdue_count
from exporter.metrics.process import ProcessState
from exporter.snapshot import NOT_OF_STORES, Hub, Part

log = structlog.get_logger(component="summary", operation="summary")

#: Seconds between two looks at the clock, and at what repeated warnings left to say.
BEAT: Final = 5.0


class Named(Protocol):
    """A store's section, of which the name is wanted."""

    @property
    def name(self) -> str: ...


class Summaries:
    """Writes summaries and tends the log. ``asked`` gives the log's settings and the stores, as they are now."""

    def __init__(self, hub: Hub, api: ApiInstruments, asked: Callable[[], tuple[LogSettings, Sequence[Named]]]) -> None:
        self._hub = hub
        self._api = api
        self._configured = asked
        self._said = time.monotonic()
        self._ended: dict[str, tuple[int, ...]] = {}
        self._asked = (0, 0, 0.0)

    async def run(self) -> None:
        """Go on for ever."""
        while True:
            settings, stores = self._configured()
            for store in stores:
                if store.name not in self._ended:  # from where on what ends is counted here
                    self._since(store.name)
            interval = settings.summary_interval
            await asyncio.sleep(min(BEAT, interval or BEAT))
            logs.tend()
            if interval and time.monotonic() - self._said >= interval:
                self.say()

    def say(self) -> None:
        """Sum up what was done since the last time, and how things are."""
        window = round(time.monotonic() - self._said)
        self._said = time.monotonic()
        for store in self._configured()[1]:
            self._jobs(store.name, window)
            self._polls(store.name)
        self._requests(window)
        self._process()

    def _part(self, collector: str, source: str) -> Any:
        part = self._hub.current.part(collector, source)
        return part.value if part is not None and part.fresh(time.monotonic()) else None

    def _jobs(self, store: str, window: int) -> None:
        running: Running | None = self._part("running", store)
        told: dict[str, Any] = {}
        told |= self._since(store)
        if running is not None:
            types = running.by_task_type.values()
            told |= {"running": sum(t.running for t in types), "stuck": _sum(t.stuck for t in types)}
        told["overdue"] = overdue_count(self._part("queues", store), self._part("schedules", store))
        log.info("jobs", category="jobs", store=store, window=window, **told)

    def _since(self, store: str) -> dict[str, int]:
        """How many executions ended since this was asked before, by status; nothing where that is not known."""
        executions: Executions | None = self._part("executions", store)
        if executions is None:
            return {}
        rows = executions.counts.executions.values()
        ended = tuple(sum(row[i] for row in rows) for i in range(len(FINAL_STATUSES)))
        before = self._ended.get(store, ended)
        self._ended[store] = ended
        # A state file that was lost begins at 0 again.
        since = [max(0, now - then) for now, then in zip(ended, before, strict=True)]
        return {name.lower(): number for name, number in zip(FINAL_STATUSES, since, strict=True)}

    def _polls(self, store: str) -> None:
        parts = [
            part
            for (collector, source), part in self._hub.current.parts.items()
            if source == store and collector not in (*NOT_OF_STORES, "settings") and part.collected_at is not None
        ]
        if not parts:
            return
        slowest: Part = max(parts, key=lambda part: part.duration)
        log.info(
            "polls",
            category="performance",
            store=store,
            duration=round(slowest.duration * 1000, 1),
            slowest=slowest.collector,
            collectors=len(parts),
            failing=sum(not part.success for part in parts),
        )

    def _requests(self, window: int) -> None:
        now = (self._api.answered, self._api.failed, self._api.seconds)
        requests, failed, seconds = (a - b for a, b in zip(now, self._asked, strict=True))
        self._asked = now
        mean = round(1000 * seconds / requests, 3) if requests else None
        log.info("requests", category="performance", window=window, requests=requests, failed=failed, duration=mean)

    def _process(self) -> None:
        state: ProcessState | None = self._part("process", "")
        if state is None:
            return
        targets = [part.value for (name, _), part in self._hub.current.parts.items() if name == COLLECTOR]
        known = [target for target in targets if isinstance(target, ConnectionState)]
        log.info(
            "process",
            category="metrics",
            rss_bytes=state.rss,
            memory_limit_bytes=state.memory_limit,
            cpu_percent=round(state.cpu_percent, 1),
            event_loop_lag=None if state.loop_lag is None else round(state.loop_lag * 1000, 1),
            load1=None if state.load is None else round(state.load[0], 2),
            state_bytes=state.state_bytes,
            targets=len(known),
            targets_up=sum(target.result is not None and target.result.is_healthy for target in known),
        )


def _sum(numbers: Iterable[int | None]) -> int | None:
    """Their sum; None where one is not known."""
    known = list(numbers)
    return None if None in known else sum(number for number in known if number is not None)
