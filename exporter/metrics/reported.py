"""What schedulers with an API of their own tell: their health; what ended in periods, which slide and so are gauges."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, cast

from exporter.domain import Figures, Statistics
from exporter.metrics.budget import settings, top
from exporter.metrics.family import Families, Family, View
from exporter.reported import PERIODS, Health, Live, Period, period_part

SCOPE: Final = "store"
INPUTS: Final = ("health", "live", "settings", *(period_part(period) for period in PERIODS))

HEALTHY = Family(
    "scheduling_store_healthy",
    "gauge",
    "Whether the scheduler says that it, or one of its components, is healthy; component empty: the whole.",
    ("store", "component"),
)
STARTED = Family(
    "scheduling_store_start_timestamp_seconds", "gauge", "When the scheduler started, by its own uptime.", ("store",)
)
_PERIOD: Final = ("store", "period", "task_type")
EXECUTIONS = Family(
    "scheduling_period_executions",
    "gauge",
    "Executions that ended in the latest period, as the scheduler's API counts them; task_type empty: all of them.",
    _PERIOD,
)
FAILURES = Family(
    "scheduling_period_failures",
    "gauge",
    "Executions that failed or timed out in the latest period, as the scheduler's API counts them.",
    _PERIOD,
)
RETRIES = Family(
    "scheduling_period_retries",
    "gauge",
    "Executions of the latest period that were a second or later attempt, as the scheduler's API counts them.",
    _PERIOD,
)
MEAN = Family(
    "scheduling_period_duration_mean_seconds",
    "gauge",
    "Mean duration of executions of the latest period, as the scheduler's API has it.",
    _PERIOD,
)
LONGEST = Family(
    "scheduling_period_duration_max_seconds",
    "gauge",
    "Longest duration of executions of the latest period, as the scheduler's API has it.",
    _PERIOD,
)
#: What the moment's answer looks back on.
_LIVE: Final = "5m"


def collect(view: View) -> Families:
    """Gauges only: what is not told, or too old, is absent."""
    health = cast("Health | None", view.fresh("health"))
    if health is not None:
        yield HEALTHY, [((view.source, name), float(well)) for name, well in health.components.items()]
        if health.started_at is not None:
            yield STARTED, [((view.source,), health.started_at)]
    rows = list(_rows(view))
    for family, value in _FIGURES:
        yield family, [(labels, number) for labels, figures in rows if (number := value(figures)) is not None]


def _rows(view: View) -> Iterator[tuple[tuple[str, str, str], Figures]]:
    limit = max(1, settings(view).series_per_metric // (len(PERIODS) + 1) - 1)
    live = cast("Live | None", view.fresh("live"))
    told: dict[str, Statistics] = {} if live is None else {_LIVE: live.statistics}
    for period in PERIODS:
        part = cast("Period | None", view.fresh(period_part(period)))
        if part is not None:
            told[period] = part.statistics
    for period, statistics in told.items():
        if statistics.counted:
            yield (view.source, period, ""), statistics.overall
        by_type = [item for item in statistics.by_label.items() if item[0]]
        for task_type, figures in top(by_type, limit, lambda item: sum(item[1].counts)):
            yield (view.source, period, task_type), figures


def _ended(figures: Figures) -> float:
    return sum(figures.counts[:3])


def _failed(figures: Figures) -> float:
    return sum(figures.counts[1:3])


def _retried(figures: Figures) -> float | None:
    return None if "retries" in figures.unknown else figures.retries


def _mean(figures: Figures) -> float | None:
    return figures.mean


def _longest(figures: Figures) -> float | None:
    return figures.max


_FIGURES: Final[tuple[tuple[Family, Callable[[Figures], float | None]], ...]] = (
    (EXECUTIONS, _ended),
    (FAILURES, _failed),
    (RETRIES, _retried),
    (MEAN, _mean),
    (LONGEST, _longest),
)
