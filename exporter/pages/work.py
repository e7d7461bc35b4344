"""What a scheduler does, as rows: what runs, is late, fails; who works; task by task. Worst first.

Each list is of all stores together; a row knows its store.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from operator import attrgetter
from typing import Final

import msgspec

from exporter.api.known import Known
from exporter.api.system import ended
from exporter.config.model import AnyStore, PostgresStore, StuckAfter
from exporter.domain import OTHER, FailingJob, Figures, OverdueJob, RecentExecution, RunningExecution, Statistics
from exporter.job_counts import by_state, job_counts
from exporter.pages.lists import Made
from exporter.pages.words import share

#: More executions than any task type ends in a day: sorts by failures, then by all.
_MANY: Final = 1e12
#: The order in which workers are listed: who is lost comes first.
_STATES: Final = {"lost": 0, "draining": 1, "paused": 2, "active": 3}


class Of(msgspec.Struct, frozen=True):
    """Something, and the store that it is of."""

    store: str


class RunningRow(Of, frozen=True):
    """An execution that runs: for how many seconds, whether that is too long for its task type."""

    execution: RunningExecution
    lasts: float | None
    stuck: bool
    lost: bool


class OverdueRow(Of, frozen=True):
    """A job past its next run, by so many seconds."""

    job: OverdueJob
    late: float


class FailingRow(Of, frozen=True):
    """A job that has failed several times in a row."""

    job: FailingJob


class FailureRow(Of, frozen=True):
    """A failed execution; ``said`` is its error for whoever asks."""

    execution: RecentExecution
    said: str | None


class WorkerRow(Of, frozen=True):
    """A worker: what it runs, what it did in 24 hours; None where nobody tells."""

    id: str
    host: str | None
    state: str | None
    seen: float | None
    busy: int | None
    executions: int | None
    failed: int | None
    success: str | None

    @property
    def ratio(self) -> float:
        """The share of its executions that succeeded; 1 of nothing."""
        return _ratio(self.executions or 0, self.failed or 0)


class TypeRow(Of, frozen=True):
    """A task type's executions of 24 hours."""

    name: str
    total: int
    failed: int
    mean: float | None
    p95: float | None

    @property
    def success(self) -> str | None:
        """The share of them that succeeded, in words."""
        return share(self.total - self.failed, self.total)

    @property
    def ratio(self) -> float:
        """The share of them that succeeded."""
        return _ratio(self.total, self.failed)


class Lists(msgspec.Struct, frozen=True, kw_only=True):
    """Whole lists, each with its worst first."""

    running: list[RunningRow]
    overdue: list[OverdueRow]
    failing: list[FailingRow]
    workers: list[WorkerRow]


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """Sums over the stores that know; None where none does. Executions are those of 24 hours."""

    running: int | None
    stuck: int | None
    orphaned: int | None
    overdue: int | None
    scheduled: int | None
    waiting: int | None
    failed: int | None
    workers: int | None
    active: int | None
    lost: int | None
    ended: int | None
    bad: int | None
    success: str | None
    mean: float | None


def ages(stores: Iterable[Known], now: float) -> dict[str, float]:
    """Seconds since each question that lists are made of was answered by the store that did so longest ago."""
    found: dict[str, float] = {}
    for known in stores:
        for part in known.parts:
            if part.collected_at is not None and part.value is not None and part.fresh(known.now):
                found[part.collector] = max(found.get(part.collector, 0.0), now - part.collected_at)
    return found


def running_rows(stores: Iterable[tuple[AnyStore, Known]], now: float) -> list[RunningRow]:
    """What runs, as far as it is listed one by one: what is stuck first, then what runs for longest."""
    rows = []
    for config, known in stores:
        if known.running is None:
            continue
        lost = {w.id for w in known.workers.workers if w.state == "lost"} if known.workers is not None else set()
        after = config.stuck_after if isinstance(config, PostgresStore) else StuckAfter()
        for execution in known.running.oldest:
            lasts = None if execution.started_at is None else max(0.0, now - execution.started_at)
            stuck = lasts is not None and lasts > after.task_types.get(execution.task_type, after.default)
            rows.append(RunningRow(known.store, execution, lasts, stuck, execution.worker_id in lost))
    return sorted(rows, key=lambda row: (not (row.stuck or row.lost), -(row.lasts or 0.0)))


