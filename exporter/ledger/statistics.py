"""Statistics of a period, added up from the rollups alone. Runs in the ledger's thread only.

A period ends with the latest poll and begins at a whole minute (up to a day) or a whole hour (longer). Hours that are
over are added up once and kept until something is written into them, so that a month costs what its last hour costs.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from exporter.domain import FINAL_STATUSES, Figures, Statistics, TrendHour
from exporter.ledger import sketch
from exporter.ledger.rollups import BY_HOUR, BY_MINUTE, BY_WORKER, HOUR, MINUTE, Rollups, Row

#: A period of at most so many seconds begins at a whole minute.
BY_THE_MINUTE: Final = 24 * HOUR


def begin(now: float, seconds: float) -> int:
    """When a period of that length begins (Unix seconds): at the bucket that ``now - seconds`` lies in."""
    bucket = MINUTE if seconds <= BY_THE_MINUTE else HOUR
    return int(now - seconds) // bucket * bucket


class _Sum:
    """Executions of one label added up."""

    __slots__ = ("counts", "max", "retries", "sketch", "sum", "timed")

    def __init__(self) -> None:
        self.counts = [0] * len(FINAL_STATUSES)
        self.retries = self.timed = 0
        self.sum = self.max = 0.0
        self.sketch: sketch.Sketch = {}

    def take(self, row: Row) -> None:
        self.counts[row.status] += row.number
        self.retries += row.retries
        self.timed += row.timed
        self.sum += row.sum
        self.max = max(self.max, row.max)
        sketch.add(self.sketch, sketch.decode(row.sketch))

    def add(self, other: _Sum) -> None:
        self.counts = [a + b for a, b in zip(self.counts, other.counts, strict=True)]
        self.retries += other.retries
        self.timed += other.timed
        self.sum += other.sum
        self.max = max(self.max, other.max)
        sketch.add(self.sketch, other.sketch)

    def figures(self) -> Figures:
        p50, p95, p99 = (sketch.quantile(self.sketch, q) for q in (0.5, 0.95, 0.99))
        return Figures(
            counts=tuple(self.counts),
            retries=self.retries,
            timed=self.timed,
            sum=self.sum,
            max=self.max if self.timed else None,
            p50=p50,
            p95=p95,
            p99=p99,
        )


class _Stretch:
    """Cells added up by label, and by hour."""

    def __init__(self) -> None:
        self.labels: dict[str, _Sum] = {}
        self.hours: dict[int, list[int]] = {}

    def take(self, rows: Iterable[Row]) -> _Stretch:
        for row in rows:
            label = self.labels.get(row.label)
            if label is None:
                label = self.labels[row.label] = _Sum()
            label.take(row)
            hour = self.hours.setdefault(row.start // HOUR * HOUR, [0] * len(FINAL_STATUSES))
            hour[row.status] += row.number
        return self

    def add(self, other: _Stretch) -> None:
        for name, numbers in other.labels.items():
            label = self.labels.get(name)
            if label is None:
                label = self.labels[name] = _Sum()
            label.add(numbers)
        for hour, counts in other.hours.items():
            present = self.hours.setdefault(hour, [0] * len(FINAL_STATUSES))
            present[:] = [a + b for a, b in zip(present, counts, strict=True)]


class StatisticsReader:
    """Adds up one store's rollups."""

    def __init__(self, rollups: Rollups) -> None:
        self._rollups = rollups
        self._closed: dict[tuple[int, int], tuple[int, _Stretch]] = {}

    def written(self, hour: int) -> None:
        """Cells of this hour (its start), and perhaps of later ones, have changed."""
        self._closed = {key: kept for key, kept in self._closed.items() if kept[0] <= hour}

    def statistics(self, now: float, seconds: float, covered_since: float | None) -> Statistics:
        """The executions that ended since ``begin(now, seconds)``, by task type."""
        start = begin(now, seconds)
        full = -(-start // HOUR) * HOUR
        found = _Stretch()
        if start < full:
            found.take(self._rollups.read(BY_MINUTE, start, full))
        self._hours(BY_HOUR, full, now, found)
        return _statistics(start, now, covered_since, found)

    def workers(self, now: float, seconds: float, covered_since: float | None) -> Statistics:
        """The executions that ended since the hour of ``now - seconds``, by worker."""
        start = int(now - seconds) // HOUR * HOUR
        found = _Stretch()
        self._hours(BY_WORKER, start, now, found)
        return _statistics(start, now, covered_since, found)

    def _hours(self, scope: int, since: int, now: float, found: _Stretch) -> None:
        current = int(now) // HOUR * HOUR
        if since < current:
            kept = self._closed.get((scope, since))
            if kept is None or kept[0] != current:
                # What an hour that has passed left here is of no use to any period.
                self._closed = {key: c for key, c in self._closed.items() if c[0] == current}
                kept = (current, _Stretch().take(self._rollups.read(scope, since, current)))
                self._closed[scope, since] = kept
            found.add(kept[1])
        found.take(self._rollups.read(scope, max(since, current)))


def _statistics(start: int, now: float, covered_since: float | None, found: _Stretch) -> Statistics:
    overall = _Sum()
    for numbers in found.labels.values():
        overall.add(numbers)
    return Statistics(
        start=float(start),
        end=now,
        covered_since=covered_since,
        overall=overall.figures(),
        by_label={name: numbers.figures() for name, numbers in sorted(found.labels.items())},
        trend=tuple(TrendHour(start=hour, counts=tuple(counts)) for hour, counts in sorted(found.hours.items())),
    )
