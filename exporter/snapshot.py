"""The last known truth: one immutable mapping of parts, replaced as a whole and never changed in place.

Belongs here: parts, their age, the hub that swaps snapshots. Does not: how a part is collected (``poller``,
``stores``, ``connections``) or shown (``metrics``, ``api``).
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import msgspec

PartKey = tuple[str, str]

#: Between collector and source where one text names a part.
SEPARATOR: Final = "\x1f"
#: Collectors whose sources are no stores: a target or a dependency may have the name of one.
NOT_OF_STORES: Final = frozenset({"connections", "dependencies"})


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """What one collector last learned about one source (a store's or a target's name).

    ``value`` is the last successful result (None before the first), ``collected_at`` when it was read (Unix
    seconds; ``collected_mono`` on the monotonic clock), ``success`` whether the latest attempt succeeded, ``duration``
    how long that attempt took, ``interval`` the one in force now, ``staleness`` how old ``value`` may become before its
    gauges are withdrawn - all in seconds. ``error`` is the latest failure's text, free of secrets.
    """

    collector: str
    source: str
    value: Any
    success: bool
    collected_at: float | None
    collected_mono: float | None
    duration: float
    interval: float
    staleness: float
    error: str | None = None

    def fresh(self, now_mono: float) -> bool:
        """Whether ``value`` may still be shown at ``now_mono`` (``time.monotonic``)."""
        return self.collected_mono is not None and now_mono - self.collected_mono <= self.staleness


class Snapshot(msgspec.Struct, frozen=True):
    """All parts at one moment; ``version`` grows with every publication."""

    version: int = 0
    parts: Mapping[PartKey, Part] = msgspec.field(default_factory=lambda: MappingProxyType({}))
    published_at: float = 0.0

    def part(self, collector: str, source: str) -> Part | None:
        """The part of ``collector`` for ``source``, whatever its age."""
        return self.parts.get((collector, source))


class Hub:
    """Holds the current snapshot. Only the event loop's thread publishes; anyone may read ``current``."""

    def __init__(self) -> None:
        self.current = Snapshot()
        #: What ``current`` shows. A plain one is copied twenty times faster than what wraps it, thousands of parts at a
        #: time.
        self._parts: dict[PartKey, Part] = {}

    def publish(self, *parts: Part) -> None:
        """Replace the parts of the same keys by ``parts``, at once."""
        merged = self._parts.copy()
        for part in parts:
            merged[part.collector, part.source] = part
        self._swap(merged)

    def withdraw(self, source: str, collector: str | None = None) -> None:
        """Forget every part of ``source`` (of one collector, if named): it left the configuration."""
        self._swap({k: p for k, p in self.current.parts.items() if k[1] != source or collector not in (None, k[0])})

    def _swap(self, parts: dict[PartKey, Part]) -> None:
        self._parts = parts
        self.current = Snapshot(self.current.version + 1, MappingProxyType(parts), time.time())
