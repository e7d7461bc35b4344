"""Dependencies: whether they are up, how quick they are, and what Redis and Kafka count. One view, one dependency."""

from __future__ import annotations

from typing import Final, cast

from exporter.dependencies import COLLECTOR, CONSUMED, HITS, MISSES, OPERATIONS, PRODUCED, DependencyState
from exporter.metrics.family import Families, Family, Sample, View

SCOPE: Final = "dependency"
INPUTS: Final = (COLLECTOR,)

UP: Final = Family(
    "scheduling_dependency_up",
    "gauge",
    "Whether the last check of the dependency reached its end: 1, or 0 (too old counts as 0).",
    ("name", "kind"),
)
RESPONSE: Final = Family(
    "scheduling_dependency_response_seconds",
    "gauge",
    "Duration of the last check from end to end, successful or not.",
    ("name", "kind"),
)
LAST_SUCCESS: Final = Family(
    "scheduling_dependency_last_success_timestamp_seconds",
    "gauge",
    "When the last successful check of the dependency ended.",
    ("name", "kind"),
)
REDIS_OPERATIONS: Final = Family(
    "scheduling_redis_operations_total",
    "counter",
    "Commands that Redis processed (INFO) since the first check; those of the checks are among them.",
    ("name",),
)
REDIS_HITS: Final = Family(
    "scheduling_redis_keyspace_hits_total",
    "counter",
    "Keys that were looked up in Redis and found (INFO) since the first check.",
    ("name",),
)
REDIS_MISSES: Final = Family(
    "scheduling_redis_keyspace_misses_total",
    "counter",
    "Keys that were looked up in Redis and not found (INFO) since the first check.",
    ("name",),
)
KAFKA_PRODUCED: Final = Family(
    "scheduling_kafka_messages_produced_total",
    "counter",
    "Offsets by which the topic grew in all partitions since the first check.",
    ("name", "topic"),
)
KAFKA_CONSUMED: Final = Family(
    "scheduling_kafka_messages_consumed_total",
    "counter",
    "Offsets by which the consumer group's committed positions moved on in the topic since the first check.",
    ("name", "group", "topic"),
)
_COUNTERS: Final = {
    OPERATIONS: REDIS_OPERATIONS,
    HITS: REDIS_HITS,
    MISSES: REDIS_MISSES,
    PRODUCED: KAFKA_PRODUCED,
    CONSUMED: KAFKA_CONSUMED,
}


def collect(view: View) -> Families:
    """Counters outlive failures and staleness. Before the first check there is nothing."""
    part = view.parts.get(COLLECTOR)
    if part is None:
        return
    state = cast(DependencyState, part.value)
    labels = (state.name, state.kind)
    fresh = COLLECTOR not in view.stale
    if state.result is not None:
        yield UP, [(labels, float(state.is_healthy and part.success and fresh))]
    if fresh and state.response is not None:
        yield RESPONSE, [(labels, state.response)]
    if fresh and state.last_success is not None:
        yield LAST_SUCCESS, [(labels, state.last_success)]
    counts = sorted(state.counts.items())
    for name, family in _COUNTERS.items():
        found: list[Sample] = [((state.name, *rest), n) for (kind, *rest), n in counts if kind == name]
        if found:
            yield family, found
