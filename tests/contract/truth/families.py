"""The families about a scheduler, worked out from what its tables say. None: the family has to be absent.

Written from docs/metrics.md, not from the exporter's code: labels and meaning are what is promised there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from contract.truth.model import LIVE, PATIENCE, PERHAPS, Between, Job, Recurring, Run, Told

#: Label values in the order of the family's labels, ``store`` left out.
Labels = tuple[str, ...]
Value = float | Between
Series = dict[Labels, Value]
#: A gauge may be so old (s): polls are 2 s apart, and the machine is busy.
AGE: Final = 20.0
_ENDED: Final = ("COMPLETED", "FAILED", "CANCELLED")
BOUNDS: Final = (0.1, 0.5, 1, 2, 5, 10, 30, 60, 300, 1800, 7200, 14400)


def _summed(pairs: Iterable[tuple[Labels, int]], zeros: Iterable[Labels] = ()) -> Series:
    sums: Series = dict.fromkeys(zeros, 0.0)
    for labels, n in pairs:
        sums[labels] = sums.get(labels, 0.0) + n  # type: ignore[operator]
    return sums


def jobs(told: Told) -> Series:
    """Also the statuses that no job has."""
    zeros = [(status, kind) for status in (*LIVE, *_ENDED) for kind in ("ONE_TIME", "RECURRING")]
    one_time = [((job.status, "ONE_TIME"), 1) for job in told.jobs]
    return _summed([*one_time, *(((job.status, "RECURRING"), 1) for job in told.recurring)], zeros)


def _waiting(told: Told) -> list[Job]:
    return [*told.listed, *(job for job in told.jobs if job.status in LIVE)]


def queue_jobs(told: Told) -> Series:
    def state(job: Job) -> str:
        return "ready" if job.ready(told.now) else "running" if job.status == "RUNNING" else "scheduled"

    live = _waiting(told)
    zeros = [(job.queue, s) for job in live for s in ("ready", "scheduled", "running")]
    return _summed([((job.queue, state(job)), 1) for job in live], zeros)


def oldest_ready(told: Told) -> Series:
    oldest: Series = {}
    for job in _waiting(told):
        if job.ready(told.now) and job.waits_since is not None:
            oldest[(job.queue,)] = min(job.waits_since, oldest.get((job.queue,), job.waits_since))  # type: ignore[type-var]
    return oldest


def _types(told: Told, runs: list[Run]) -> set[str]:
    return {run.task_type for run in runs} | {one.task_type for one in told.running or ()}


def executions(told: Told) -> Series | None:
    if told.runs is None:
        return None
    shown, outcomes = _types(told, told.runs), [outcome.lower() for outcome in told.outcomes]
    # Of a type that was seen at work and has no end, put back or gone say, the zeros stay: who had looked has them.
    perhaps = {job.task_type for job in told.jobs} | told.tasks
    zeros = [(kind, outcome) for kind in shown for outcome in outcomes]
    return {(kind, outcome): PERHAPS for kind in perhaps - shown for outcome in outcomes} | _summed(
        [((run.task_type, run.status.lower()), 1) for run in told.runs], zeros
    )


def retries(told: Told) -> Series | None:
    return _summed(((run.task_type,), int(run.retry)) for run in told.runs or () if run.retry is not None) or None


def by_worker(told: Told) -> Series | None:
    found: dict[Labels, Between] = {}
    for run in told.runs or ():
        if run.worker is not None:
            for status in told.outcomes:
                one = run.status == status
                _add(found, (run.worker, status.lower()), low=one and "worker" not in run.passing, high=one)
    return {**found} or None


def _add(sums: dict[Labels, Between], labels: Labels, low: float, high: float) -> None:
    sums[labels] = sums.get(labels, Between(low=0, high=0)) + Between(low=low, high=high)


def _histogram(told: Told, span: Callable[[Run], float | None], *fields: str) -> Series | None:
    """Of how many seconds, the most where one of the fields that they are made of was told for a while only."""
    found: dict[Labels, Between] = {}
    for run in told.runs or ():
        if (most := span(run)) is not None:
            sure, kind, most = run.passing.isdisjoint(fields), run.task_type, max(0.0, most)
            for bound in BOUNDS:
                _add(
                    found, (kind, "bucket", f"{bound:.1f}"), low=sure and most <= bound, high=not sure or most <= bound
                )
            _add(found, (kind, "bucket", "+Inf"), low=sure, high=1)
            _add(found, (kind, "count", ""), low=sure, high=1)
            _add(found, (kind, "sum", ""), low=sure and most, high=most)
    return {**found} or None


def durations(told: Told) -> Series | None:
    return _histogram(told, lambda run: None if run.began is None else run.ended - run.began, "began")


def waits(told: Told) -> Series | None:
    def span(run: Run) -> float | None:
        return None if run.began is None or run.due is None else run.began - run.due

    return _histogram(told, span, "began", "due")


def newest(told: Told) -> Series | None:
    return {(): max(run.ended for run in told.runs)} if told.runs else None


def failures(told: Told) -> Series | None:
    """How many executions of a job have failed since the latest that did not; a cancelled one says nothing."""
    if told.runs is None:
        return None
    streaks: dict[Labels, int] = {}
    for run in sorted(told.runs, key=lambda run: run.ended):
        job = (run.recurs or run.job, run.task_type, run.task_type, "false")
        if run.failed:
            streaks[job] = streaks.get(job, 0) + 1
        elif run.status == "SUCCESS":
            streaks.pop(job, None)
    return {**streaks}


def _of(job: Recurring) -> Labels:
    return job.id, job.name, job.task_type


def last_success(told: Told) -> Series:
    found: Series = {}
    for job in told.recurring:
        ended = [run.ended for run in told.runs or () if run.recurs == job.id and run.status == "SUCCESS"]
        if ended:
            found[_of(job)] = max(ended)
    return found


def next_run(told: Told) -> Series:
    return {_of(job): job.next_run for job in told.recurring if job.next_run is not None}


def _late(told: Told) -> dict[Labels, float]:
    limit = told.now - PATIENCE
    waits = [
        ((job.id, job.task_type, job.task_type), job.due) for job in told.jobs if job.status in ("SCHEDULED", "QUEUED")
    ]
    busy = {one.job for one in told.running or ()}
    recur = [(_of(job), job.next_run) for job in told.recurring if job.status == "SCHEDULED" and job.id not in busy]
    return {labels: due for labels, due in [*waits, *recur] if due is not None and due < limit}


def overdue(told: Told) -> Series:
    """As old as the latest poll."""
    return {job: Between(low=told.now - due - AGE, high=told.now - due + 1) for job, due in _late(told).items()}


def overdue_jobs(told: Told) -> Series:
    return {(): float(len(_late(told)))}


def running(told: Told) -> Series | None:
    return None if told.running is None else _summed(((one.task_type,), 1) for one in told.running)


def oldest_running(told: Told) -> Series | None:
    oldest: dict[Labels, float] = {}
    for one in told.running or ():
        if one.began is not None:
            oldest[(one.task_type,)] = min(one.began, oldest.get((one.task_type,), one.began))
    return {**oldest} if told.running is not None else None


def stuck(told: Told) -> Series | None:
    known = [one for one in told.running or () if one.began is not None]
    late = (((one.task_type,), int(told.now - one.began > PATIENCE)) for one in known)  # type: ignore[operator]
    return None if told.running is None else _summed(late)


def orphaned(told: Told) -> Series | None:
    """Whose worker is lost, or nobody's."""
    if told.workers is None or told.running is None:
        return None
    there = {worker.id for worker in told.workers if worker.state(told.now) != "lost"}
    return _summed(((one.task_type,), int(one.worker not in there)) for one in told.running)


