"""The process's own health: how late the event loop is, whether memory holds, what crashed lately."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Iterator
from typing import Final

import msgspec

from exporter.config.model import Config
from exporter.dependencies import sights
from exporter.httpd.context import Check
from exporter.ledger.ledger import Ledger
from exporter.metrics.process import ProcessState
from exporter.poller import Poller
from exporter.snapshot import Hub

#: Seconds between two looks at the loop's clock.
BEAT: Final = 0.5
#: The event loop counts as blocked when it was this late (s) within the last BLOCKED_WITHIN seconds.
BLOCKED: Final = 10.0
BLOCKED_WITHIN: Final = 60.0
#: An unexpected error matters to the live check for so long (s).
CRASH_MATTERS: Final = 300.0


class LoopClock(msgspec.Struct):
    """Measures how late the event loop wakes a sleeper; keeps the last minute."""

    lags: deque[tuple[float, float]] = msgspec.field(default_factory=lambda: deque(maxlen=int(BLOCKED_WITHIN / BEAT)))

    async def run(self) -> None:
        """Measure for ever."""
        while True:
            before = time.monotonic()
            await asyncio.sleep(BEAT)
            now = time.monotonic()
            self.lags.append((now, max(0.0, now - before - BEAT)))

    def worst(self, within: float) -> float | None:
        """The greatest lag (s) of the last ``within`` seconds, None when nothing was measured yet."""
        since = time.monotonic() - within
        return max((lag for at, lag in self.lags if at >= since), default=None)


class Vitals(msgspec.Struct, kw_only=True):
    """The checks behind /health/live and /health/ready."""

    hub: Hub
    poller: Poller
    clock: LoopClock
    ledger: Ledger

    def liveness(self) -> list[Check]:
        """What a restart mends."""
        lag = self.clock.worst(BLOCKED_WITHIN)
        process = self.hub.current.part("process", "")
        state: ProcessState | None = process.value if process is not None else None
        now = time.monotonic()
        crashed = sorted({where for at, where in self.poller.crashes if now - at < CRASH_MATTERS})
        return [
            _check("event_loop", (lag or 0.0) < BLOCKED, "blocked"),
            _check("memory", state is None or state.rss < state.memory_limit, "over its limit"),
            _check("core_loops", not crashed, "failed unexpectedly within five minutes"),
        ]

    def readiness(self, config: Config) -> list[Check]:
        """What the sidecar was configured to depend on; only what is required can make it not ready."""
        ok, elsewhere = self.ledger.writable, self.ledger.in_use
        detail = None if ok else "in use by another process" if elsewhere else "cannot be written"
        # Required, but not while it is another's: that one may be what a rolling update ends when this one is ready.
        checks = [Check(name="state", ok=ok, required=not elsewhere, detail=detail)]
        for store in config.stores:
            up = self.hub.current.part("store", store.name)
            ok = up is not None and up.value is True
            checks.append(
                Check(
                    name=f"store {store.name}",
                    ok=ok,
                    required=config.readiness.require_store,
                    detail=None if ok else "down",
                )
            )
        for target in config.connections.targets:
            part = self.hub.current.part("connections", target.name)
            ok = part is not None and part.value.result is not None and part.value.result.is_healthy
            detail = None if ok else "down" if part is not None else "not checked yet"
            checks.append(Check(name=f"connection {target.name}", ok=ok, required=False, detail=detail))
        return [*checks, *self._dependencies(config)]

    def _dependencies(self, config: Config) -> Iterator[Check]:
        for sight in sights(self.hub.current, config.dependencies):
            yield Check(
                name=f"dependency {sight.state.name}",
                ok=sight.up is True,
                required=sight.state.required,
                detail=None if sight.up else "not checked yet" if sight.up is None else "down",
            )


def _check(name: str, ok: bool, detail: str) -> Check:
    return Check(name=name, ok=ok, required=True, detail=None if ok else detail)