def overdue_rows(stores: Iterable[Known], now: float) -> list[OverdueRow]:
    """Jobs past their next run, the latest first."""
    rows = [OverdueRow(one.store, job, max(0.0, now - job.due)) for one in stores for job in one.overdue_jobs]
    return sorted(rows, key=lambda row: -row.late)


def failing_rows(stores: Iterable[Known], least: float) -> list[FailingRow]:
    """Jobs whose latest ``least`` executions failed, the longest streak first."""
    failing = ((one.store, job) for one in stores if one.counts is not None for job in one.counts.failing)
    rows = [FailingRow(store, job) for store, job in failing if job.streak >= least]
    return sorted(rows, key=lambda row: (-row.job.streak, -row.job.last_failure))


def worker_rows(stores: Iterable[tuple[Known, Statistics | None]]) -> list[WorkerRow]:
    """Workers that the store lists, that run something, or that did within 24 hours."""
    rows = list(chain.from_iterable(_workers(known, found) for known, found in stores))
    return sorted(rows, key=lambda row: (_STATES.get(row.state or "", 4), -(row.failed or 0), row.store, row.id))


def _workers(known: Known, found: Statistics | None) -> Iterable[WorkerRow]:
    listed = {worker.id: worker for worker in known.workers.workers} if known.workers is not None else {}
    busy = known.running.by_worker if known.running is not None else None
    figures = found.by_label if found is not None and found.counted else {}
    # What the series budget left out is no worker.
    for name in {*listed, *(busy or ()), *figures} - ({OTHER} - listed.keys()):
        worker = listed.get(name)
        total, success, failed = ended(figures[name].counts) if name in figures else (0, 0, 0)
        yield WorkerRow(
            known.store,
            id=name,
            host=worker.host if worker is not None else None,
            state=worker.state if worker is not None else None,
            seen=worker.last_seen if worker is not None else None,
            busy=busy.get(name, 0) if busy is not None else None,
            executions=total if figures else None,
            failed=failed if figures else None,
            success=share(success, total),
        )


def type_rows(stores: Mapping[str, Statistics]) -> Sequence[TypeRow]:
    """Task types that ended anything within 24 hours: those with most failures first."""
    found: list[tuple[str, str, Figures]] = []
    keys: list[float] = []
    for store, statistics in stores.items():
        for name, figures in statistics.by_label.items():
            total, _, failed = ended(figures.counts)
            if total:
                found.append((store, name, figures))
                keys.append(-(failed + total / _MANY))

    def make(place: int) -> TypeRow:
        store, name, figures = found[place]
        total, _, failed = ended(figures.counts)
        return TypeRow(store, name, total, failed, figures.mean, figures.p95)

    return Made(keys, make)


def totals(stores: list[Known], found: Iterable[Statistics]) -> Totals:
    """Everything added up."""
    counts = [job_counts(one.jobs, one.queues) for one in stores]
    kinds = [kind for one in stores if one.running is not None for kind in one.running.by_task_type.values()]
    workers = [one.workers for one in stores if one.workers is not None]
    states = [by_state(one) for one in workers]
    any_running = any(one.running is not None for one in stores)
    figures = [one.overall for one in found if one.counted]
    done = [ended(one.counts) for one in figures]
    timed = sum(one.timed for one in figures)

    def jobs(*statuses: str) -> int | None:
        known = [n for one in counts for (status, _), n in one.items() if status in statuses]
        return sum(known) if known else None

    return Totals(
        running=_sum(one.running_count for one in stores),
        stuck=_sum(one.stuck for one in stores),
        orphaned=_sum(map(attrgetter("orphaned"), kinds)) if kinds or not any_running else 0,
        overdue=_sum(one.overdue for one in stores),
        scheduled=jobs("SCHEDULED"),
        waiting=jobs("PENDING", "QUEUED"),
        failed=jobs("FAILED"),
        workers=_sum(len(one.workers) if one.total is None else one.total for one in workers),
        active=_sum(one.get("active") for one in states),
        lost=_sum(one.get("lost") for one in states),
        ended=sum(total for total, _, _ in done) if done else None,
        bad=sum(bad for _, _, bad in done) if done else None,
        success=share(sum(good for _, good, _ in done), sum(total for total, _, _ in done)),
        mean=sum(one.sum for one in figures) / timed if timed else None,
    )


def _ratio(total: int, failed: int) -> float:
    return 1 - failed / total if total else 1.0


def _sum(numbers: Iterable[int | None]) -> int | None:
    known = [number for number in numbers if number is not None]
    return sum(known) if known else None
