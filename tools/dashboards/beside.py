"""What the demo does not have, made up: certificates, a replica, Redis, Kafka, operations, a scheduling worker.

Each line is a series: its labels, and how it goes. Panels that need one of these are listed in tests/dashboards with
the reason; everything else has to be in the recording of the demo.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from typing import Final

Wave = Callable[[float], float]
"""A gauge's value at a time (Unix seconds), or a counter's rate by the second."""
Series = tuple[str, dict[str, str], str, Wave]
"""Name, labels, gauge or counter, and how it goes."""

DAY: Final = 86400
SYNC_BOUNDS: Final = (0.1, 0.5, 1, 2, 5, 10, 30)
INFERENCE_BOUNDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1)
TRAINING_BOUNDS: Final = (60, 300, 900, 1800, 3600)
WORKER: Final = {"store": "worker"}
CONFIDENCE_BOUNDS: Final = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1)


def busy(level: float, swing: float = 0.4, noise: float = 0.1) -> Wave:
    """More by day than by night, and never quite the same."""

    def at(moment: float) -> float:
        jitter = random.Random(int(moment)).uniform(-noise, noise)
        return max(0.0, level * (1 + swing * math.sin(2 * math.pi * (moment % DAY) / DAY) + jitter))

    return at


def steady(value: float) -> Wave:
    """Always the same."""
    return lambda _: value


def ends_in(seconds: float, now: float) -> Wave:
    """A fixed date, so many seconds from the end of the history."""
    return lambda _: now + seconds


def histogram(
    name: str, labels: dict[str, str], bounds: tuple[float, ...], middle: float, rate: float
) -> Iterator[Series]:
    """Observations around ``middle``, ``rate`` of them in a second."""
    for bound in (*bounds, math.inf):
        share = 1 / (1 + (middle / bound) ** 5) if bound < bounds[-1] else 1.0
        le = "+Inf" if math.isinf(bound) else str(float(bound))
        yield f"{name}_bucket", {**labels, "le": le}, "counter", busy(rate * share, noise=0)
    yield f"{name}_count", labels, "counter", busy(rate, noise=0)
    yield f"{name}_sum", labels, "counter", busy(rate * middle * 1.2, noise=0)


def sidecar(now: float) -> Iterator[Series]:
    """Series that a sidecar has where such things are configured."""
    certificate = ends_in(34 * DAY, now)
    yield "scheduling_connection_tls_expiry_timestamp_seconds", {"connection": "shop"}, "gauge", certificate
    yield "scheduling_db_replication_lag_seconds", {"connection": "reports-replica"}, "gauge", busy(2.5, noise=0.9)
    for result, rate in (("success", 0.0008), ("held_back", 0.0002)):
        yield "scheduling_exporter_remediations_total", {"rule": "check-again", "result": result}, "counter", busy(rate)
    cache = {"name": "cache"}
    yield "scheduling_redis_operations_total", cache, "counter", busy(420)
    yield "scheduling_redis_keyspace_hits_total", cache, "counter", busy(310)
    yield "scheduling_redis_keyspace_misses_total", cache, "counter", busy(24, noise=0.5)
    events = {"name": "events", "topic": "jobs"}
    yield "scheduling_kafka_messages_produced_total", events, "counter", busy(35)
    yield "scheduling_kafka_messages_consumed_total", {**events, "group": "workers"}, "counter", busy(34)
    for stage, level in (("queued", 10.0), ("cache_check", 2.0), ("executing", 12.0), ("completed", 3.0)):
        yield "scheduling_operations", {"store": "build", "stage": stage}, "gauge", lambda t, x=level: round(busy(x)(t))
    for state, count in (("active", 4), ("paused", 1), ("draining", 0), ("lost", 0)):
        yield "scheduling_workers", {"store": "build", "state": state}, "gauge", steady(count)
    job = {"store": "demo", "job_id": "nightly_report", "job_name": "nightly_report", "task_type": "generate_report"}
    yield "scheduling_job_next_run_timestamp_seconds", job, "gauge", lambda t: (t // DAY + 1) * DAY
    late = {"store": "build", "job_id": "close_books", "job_name": "close_books", "task_type": "billing_invoice"}
    yield "scheduling_job_next_run_timestamp_seconds", late, "gauge", ends_in(-900, now)
    yield "scheduling_job_overdue_seconds", late, "gauge", lambda t: max(0.0, t - now + 900)
    yield "scheduling_jobs_overdue", {"store": "build"}, "gauge", steady(1)


def told() -> Iterator[Series]:
    """What a scheduler over HTTP adds up itself: of all task types, and of each."""
    for period, seconds in (("1h", 3600), ("24h", 86_400)):
        for task_type, rate in (("", 0.3), ("email", 0.2), ("report", 0.1)):
            labels = {"store": "chronos", "period": period, "task_type": task_type}
            for what, part in (("executions", 1.0), ("failures", 0.02), ("retries", 0.05)):
                ended = rate * part * seconds
                yield f"scheduling_period_{what}", labels, "gauge", lambda t, x=ended: round(busy(x, 0.3, 0.02)(t))
            yield "scheduling_period_duration_mean_seconds", labels, "gauge", busy(1.2, noise=0.05)
            yield "scheduling_period_duration_max_seconds", labels, "gauge", busy(14, noise=0.3)


def worker() -> Iterator[Series]:
    """The scheduling worker's own metrics, from the pack of that name."""
    for query in ("calendar_sync", "goals_created", "ml_recommendations"):
        counted_by = {**WORKER, "pack": "scheduling-worker", "query": query}
        yield "scheduling_exporter_pack_counting_exact", counted_by, "gauge", steady(1)
        yield "scheduling_exporter_pack_cursor_timestamp_seconds", counted_by, "gauge", lambda t: t - busy(8)(t)
    yield from calendar()
    yield from goals()
    yield from models()


