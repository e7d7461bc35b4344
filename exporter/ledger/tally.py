"""Counters and histograms as Prometheus sees them: they only rise, and which labels they have is sticky. No I/O.

A series is a list of numbers: one for each final status, or a histogram's buckets followed by the sum. A label value
once shown stays, one that comes when the budget is spent adds to ``other``; so no series ever falls.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from exporter.domain import EXECUTION_BUCKETS, FINAL_STATUSES, OTHER, Exemplar, Histogram

BUCKETS: Final = len(EXECUTION_BUCKETS) + 1
#: metric -> (numbers in a series, Prometheus series that one label value costs)
METRICS: Final = {
    "executions": (len(FINAL_STATUSES), len(FINAL_STATUSES)),
    "retries": (1, 1),
    "duration": (BUCKETS + 1, BUCKETS + 2),
    "wait": (BUCKETS + 1, BUCKETS + 2),
    "worker": (len(FINAL_STATUSES), len(FINAL_STATUSES)),
}
#: How many distinct left-out label values are remembered for the "dropped" figure.
DROPPED_REMEMBERED: Final = 10_000

SeriesKey = tuple[str, str]


class Tally:
    """The committed series of one store."""

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self.series: dict[SeriesKey, list[float]] = {}
        self.exemplars: dict[SeriesKey, list[Exemplar | None]] = {}
        self._members: dict[str, set[str]] = {metric: set() for metric in METRICS}
        self._dropped: dict[str, set[str]] = {metric: set() for metric in METRICS}

    def load(self, metric: str, label: str, data: list[float]) -> None:
        """Take in a series as the state file has it."""
        self.series[metric, label] = data
        if label != OTHER:
            self._members[metric].add(label)

    def slot(self, metric: str, label: str) -> str:
        """The label value under which ``label`` is counted: itself, or ``other`` when the budget is spent."""
        members = self._members[metric]
        if label in members or label == OTHER:
            return label
        if (len(members) + 1) * METRICS[metric][1] <= self.budget:
            members.add(label)
            return label
        dropped = self._dropped[metric]
        if len(dropped) < DROPPED_REMEMBERED:
            dropped.add(label)
        return OTHER

    def dropped(self) -> dict[str, int]:
        """Prometheus series left out, by metric, as far as remembered since the start."""
        return {metric: len(values) * METRICS[metric][1] for metric, values in self._dropped.items()}


class Delta:
    """What a poll adds to a tally. Folded into it only after the state file has taken it."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self.added: dict[SeriesKey, list[float]] = {}
        self.exemplars: dict[SeriesKey, list[Exemplar | None]] = {}

    def add(self, metric: str, label: str, numbers: Iterable[float]) -> None:
        """Add ``numbers`` to a series; nothing but zeros makes it exist."""
        key = (metric, self._tally.slot(metric, label))
        present = self.added.get(key)
        if present is None:
            self.added[key] = list(numbers)
        else:
            present[:] = [a + b for a, b in zip(present, numbers, strict=True)]

    def exemplify(self, metric: str, label: str, examples: list[Exemplar | None]) -> None:
        """Take an example for each bucket that has one."""
        key = (metric, self._tally.slot(metric, label))
        self.exemplars[key] = _newer(examples, self.exemplars.get(key))

    def ensure(self, task_type: str) -> None:
        """Make the status counters of a task type exist, at 0 if they are new."""
        if ("executions", self._tally.slot("executions", task_type)) not in self._tally.series:
            self.add("executions", task_type, (0,) * METRICS["executions"][0])

    def merged(self) -> dict[SeriesKey, list[float]]:
        """The series that change, with their new values."""
        series = self._tally.series
        return {
            key: [a + b for a, b in zip(series[key], added, strict=True)] if key in series else added
            for key, added in self.added.items()
        }

    def fold(self, merged: dict[SeriesKey, list[float]]) -> None:
        """Make ``merged`` (from :meth:`merged`) the tally's state."""
        self._tally.series.update(merged)
        for key, fresh in self.exemplars.items():
            self._tally.exemplars[key] = _newer(fresh, self._tally.exemplars.get(key))


def _newer(fresh: list[Exemplar | None], old: list[Exemplar | None] | None) -> list[Exemplar | None]:
    return list(fresh) if old is None else [new or kept for new, kept in zip(fresh, old, strict=True)]


def histogram(numbers: list[float], exemplars: list[Exemplar | None] | None) -> Histogram:
    """A series of the state file as a histogram."""
    counts = tuple(int(n) for n in numbers[:-1])
    return Histogram(counts, float(numbers[-1]), tuple(exemplars or ()))
