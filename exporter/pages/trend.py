"""The hourly trend as bars: what succeeded and what failed in each of the last 24 hours. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from exporter.api.system import ended
from exporter.domain import Statistics

HOURS: Final = 24
HOUR: Final = 3600
#: The drawing's own units.
HEIGHT: Final = 100.0
WIDTH: Final = 30.0
_GAP: Final = 4.0
#: The least height of what is not nothing.
_LEAST: Final = 2.0


class Bar(msgspec.Struct, frozen=True, kw_only=True):
    """One hour (its start, Unix seconds). ``known``: nothing of it is missing; heights from the bottom up."""

    start: int
    success: int
    failed: int
    known: bool
    x: float
    width: float
    good: float
    bad: float

    @property
    def total(self) -> int:
        """Executions that ended, cancelled ones left out."""
        return self.success + self.failed


class Trend(msgspec.Struct, frozen=True, kw_only=True):
    """The bars, oldest first, and the number that fills the height."""

    bars: tuple[Bar, ...]
    most: int

    @property
    def width(self) -> float:
        """Of all bars."""
        return WIDTH * len(self.bars)


def trend(found: Iterable[Statistics], now: float) -> Trend | None:
    """The hours of several stores added up; None where no store's executions are known."""
    counted = [one for one in found if one.counted and one.covered_since is not None]
    if not counted:
        return None
    covered = max(one.covered_since or 0.0 for one in counted)
    sums: dict[int, tuple[int, int]] = {}
    for one in counted:
        for hour in one.trend:
            _, success, failed = ended(hour.counts)
            before = sums.get(hour.start, (0, 0))
            sums[hour.start] = before[0] + success, before[1] + failed
    newest = int(now // HOUR) * HOUR
    hours = [newest - HOUR * n for n in reversed(range(HOURS))]
    most = max((sum(sums.get(hour, (0, 0))) for hour in hours), default=0)
    bars = [_bar(i, hour, *sums.get(hour, (0, 0)), most, known=hour + HOUR > covered) for i, hour in enumerate(hours)]
    return Trend(bars=tuple(bars), most=most)


def _bar(index: int, start: int, success: int, failed: int, most: int, *, known: bool) -> Bar:
    def height(number: int) -> float:
        return round(max(_LEAST, (HEIGHT - _LEAST) * number / most), 1) if number else 0.0

    return Bar(
        start=start,
        success=success,
        failed=failed,
        known=known,
        x=index * WIDTH + _GAP / 2,
        width=WIDTH - _GAP,
        good=height(success),
        bad=height(failed),
    )