def counted(name: str, label: str, rates: dict[str, float], **more: str) -> Iterator[Series]:
    """A counter with a series for each value of a label."""
    for value, rate in rates.items():
        yield name, {**WORKER, **more, label: value}, "counter", busy(rate, noise=0.3)


def calendar() -> Iterator[Series]:
    """Synchronisation, API, quota."""
    yield from counted("scheduling_calendar_sync_total", "status", {"success": 0.2, "failed": 0.006})
    yield from histogram("scheduling_calendar_sync_duration_seconds", WORKER, SYNC_BOUNDS, 1.4, 0.206)
    yield "scheduling_calendar_events_processed_total", WORKER, "counter", busy(5)
    operations = {"events.list": 0.5, "events.insert": 0.12, "events.update": 0.08, "calendars.list": 0.05}
    yield from counted("scheduling_calendar_api_calls_total", "operation", operations)
    errors = {name: rate * 0.01 for name, rate in operations.items()}
    yield from counted("scheduling_calendar_api_errors_total", "operation", errors)
    for quota, limit in (("requests per day", 1_000_000.0), ("requests per minute", 600.0)):
        yield "scheduling_calendar_api_quota_used", {**WORKER, "quota": quota}, "gauge", busy(limit * 0.4)
        yield "scheduling_calendar_api_quota_limit", {**WORKER, "quota": quota}, "gauge", steady(limit)


def goals() -> Iterator[Series]:
    """Goals, habits, reminders, engagement."""
    created = {"health": 0.004, "learning": 0.003, "work": 0.005}
    yield from counted("scheduling_goals_created_total", "category", created)
    yield from counted("scheduling_goals_completed_total", "category", {k: v * 0.6 for k, v in created.items()})
    yield from counted("scheduling_habits_created_total", "frequency", {"daily": 0.003, "weekly": 0.002})
    yield from counted("scheduling_habits_completed_total", "frequency", {"daily": 0.09, "weekly": 0.02})
    for days, habits in (("1-6", 420.0), ("7-29", 260.0), ("30-99", 90.0), ("100+", 25.0)):
        streak = {**WORKER, "days": days}
        yield "scheduling_habit_streaks_current", streak, "gauge", lambda t, x=habits: round(busy(x, 0.05, 0.01)(t))
    for channel, rate in (("email", 0.03), ("push", 0.08)):
        sent = {"delivered": rate, "failed": rate * 0.015}
        yield from counted("scheduling_habit_reminders_sent_total", "status", sent, channel=channel)
    yield from counted("scheduling_emails_sent_total", "status", {"sent": 0.05, "failed": 0.001}, template="digest")
    actions = {"view": 1.2, "complete": 0.12, "edit": 0.3, "dismiss": 0.08}
    yield from counted("scheduling_user_actions_total", "action", actions)
    yield "scheduling_users_active", WORKER, "gauge", lambda t: round(busy(1800, 0.2, 0.01)(t))


def models() -> Iterator[Series]:
    """Recommendations and training."""
    for version, rate, confidence, seconds in (("v7", 0.4, 0.62, 0.08), ("v8", 0.1, 0.78, 0.12)):
        model = {**WORKER, "model_version": version}
        yield "scheduling_ml_recommendations_total", model, "counter", busy(rate)
        yield from histogram("scheduling_ml_recommendation_confidence", model, CONFIDENCE_BOUNDS, confidence, rate)
        yield from histogram("scheduling_ml_model_inference_duration_seconds", model, INFERENCE_BOUNDS, seconds, rate)
    training = {**WORKER, "model": "slots"}
    yield from histogram("scheduling_ml_training_duration_seconds", training, TRAINING_BOUNDS, 900, 0.0001)
