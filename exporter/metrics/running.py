"""What runs now, workers and operations. Reads the parts ``running``, ``workers`` and ``operations``."""

from __future__ import annotations

from typing import Final, cast

from exporter.domain import Operations, Running, RunningByType, Workers
from exporter.job_counts import by_state
from exporter.metrics.budget import folded, settings, top
from exporter.metrics.family import Families, Family, View

SCOPE: Final = "store"
INPUTS: Final = ("running", "workers", "operations", "settings")

RUNNING = Family("scheduling_executions_running", "gauge", "Executions that run now.", ("store", "task_type"))
OLDEST = Family(
    "scheduling_execution_oldest_running_timestamp_seconds",
    "gauge",
    "When the oldest execution that runs now started.",
    ("store", "task_type"),
)
STUCK = Family(
    "scheduling_executions_stuck",
    "gauge",
    "Executions that run for longer than stuck_after allows their task type.",
    ("store", "task_type"),
)
ORPHANED = Family(
    "scheduling_executions_orphaned",
    "gauge",
    "Executions marked as running whose worker is lost or unknown.",
    ("store", "task_type"),
)
WORKERS = Family("scheduling_workers", "gauge", "Workers by state, as the store knows them.", ("store", "state"))
WORKER_RUNNING = Family(
    "scheduling_worker_running", "gauge", "Executions that the worker runs now.", ("store", "worker")
)
LAST_SEEN = Family(
    "scheduling_worker_last_seen_timestamp_seconds", "gauge", "The worker's latest heartbeat.", ("store", "worker")
)
OPERATIONS = Family("scheduling_operations", "gauge", "Operations by stage.", ("store", "stage"))


def collect(view: View) -> Families:
    """Gauges only: what is stale or not mapped by the profile is absent."""
    store, limit = view.source, settings(view).series_per_metric
    running = cast("Running | None", view.fresh("running"))
    workers = cast("Workers | None", view.fresh("workers"))
    operations = cast("Operations | None", view.fresh("operations"))
    if running is not None:
        yield from _running(store, running, limit)
    if workers is not None:
        yield from _workers(store, workers, limit)
    told = {w.id: w.running for w in workers.workers if w.running is not None} if workers is not None else {}
    if told:
        by_worker = folded(told, limit, float, int.__add__)
        yield WORKER_RUNNING, [((store, worker), n) for worker, n in by_worker.items()]
    elif running is not None and running.attributed and (workers is not None or running.by_worker):
        counts = {w.id: 0 for w in workers.workers} if workers is not None else {}
        by_worker = folded(counts | running.by_worker, limit, float, int.__add__)
        yield WORKER_RUNNING, [((store, worker), n) for worker, n in by_worker.items()]
    if operations is not None:
        yield OPERATIONS, [((store, stage), n) for stage, n in operations.by_stage.items()]


def _running(store: str, running: Running, limit: int) -> Families:
    types = folded(running.by_task_type, limit, lambda t: t.running, _add)
    yield RUNNING, [((store, kind), t.running) for kind, t in types.items()]
    yield STUCK, [((store, kind), t.stuck) for kind, t in types.items() if t.stuck is not None]
    yield OLDEST, [((store, kind), t.oldest_start) for kind, t in types.items() if t.oldest_start is not None]
    yield ORPHANED, [((store, kind), t.orphaned) for kind, t in types.items() if t.orphaned is not None]


def _add(a: RunningByType, b: RunningByType) -> RunningByType:
    starts = [t for t in (a.oldest_start, b.oldest_start) if t is not None]
    return RunningByType(
        running=a.running + b.running,
        stuck=None if a.stuck is None or b.stuck is None else a.stuck + b.stuck,
        orphaned=None if a.orphaned is None or b.orphaned is None else a.orphaned + b.orphaned,
        oldest_start=min(starts, default=None),
    )


def _workers(store: str, workers: Workers, limit: int) -> Families:
    yield WORKERS, [((store, state), n) for state, n in by_state(workers).items()]
    seen = top(workers.workers, limit, lambda w: w.last_seen or 0.0)
    yield LAST_SEEN, [((store, w.id), w.last_seen) for w in seen if w.last_seen is not None]
