"""How long all checks of PostgreSQL targets took, and how late they began: histograms of the process, with no label."""

from __future__ import annotations

from typing import Final, cast

from exporter.connections import CHECK_BUCKETS, DURATIONS_COLLECTOR, Rhythm
from exporter.metrics.family import Families, Family, View

SCOPE: Final = "process"
INPUTS: Final = (DURATIONS_COLLECTOR,)

DURATION: Final = Family(
    "scheduling_connection_check_duration_seconds",
    "histogram",
    "Duration of the checks of all targets from end to end, successful or not.",
    buckets=CHECK_BUCKETS,
)
LATENESS: Final = Family(
    "scheduling_connection_check_lateness_seconds",
    "histogram",
    "How long after its time each scheduled check began; it waits for connections.max_concurrent_checks.",
    buckets=CHECK_BUCKETS,
)


def collect(view: View) -> Families:
    """The histograms; none where no target is configured."""
    if part := view.parts.get(DURATIONS_COLLECTOR):
        rhythm = cast(Rhythm, part.value)
        yield DURATION, [((), rhythm.durations)]
        yield LATENESS, [((), rhythm.lateness)]
