"""What the snapshot knows of a store at this moment. What is too old to be shown is as unknown as what was never read.

Belongs here: reading parts for answers. Does not: how an answer writes them.
"""

from __future__ import annotations

import time
from typing import TypeVar

import msgspec

from exporter.domain import (
    FINAL_STATUSES,
    JOB_STATUSES,
    JOB_TYPES,
    Backfill,
    Counts,
    Executions,
    JobCounts,
    Operations,
    OverdueJob,
    Queues,
    RecurringJob,
    Running,
    RunningExecution,
    Schedules,
    StoreSettings,
    Workers,
)
from exporter.job_counts import job_counts, overdue_count
from exporter.reported import Health, Live, Recent
from exporter.snapshot import NOT_OF_STORES, Part, Snapshot

T = TypeVar("T")

#: Parts whose duration is that of a few statements and nothing else.
_QUESTIONS = ("workers", "running", "queues", "schedules")
#: Parts that are no answer of the store to a question: what is known without it, and what it answered long ago.
_NO_ANSWERS = ("store", "settings", "backfill")
#: What the store is told, not asked.
_TOLD = "connection_status"


class JobNumbers(msgspec.Struct, frozen=True, kw_only=True):
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
    total = sum(counts.values()) if jobs is not None else None
    if jobs is not None and jobs.by_type is not None:
        by_type |= jobs.by_type
        total = jobs.total
    return JobNumbers(by_status=by_status, by_type=by_type, total=total)


class Known(msgspec.Struct, frozen=True):
    """One store's parts in ``snapshot``, as fresh as they are now."""

    snapshot: Snapshot
    store: str
    now: float = msgspec.field(default_factory=time.monotonic)

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
    def operations(self) -> Operations | None:
        """Operations by stage."""
        return self._fresh("operations", Operations)

    @property
    def health(self) -> Health | None:
        """What the scheduler says of itself."""
        return self._fresh("health", Health)

    @property
    def live(self) -> Live | None:
        """What the scheduler tells of the moment."""
        return self._fresh("live", Live)

    @property
    def ended(self) -> Counts | Recent | None:
        """What executions that ended are known by: another object as soon as there are new ones."""
        return self.counts or self._fresh("recent", Recent)

    def maps(self, collector: str) -> bool | None:
        """Whether the profile maps what this collector asks; None before it was asked."""
        part = self.snapshot.part(collector, self.store)
        if part is None or part.collected_at is None:
            return None
        return part.value is not None

    @property
    def counts(self) -> Counts | None:
        """What has been counted, whatever its age: it stays counted."""
        part = self.snapshot.part("executions", self.store)
        return part.value.counts if part is not None and isinstance(part.value, Executions) else None

    @property
    def outcomes(self) -> tuple[str, ...]:
        """The outcomes of executions that the store can tell."""
        part = self.snapshot.part("executions", self.store)
        return part.value.outcomes if part is not None and isinstance(part.value, Executions) else FINAL_STATUSES

    @property
    def attempts(self) -> bool:
        """Whether executions tell which attempt they were: the profile has it, and what was counted said so."""
        part = self.snapshot.part("executions", self.store)
        if part is None or not isinstance(part.value, Executions):
            return True
        counts = part.value.counts
        return part.value.attempts and (bool(counts.retries) or not any(map(any, counts.executions.values())))

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
        return any(part.error is not None for part in self.parts if part.collector != _TOLD)

    @property
    def latency(self) -> float | None:
        """Seconds that the quickest of the latest questions took; None while the store is not up."""
        asked = [p for p in self.parts if p.collector in _QUESTIONS and p.success and p.value is not None]
        return min((part.duration for part in asked), default=None) if self.up else None

    @property
    def answered_at(self) -> float | None:
        """When the store last answered a question, Unix seconds."""
        # What the profile does not map is answered, with nothing, without asking.
        told = [part for part in self.parts if part.collector not in _NO_ANSWERS and part.value is not None]
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
        told = [kind.stuck for kind in self.running.by_task_type.values()] if self.running is not None else [None]
        known = [number for number in told if number is not None]
        return sum(known) if len(known) == len(told) else None

    @property
    def overdue(self) -> int | None:
        """Jobs past their next run."""
        return overdue_count(self.queues, self._fresh("schedules", Schedules))

    @property
    def overdue_jobs(self) -> list[OverdueJob]:
        """Jobs past their next run, the longest first, as far as they are listed one by one."""
        listed = list(self.queues.overdue) if self.queues is not None else []
        schedules = self._fresh("schedules", Schedules)
        listed += [
            OverdueJob(job_id=job.job_id, job_name=job.name, task_type=job.task_type, due=job.overdue_since)
            for job in (schedules.jobs if schedules is not None else ())
            if job.overdue_since is not None
        ]
        return sorted(listed, key=lambda job: job.due)

    def recurring_job(self, job_id: str) -> RecurringJob | None:
        """The recurring job of this id, if there is one."""
        schedules = self._fresh("schedules", Schedules)
        return next((job for job in schedules.jobs if job.job_id == job_id), None) if schedules is not None else None

    @property
    def next_runs(self) -> dict[str, float]:
        """When each recurring job runs next, as far as it is known, by the job's id."""
        schedules = self._fresh("schedules", Schedules)
        listed = schedules.jobs if schedules is not None else ()
        return {job.job_id: job.next_run for job in listed if job.next_run is not None}

    def running_of(self, job_id: str) -> list[RunningExecution]:
        """A job's executions that run now, as far as they are listed one by one."""
        return [e for e in self.running.oldest if e.job_id == job_id] if self.running is not None else []

    @property
    def parts(self) -> list[Part]:
        """Everything that is known of it."""
        return [part for (name, source), part in self.snapshot.parts.items()
                if source == self.store and name not in NOT_OF_STORES]  # fmt: skip

    def _fresh(self, collector: str, kind: type[T]) -> T | None:
        part = self.snapshot.part(collector, self.store)
        known = part is not None and isinstance(part.value, kind) and part.fresh(self.now)
        return part.value if part is not None and known else None
