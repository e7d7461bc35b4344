"""Dependencies as they look at this moment, for whoever shows them. What is too old is not known any more."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import Literal

import msgspec

from exporter.config.model import AnyDependency
from exporter.dependencies.results import COLLECTOR, DependencyState
from exporter.snapshot import Snapshot


class Sight(msgspec.Struct, frozen=True):
    """One dependency; ``fresh``: its last check is no older than it may be, and ended as a check ends."""

    state: DependencyState
    fresh: bool

    @property
    def up(self) -> bool | None:
        """What ``scheduling_dependency_up`` says: None before the first check, False for what is too old."""
        return None if self.state.result is None else self.state.is_healthy and self.fresh

    @property
    def status(self) -> Literal["healthy", "unhealthy", "unknown"]:
        """The same in the words of JSON, where what is too old is unknown."""
        if self.state.result is None or not self.fresh:
            return "unknown"
        return "healthy" if self.state.is_healthy else "unhealthy"


def sights(snapshot: Snapshot, dependencies: Iterable[AnyDependency]) -> Iterator[Sight]:
    """Those of ``dependencies`` that anything is known of, in their order."""
    now = time.monotonic()
    for config in dependencies:
        part = snapshot.part(COLLECTOR, config.name)
        if part is not None and isinstance(part.value, DependencyState):
            yield Sight(part.value, part.success and part.fresh(now))
