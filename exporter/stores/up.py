"""Whether a store is up: the one part about a store that no question of its own makes."""

from __future__ import annotations

import time

from exporter.config.model import AnyStore
from exporter.snapshot import Hub, Part


def tell_up(hub: Hub, config: AnyStore, *, up: bool) -> None:
    """Publish whether the store answered when it was last asked."""
    hub.publish(
        Part(
            collector="store",
            source=config.name,
            value=up,
            success=up,
            collected_at=time.time(),
            collected_mono=time.monotonic(),
            duration=0.0,
            interval=config.interval,
            staleness=config.staleness,
        )
    )
