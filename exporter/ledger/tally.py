"""The arithmetic of counting: which series an execution adds to, and by how much. No I/O.

A series is a list of numbers: one for each final status, or a histogram's buckets followed by the sum. Which label
values have a series of their own is sticky: a value once shown stays, one that comes when the budget is spent adds to
``other``; so no series ever falls.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import Final, NamedTuple

from exporter.domain import EXECUTION_BUCKETS, FINAL_STATUSES, OTHER, Exemplar, Histogram

STATUS_INDEX: Final = {status: i for i, status in enumerate(FINAL_STATUSES)}
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


class Finished(NamedTuple):
    """A finished execution as a poll reads it. Times are Unix seconds; ``stamp`` is its cursor position."""

    key: str
    stamp: int | float
    execution_id: str
    job_id: str | None
    job_name: str | None
    recurring_id: str | None
    task_type: str | None
    status: str
    attempt: int | None
    scheduled_at: float | None
    started_at: float | None
    completed_at: float | None
    worker_id: str | None


class Tally:
    """Counts by series. Used twice for each store: what is committed, and what is staged on top of it."""

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
    """What staged executions add to a tally. Folded into it only after the state file has taken it."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self.added: dict[SeriesKey, list[float]] = {}
        self.exemplars: dict[SeriesKey, list[Exemplar | None]] = {}

    def count(self, row: Finished) -> None:
        """Count one execution."""
        index = STATUS_INDEX[row.status]
        task_type = row.task_type or ""
        self._add("executions", task_type, index)
        if row.attempt:
            self._add("retries", task_type, 0)
        elif row.attempt is not None:
            self._touch("retries", task_type)
        if row.worker_id:
            self._add("worker", row.worker_id, index)
        if row.started_at is None:
            return
        if row.completed_at is not None:
            seconds = max(0.0, row.completed_at - row.started_at)
            exemplar = Exemplar(row.execution_id, seconds, row.completed_at)
            self._observe("duration", task_type, seconds, exemplar)
        if row.scheduled_at is not None:
            self._observe("wait", task_type, max(0.0, row.started_at - row.scheduled_at), None)

    def ensure(self, task_type: str) -> None:
        """Make the status counters of a task type exist, at 0 if they are new."""
        if ("executions", self._tally.slot("executions", task_type)) not in self._tally.series:
            self._touch("executions", task_type)

    def _touch(self, metric: str, label: str) -> list[float]:
        key = (metric, self._tally.slot(metric, label))
        numbers = self.added.get(key)
        if numbers is None:
            numbers = self.added[key] = [0] * METRICS[metric][0]
        return numbers

    def _add(self, metric: str, label: str, index: int) -> None:
        self._touch(metric, label)[index] += 1

    def _observe(self, metric: str, label: str, seconds: float, exemplar: Exemplar | None) -> None:
        numbers = self._touch(metric, label)
        bucket = bisect_left(EXECUTION_BUCKETS, seconds)
        numbers[bucket] += 1
        numbers[-1] += seconds
        if exemplar is not None:
            key = (metric, self._tally.slot(metric, label))
            self.exemplars.setdefault(key, [None] * BUCKETS)[bucket] = exemplar

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
            old = self._tally.exemplars.get(key) or [None] * BUCKETS
            self._tally.exemplars[key] = [new or kept for new, kept in zip(fresh, old, strict=True)]


def histogram(numbers: list[float], exemplars: list[Exemplar | None] | None) -> Histogram:
    """A series of the state file as a histogram."""
    counts = tuple(int(n) for n in numbers[:-1])
    return Histogram(counts, float(numbers[-1]), tuple(exemplars or ()))
