"""What schedulers with an API of their own tell about themselves, beside the canonical model. Frozen, free of I/O.

Belongs here: values that only such stores have. Does not: what any store may know (``domain``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from exporter.domain import RecentExecution, Statistics

#: The periods of which schedulers tell what ended in them, and their lengths in seconds.
PERIODS: Final = {"1h": 3600.0, "6h": 21_600.0, "24h": 86_400.0, "7d": 604_800.0, "30d": 2_592_000.0}
#: What is told of the moment looks back so far, in seconds.
LIVE_SECONDS: Final = 300.0


def period_part(period: str) -> str:
    """``stats_24h``: the name of the part with what ended in a period."""
    return f"stats_{period}"


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """What a scheduler says of itself: ``components`` are well or not, by name, "" is the whole.

    ``started_at`` is Unix seconds; ``ahead`` is how far its clock is ahead of ours, ``database_seconds`` what its own
    database takes to answer it, in seconds; ``recent`` executions ended lately, ``pending`` jobs wait.
    """

    components: Mapping[str, bool]
    started_at: float | None = None
    ahead: float | None = None
    database_seconds: float | None = None
    recent: int | None = None
    pending: int | None = None


class Live(msgspec.Struct, frozen=True, kw_only=True):
    """Jobs that are scheduled now, and what ended within LIVE_SECONDS."""

    scheduled: int | None
    statistics: Statistics


class Recent(msgspec.Struct, frozen=True, kw_only=True):
    """The newest finished executions, newest first."""

    executions: tuple[RecentExecution, ...]


class Period(msgspec.Struct, frozen=True, kw_only=True):
    """What ended in a period, by task type or by worker."""

    statistics: Statistics