def workers(told: Told) -> Series | None:
    if told.workers is None:
        return None
    zeros = [(state,) for state in ("active", "paused", "draining", "lost")]
    return _summed([((worker.state(told.now),), 1) for worker in told.workers], zeros)


def worker_running(told: Told) -> Series | None:
    idle = [(worker.id,) for worker in told.workers or ()]
    return _summed([((one.worker,), 1) for one in told.running or () if one.worker is not None], idle) or None


def last_seen(told: Told) -> Series | None:
    return None if told.workers is None else {(worker.id,): worker.seen for worker in told.workers}


def exact(told: Told) -> Series | None:
    return None if told.runs is None else {(): 1.0}


#: Every family about the scheduler -> (the names of its labels besides ``store``, what it has to be).
FAMILIES: Final[dict[str, tuple[Labels, Callable[[Told], Series | None]]]] = {
    "scheduling_store_up": ((), lambda _: {(): 1.0}),
    "scheduling_jobs": (("status", "type"), jobs),
    "scheduling_queue_jobs": (("queue", "state"), queue_jobs),
    "scheduling_queue_oldest_ready_timestamp_seconds": (("queue",), oldest_ready),
    "scheduling_job_consecutive_failures": (("job_id", "job_name", "task_type", "critical"), failures),
    "scheduling_job_last_success_timestamp_seconds": (("job_id", "job_name", "task_type"), last_success),
    "scheduling_job_next_run_timestamp_seconds": (("job_id", "job_name", "task_type"), next_run),
    "scheduling_job_overdue_seconds": (("job_id", "job_name", "task_type"), overdue),
    "scheduling_jobs_overdue": ((), overdue_jobs),
    "scheduling_executions_total": (("task_type", "status"), executions),
    "scheduling_execution_retries_total": (("task_type",), retries),
    "scheduling_execution_duration_seconds": (("task_type",), durations),
    "scheduling_execution_wait_seconds": (("task_type",), waits),
    "scheduling_worker_executions_total": (("worker", "status"), by_worker),
    "scheduling_last_execution_timestamp_seconds": ((), newest),
    "scheduling_exporter_counting_exact": ((), exact),
    "scheduling_executions_running": (("task_type",), running),
    "scheduling_execution_oldest_running_timestamp_seconds": (("task_type",), oldest_running),
    "scheduling_executions_stuck": (("task_type",), stuck),
    "scheduling_executions_orphaned": (("task_type",), orphaned),
    "scheduling_workers": (("state",), workers),
    "scheduling_worker_running": (("worker",), worker_running),
    "scheduling_worker_last_seen_timestamp_seconds": (("worker",), last_seen),
    "scheduling_operations": (("stage",), lambda _: None),
}
