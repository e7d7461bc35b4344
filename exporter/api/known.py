"""What the snapshot knows of a store at this moment. What is too old to be shown is as unknown as what was never read.

Belongs here: reading parts for answers. Does not: how an answer writes them.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TypeVar

from exporter.domain import (
    JOB_STATUSES,
    JOB_TYPES,
    Backfill,
    Counts,
    Executions,
    JobCounts,
    Queues,
    Running,
    Schedules,
    StoreSettings,
    Workers,
)
from exporter.jobcounts import job_counts, overdue_count
from exporter.snapshot import Part, Snapshot

T = TypeVar("T")

#: Parts that are no answer of the store to a question: what is known without it, and what it answered long ago.
_NO_ANSWERS = ("store", "settings", "backfill")


@dataclass(frozen=True, slots=True, kw_only=True)
class JobNumbers:
    """Jobs by status and by type in their canonical orders, and in all; None is unknown."""

    by_status: dict[str, int | None]
    by_type: dict[str, int | None]
    total: int | None


def job_numbers(jobs: JobCounts | None, queues: Queues | None) -> JobNumbers:
    """Without a full count only what is unfinished is known, and no total."""
    counts = job_counts(jobs, queues)
    by_status: dict[str, int | None] = dict.fromkeys(JOB_STATUSES)
    by_type: dict[str, int | None] = dict.fromkeys(JOB_TYPES)
    for (status, kind), number in counts.items():
        if status in by_status:
            by_status[status] = (by_status[status] or 0) + number
        if jobs is not None and kind in by_type:
            by_type[kind] = (by_type[kind] or 0) + number
    return JobNumbers(by_status=by_status, by_type=by_type, total=sum(counts.values()) if jobs is not None else None)


@dataclass(frozen=True, slots=True)
class Known:
    """One store's parts in ``snapshot``, as fresh as they are now."""

    snapshot: Snapshot
    store: str
    now: float = field(default_factory=time.monotonic)

    @property
    def jobs(self) -> JobCounts | None:
        """The last full count."""
        return self._fresh("jobs", JobCounts)

    @property
    def queues(self) -> Queues | None:
        """Unfinished jobs."""
        return self._fresh("queues", Queues)

    @property
    def running(self) -> Running | None:
        """What runs now."""
        return self._fresh("running", Running)

    @property
    def workers(self) -> Workers | None:
        """The workers that the store knows."""
        return self._fresh("workers", Workers)

    @property
    def counts(self) -> Counts | None:
        """What has been counted, whatever its age: it stays counted."""
        part = self.snapshot.part("executions", self.store)
        return part.value.counts if part is not None and isinstance(part.value, Executions) else None

    @property
    def up(self) -> bool | None:
        """Whether the store answered when it was last asked; None before that."""
        part = self.snapshot.part("store", self.store)
        if part is None:
            return False if self.failing else None
        return part.success and part.value is True and part.fresh(self.now)

    @property
    def failing(self) -> bool:
        """Whether a question to the store is without an answer at present."""
        return any(part.error is not None for part in self._parts())

    @property
    def answered_at(self) -> float | None:
        """When the store last answered a question, Unix seconds."""
        # What the profile does not map is answered, with nothing, without asking.
        told = [part for part in self._parts() if part.collector not in _NO_ANSWERS and part.value is not None]
        return max((part.collected_at for part in told if part.collected_at is not None), default=None)

    @property
    def profile(self) -> str | None:
        """The name of the profile in use."""
        part = self.snapshot.part("settings", self.store)
        return part.value.profile if part is not None and isinstance(part.value, StoreSettings) else None

    @property
    def backfill(self) -> Backfill | None:
        """How far history has been read."""
        part = self.snapshot.part("backfill", self.store)
        if part is not None and isinstance(part.value, Backfill):
            return part.value
        return self.counts.backfill if self.counts is not None else None

    @property
    def running_count(self) -> int | None:
        """Executions that run now; where only jobs say so, jobs."""
        if self.running is not None:
            return sum(kind.running for kind in self.running.by_task_type.values())
        return job_numbers(self.jobs, self.queues).by_status["RUNNING"]

    @property
    def stuck(self) -> int | None:
        """Executions that run for longer than their task type may."""
        return sum(kind.stuck for kind in self.running.by_task_type.values()) if self.running is not None else None

    @property
    def overdue(self) -> int | None:
        """Jobs past their next run."""
        return overdue_count(self.queues, self._fresh("schedules", Schedules))

    def _parts(self) -> list[Part]:
        return [part for (name, source), part in self.snapshot.parts.items()
                if source == self.store and name != "connections"]  # fmt: skip

    def _fresh(self, collector: str, kind: type[T]) -> T | None:
        part = self.snapshot.part(collector, self.store)
        known = part is not None and isinstance(part.value, kind) and part.fresh(self.now)
        return part.value if part is not None and known else None
