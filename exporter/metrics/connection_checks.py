"""The duration of all checks of PostgreSQL targets: a histogram of the process, with no label."""

from __future__ import annotations

from typing import Final, cast

from exporter.connections import CHECK_BUCKETS, DURATIONS_COLLECTOR
from exporter.domain import Histogram
from exporter.metrics.family import Families, Family, View

SCOPE: Final = "process"
INPUTS: Final = (DURATIONS_COLLECTOR,)

DURATION: Final = Family(
    "scheduling_connection_check_duration_seconds",
    "histogram",
    "Duration of the checks of all targets from end to end, successful or not.",
    buckets=CHECK_BUCKETS,
)


def collect(view: View) -> Families:
    """The histogram; none where no target is configured."""
    if part := view.parts.get(DURATIONS_COLLECTOR):
        yield DURATION, [((), cast(Histogram, part.value))]
