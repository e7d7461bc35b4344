"""What the questions to one store know of each other: through the snapshot, where their answers are."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Final, TypeVar

from exporter.reported import Health
from exporter.snapshot import Hub

T = TypeVar("T")

#: Seconds for which a first answer waits until it is known how far the scheduler's clock is ahead.
PATIENCE: Final = 1.0


class Around:
    """The parts of one store as fresh as they are now."""

    def __init__(self, hub: Hub, store: str) -> None:
        self._hub = hub
        self._store = store
        self._tried = asyncio.Event()

    def fresh(self, collector: str, kind: type[T]) -> T | None:
        """The value of a part, None where it is not known, too old, or could not be had at the last try."""
        part = self._hub.current.part(collector, self._store)
        if part is None or not part.success or not part.fresh(time.monotonic()):
            return None
        return part.value if isinstance(part.value, kind) else None

    def asked_for_health(self) -> None:
        """There is an answer about the scheduler's health, or there will be none for now."""
        self._tried.set()

    async def now(self) -> float:
        """The scheduler's clock, Unix seconds; ours where it tells none."""
        if not self._tried.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._tried.wait(), PATIENCE)
            await asyncio.sleep(0)  # what was asked for is published after that
            self._tried.set()
        part = self._hub.current.part("health", self._store)
        known = part.value if part is not None else None
        ahead = known.ahead if isinstance(known, Health) else None
        return time.time() + (ahead or 0.0)
