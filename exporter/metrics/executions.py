"""Finished executions as the ledger counts them, and how well it counts. Reads the part ``executions``."""

from __future__ import annotations

from typing import Final, cast

from exporter.domain import EXECUTION_BUCKETS, FINAL_STATUSES, Executions
from exporter.metrics.family import Families, Family, Sample, View
from exporter.reported import Recent

SCOPE: Final = "store"
INPUTS: Final = ("executions", "backfill", "recent")

TOTAL = Family(
    "scheduling_executions_total",
    "counter",
    "Finished executions by outcome, each attempt once, since the exporter first saw the store.",
    ("store", "task_type", "status"),
    persistent=True,
)
RETRIES = Family(
    "scheduling_execution_retries_total",
    "counter",
    "Finished executions that were a second or later attempt.",
    ("store", "task_type"),
    persistent=True,
)
DURATION = Family(
    "scheduling_execution_duration_seconds",
    "histogram",
    "From the start to the end of finished executions whose start the store knows.",
    ("store", "task_type"),
    buckets=EXECUTION_BUCKETS,
    persistent=True,
)
WAIT = Family(
    "scheduling_execution_wait_seconds",
    "histogram",
    "From when finished executions were due to their start.",
    ("store", "task_type"),
    buckets=EXECUTION_BUCKETS,
    persistent=True,
)
BY_WORKER = Family(
    "scheduling_worker_executions_total",
    "counter",
    "Finished executions by the worker that ran them and outcome.",
    ("store", "worker", "status"),
    persistent=True,
)
NEWEST = Family(
    "scheduling_last_execution_timestamp_seconds", "gauge", "When the newest finished execution ended.", ("store",)
)
LATE = Family(
    "scheduling_exporter_late_executions_total",
    "counter",
    "Executions that appeared behind the cursor, in a transaction that committed late: counted all the same.",
    ("store",),
    persistent=True,
)
DUPLICATE = Family(
    "scheduling_exporter_duplicate_executions_total",
    "counter",
    "Executions that a poll read again and did not count again: the price of missing none.",
    ("store",),
    persistent=True,
)
EXACT = Family(
    "scheduling_exporter_counting_exact",
    "gauge",
    "1 when nothing stands against counting every execution exactly once; the log says what does.",
    ("store",),
)
CURSOR = Family(
    "scheduling_exporter_cursor_timestamp_seconds",
    "gauge",
    "Up to when finished executions have been read, on the store's clock.",
    ("store",),
)
OLDEST_OPEN = Family(
    "scheduling_exporter_oldest_open_transaction_timestamp_seconds",
    "gauge",
    "Since when the oldest transaction is open that may still make executions appear; absent without one.",
    ("store",),
)
DROPPED = Family(
    "scheduling_exporter_series_dropped",
    "gauge",
    "Series that limits.series_per_metric left out since the start; their counts are under the value other.",
    ("store", "metric"),
)
BACKFILL = Family(
    "scheduling_exporter_backfill_ratio",
    "gauge",
    "Share of the wanted history (counting.backfill) that has been read into the statistics; 1 when nothing is left.",
    ("store",),
)
_DROPPED_FROM: Final = {
    "executions": TOTAL.name,
    "retries": RETRIES.name,
    "duration": DURATION.name,
    "wait": WAIT.name,
    "worker": BY_WORKER.name,
}


def collect(view: View) -> Families:
    """Counters also from a stale part: what was counted stays counted."""
    part = view.parts.get("executions")
    if part is None:
        recent = cast("Recent | None", view.fresh("recent"))
        ended = [e.completed_at for e in recent.executions if e.completed_at is not None] if recent is not None else []
        if ended:
            yield NEWEST, [((view.source,), max(ended))]
        return
    executions = cast(Executions, part.value)
    store, counts = view.source, executions.counts
    yield TOTAL, _by_status(store, counts.executions, executions.outcomes)
    yield RETRIES, [((store, task_type), n) for task_type, n in counts.retries.items()]
    yield DURATION, [((store, task_type), h) for task_type, h in counts.durations.items()]
    yield WAIT, [((store, task_type), h) for task_type, h in counts.waits.items()]
    yield BY_WORKER, _by_status(store, counts.workers, executions.outcomes)
    yield LATE, [((store,), counts.late)]
    yield DUPLICATE, [((store,), counts.duplicate)]
    if view.fresh("executions") is None:
        return
    yield EXACT, [((store,), float(executions.exactness.exact))]
    history = view.parts.get("backfill")
    backfill = history.value if history is not None and history.value is not None else counts.backfill
    if backfill is not None:
        yield BACKFILL, [((store,), backfill.ratio)]
    yield DROPPED, [((store, _DROPPED_FROM[metric]), n) for metric, n in counts.dropped.items()]
    moments = ((NEWEST, counts.newest), (CURSOR, executions.cursor_time), (OLDEST_OPEN, executions.oldest_open))
    for family, moment in moments:
        if moment is not None:
            yield family, [((store,), moment)]


def _by_status(store: str, counts: dict[str, tuple[int, ...]], outcomes: tuple[str, ...]) -> list[Sample]:
    """What the store cannot tell is absent: a 0 would make all that it can tell look like all there is."""
    told = [(i, status.lower()) for i, status in enumerate(FINAL_STATUSES) if status in outcomes]
    return [((store, label, status), numbers[i]) for label, numbers in counts.items() for i, status in told]
