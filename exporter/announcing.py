"""What is known of a store before it has been asked: its settings, and what the ledger counted."""

from __future__ import annotations

import contextlib
import time
from typing import Final

from exporter.config.model import AnyStore, PostgresStore
from exporter.domain import Exactness, Executions, StoreSettings
from exporter.errors import StateUnavailable
from exporter.ledger.ledger import Ledger
from exporter.snapshot import Hub, Part

NEVER_STALE: Final = float("inf")


class Announcer:
    """Publishes to ``hub`` what ``ledger`` and the configuration tell."""

    def __init__(self, hub: Hub, ledger: Ledger) -> None:
        self._hub = hub
        self._ledger = ledger

    async def announce(self, config: AnyStore, series_per_metric: int) -> None:
        """Settings, and counts where the state file is open."""
        settings = StoreSettings(series_per_metric=series_per_metric, profile=config.kind)
        if isinstance(config, PostgresStore):
            settings = StoreSettings(series_per_metric=series_per_metric, critical_jobs=config.critical_jobs)
        self._hub.publish(_part("settings", config, settings, time.monotonic(), NEVER_STALE))
        if self._ledger.opened:
            with contextlib.suppress(StateUnavailable):
                await self.counts(config)

    async def counts(self, config: AnyStore, *, only_if_unknown: bool = False) -> None:
        """What was counted, old as it is; nothing is of a store over HTTP. Raises StateUnavailable."""
        if not isinstance(config, PostgresStore):
            return
        if only_if_unknown and self._known(config.name):
            return
        counts = await self._ledger.counts(config.name)
        if counts is not None and not (only_if_unknown and self._known(config.name)):
            known = Executions(
                counts=counts, exactness=Exactness(), caught_up=False, cursor_time=None, oldest_open=None
            )
            self._hub.publish(_part("executions", config, known, None, config.staleness))

    def _known(self, store: str) -> bool:
        part = self._hub.current.part("executions", store)
        return part is not None and part.value is not None


def _part(collector: str, config: AnyStore, value: object, at: float | None, staleness: float) -> Part:
    return Part(
        collector=collector,
        source=config.name,
        value=value,
        success=at is not None,
        collected_at=None if at is None else time.time(),
        collected_mono=at,
        duration=0.0,
        interval=config.interval,
        staleness=staleness,
    )
