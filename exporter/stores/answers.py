"""Rows of the wrapped SELECTs turned into the canonical model. Pure: rows and settings in, domain values out."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Final

from exporter.config.model import StuckAfter
from exporter.domain import (
    OPERATION_STAGES,
    JobCounts,
    Operations,
    OverdueJob,
    Queues,
    QueueState,
    RecurringJob,
    Running,
    RunningByType,
    RunningExecution,
    Worker,
)
from exporter.stores.schedule import ScheduleError, next_run
from exporter.stores.session import Row

#: How many running executions are kept one by one.
RUNNING_LISTED: Final = 1_000
#: A worker not seen for so long (s) has left for good and is no longer listed.
WORKER_FORGOTTEN: Final = 86_400.0


def finite(value: float | None) -> float | None:
    """A time, or None for ``infinity`` and the like: never is no moment."""
    return value if value is not None and math.isfinite(value) else None


def job_counts(rows: Iterable[Row]) -> JobCounts:
    """(status, type, n) rows; of jobs without a status nobody knows what they are."""
    return JobCounts(by_status={(status, kind): n for status, kind, n in rows if status is not None})


def queues(rows: Iterable[Row], overdue: list[Row]) -> Queues:
    """(queue, status, type, ready, n, oldest due) rows and the overdue one-time jobs."""
    states: dict[str, QueueState] = {}
    by_status: dict[tuple[str, str], int] = {}
    for queue, status, kind, ready, n, due in rows:
        by_status[status, kind] = by_status.get((status, kind), 0) + n
        old = states.get(queue, QueueState(ready=0, scheduled=0, running=0, oldest_ready=None))
        is_running = status == "RUNNING"
        oldest = [t for t in (old.oldest_ready, finite(due) if ready else None) if t is not None]
        states[queue] = QueueState(
            ready=old.ready + (n if ready else 0),
            scheduled=old.scheduled + (n if not ready and not is_running else 0),
            running=old.running + (n if is_running else 0),
            oldest_ready=min(oldest, default=None),
        )
    late = tuple(
        OverdueJob(job_id=i, job_name=name or "", task_type=t or "", due=d)
        for i, name, t, d, _ in overdue
        if i is not None
    )
    return Queues(queues=states, by_status=by_status, overdue=late, overdue_count=overdue[0][4] if overdue else 0)


class RunningTally:
    """Adds up running executions as they stream in; keeps the oldest ones."""

    def __init__(self, now: float, stuck_after: StuckAfter, workers: Mapping[str, str] | None) -> None:
        self._now = now
        self._stuck_after = stuck_after
        self._workers = workers
        self._types: dict[str, list[float]] = {}  # running, stuck, orphaned, oldest start
        self._by_worker: dict[str, int] = {}
        self._listed: list[RunningExecution] = []

    def add(self, rows: Iterable[Row]) -> None:
        """Rows of RUNNING_COLUMNS."""
        for row_id, job_id, task_type, queue, attempt, started, worker, name, connection, due in rows:
            kind = task_type or ""
            numbers = self._types.setdefault(kind, [0, 0, 0, math.inf])
            numbers[0] += 1
            if started is not None:
                limit = self._stuck_after.task_types.get(kind, self._stuck_after.default)
                numbers[1] += self._now - started > limit
                numbers[3] = min(numbers[3], started)
            if self._workers is not None and self._workers.get(worker, "lost") == "lost":
                numbers[2] += 1
            if worker is not None:
                self._by_worker[worker] = self._by_worker.get(worker, 0) + 1
            if row_id is None:  # counted, but nothing to list
                continue
            self._listed.append(
                RunningExecution(
                    id=row_id, job_id=job_id or row_id, task_type=kind, queue=queue, attempt=attempt,
                    started_at=started, worker_id=worker, job_name=name, connection_id=connection, scheduled_at=due,
                )
            )  # fmt: skip
        self._listed.sort(key=lambda e: e.started_at or 0.0)
        del self._listed[RUNNING_LISTED:]

    def result(self) -> Running:
        """What runs now."""
        known = self._workers is not None
        return Running(
            by_task_type={
                kind: RunningByType(
                    running=int(running),
                    stuck=int(stuck) if math.isfinite(oldest) else None,  # no start is known: nobody can say
                    orphaned=int(orphaned) if known else None,
                    oldest_start=finite(oldest),
                )
                for kind, (running, stuck, orphaned, oldest) in self._types.items()
            },
            by_worker=self._by_worker,
            oldest=tuple(self._listed),
        )


def workers(rows: Iterable[Row], now: float, lost_after: float) -> tuple[Worker, ...]:
    """Rows of WORKER_COLUMNS."""
    found = []
    for worker_id, host, seen, connected, paused, draining, accepts, completed, properties in rows:
        silent = now - seen if seen is not None else 0.0
        if worker_id is None or silent > max(WORKER_FORGOTTEN, lost_after):
            continue
        if silent > lost_after:
            state = "lost"
        elif draining:
            state = "draining"
        else:
            state = "paused" if paused else "active"
        found.append(
            Worker(
                id=worker_id, host=host, last_seen=seen, connected_at=connected, state=state, is_paused=paused,
                is_draining=draining, can_accept_work=accepts, actions_completed=completed,
                platform_properties=properties,
            )
        )  # fmt: skip
    return tuple(found)


def operations(rows: Iterable[Row], executing: Iterable[Row]) -> Operations:
    """(stage, n) rows; every known stage is there, at 0 when the store has none. (worker, operation) rows."""
    by_worker: dict[str, list[str]] = {}
    for worker, operation in executing:
        if operation is not None:
            by_worker.setdefault(worker, []).append(operation)
    return Operations(
        by_stage={**dict.fromkeys(OPERATION_STAGES, 0), **{stage: n for stage, n in rows if stage}},
        executing={worker: tuple(sorted(found)) for worker, found in by_worker.items()},
    )


def recurring(
    row: Row,
    *,
    now: float,
    grace: float,
    known_since: float,
    last_started: float | None,
    last_success: float | None,
    runs_now: bool,
) -> tuple[RecurringJob, str | None]:
    """A recurring job, and what is wrong with its schedule text if something is.

    Where the store has no next run it is computed from the cron text: the first run after the last start known, or
    after the job was first seen (``known_since``), so that a missed run stays in the past until the job starts.
    """
    job_id, name, task_type, status, cron, zone, next_at, last_run, created = row
    fault = None
    due = finite(next_at)
    if due is None and cron and status not in ("PENDING", "CANCELLED"):
        started = [t for t in (last_started, finite(last_run)) if t is not None]
        anchor = max(started) if started else max(known_since, finite(created) or 0.0)
        try:
            due = next_run(cron, zone, anchor)
        except ScheduleError as e:
            fault = str(e)
    waiting = status in ("SCHEDULED", "QUEUED") and not runs_now
    job = RecurringJob(
        job_id=job_id,
        name=name or "",
        task_type=task_type or "",
        status=status,
        schedule=cron,
        time_zone=zone,
        next_run=due,
        last_success=last_success,
        overdue_since=due if waiting and due is not None and now - due > grace else None,
    )
    return job, fault
