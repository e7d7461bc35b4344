"""Calendar sync (pack scheduling-worker): successes and failures, duration, events, calls and quota of the API."""

from __future__ import annotations

from typing import Any

from dashboards.src import panels as p
from dashboards.src.board import Frame
from dashboards.src.queries import (
    Query,
    heatmap,
    hourly,
    hourly_share,
    increase,
    mean,
    most,
    quantile,
    rate,
    select,
    share,
    threshold,
    total,
)

SYNC = "scheduling_calendar_sync_total"
DURATION = "scheduling_calendar_sync_duration_seconds"
EVENTS = "scheduling_calendar_events_processed_total"
CALLS, ERRORS = "scheduling_calendar_api_calls_total", "scheduling_calendar_api_errors_total"
USED, LIMIT = "scheduling_calendar_api_quota_used", "scheduling_calendar_api_quota_limit"
GOOD = 'status="success"'


def now() -> list[Any]:
    """Numbers of the last day, and the quota."""
    quota = share(total(select(USED), "quota"), total(select(LIMIT), "quota"))
    return [
        p.number(
            "Syncs, 24 h",
            "Synchronisations of calendars that ended within 24 hours.",
            "short",
            Query(total(increase(SYNC, over="24h")), "syncs"),
            size=(4, 5),
        ),
        p.number(
            "Success, 24 h",
            "Share of them that succeeded.",
            "percentunit",
            Query(share(total(increase(SYNC, GOOD, over="24h")), total(increase(SYNC, over="24h"))), "success"),
            steps=((None, p.BAD), (0.9, p.WARN), (0.98, p.GOOD)),
            decimals=1,
            size=(4, 5),
        ),
        p.number(
            "Mean sync, 24 h",
            "How long a synchronisation took on average.",
            "s",
            Query(mean(DURATION, over="24h"), "mean"),
            decimals=2,
            size=(4, 5),
        ),
        p.number(
            "API errors, 10 min",
            "Calls of the calendar API that it answered with an error within 10 minutes. Red above 5, the default of "
            "calendar_api_errors_10m.",
            "short",
            Query(total(increase(ERRORS, over="10m")), "errors"),
            steps=((None, p.GOOD), (1, p.WARN), (5, p.BAD)),
            decimals=0,
            size=(4, 5),
            runbooks=["SchedulingCalendarSyncFailing"],
        ),
        p.bars(
            "API quota in use",
            "What is used of each quota of the calendar API.",
            "percentunit",
            Query(quota, "{{quota}}").instant(),
            steps=((None, p.GOOD), (0.7, p.WARN), (0.9, p.BAD)),
            top=1,
            size=(8, 5),
        ),
    ]


def syncs() -> list[Any]:
    """Synchronisations."""
    return [
        p.hours(
            "Syncs by outcome",
            "Synchronisations within each hour that succeeded and failed; the last bar is the hour "
            "that is not over yet.",
            Query(hourly(SYNC, "status"), "{{status}}"),
            stack=True,
            colours=p.OUTCOMES,
        ),
        p.graph(
            "Failed syncs",
            "Share of the synchronisations of an hour that failed, by store.",
            "percentunit",
            Query(hourly_share(SYNC, 'status="failed"', "store"), "{{store}}"),
            top=1,
        ),
        p.graph(
            "Duration of syncs",
            "Median, 95th percentile and mean of the synchronisations that ended lately.",
            "s",
            Query(quantile(0.5, DURATION), "median"),
            Query(quantile(0.95, DURATION), "95th percentile"),
            Query(mean(DURATION), "mean"),
            colours={"median": p.GOOD, "95th percentile": p.WARN, "mean": p.CALM},
        ),
        p.spread("Spread of durations", "How many synchronisations took how long.", "s", heatmap(DURATION)),
        p.graph(
            "Events for each sync",
            "Events that a synchronisation processed on average, within the hour before.",
            "short",
            Query(
                share(total(increase(EVENTS, over="1h"), "store"), total(increase(SYNC, over="1h"), "store")),
                "{{store}}",
            ),
        ),
        p.graph(
            "Events processed",
            "Events that synchronisations process in a second.",
            "eps",
            Query(total(rate(EVENTS), "store"), "{{store}}"),
        ),
    ]


def api() -> list[Any]:
    """The calendar's API."""
    return [
        p.graph(
            "API calls by operation",
            "Calls of the calendar API in a second.",
            "reqps",
            Query(total(rate(CALLS), "operation"), "{{operation}}"),
            stack=True,
            legend="right",
        ),
        p.graph(
            "API errors within 10 minutes",
            "Calls that the calendar API answered with an error, and the threshold calendar_api_errors_10m.",
            "short",
            Query(total(increase(ERRORS, over="10m"), "store"), "{{store}}"),
            threshold("calendar_api_errors_10m"),
            decimals=0,
            runbooks=["SchedulingCalendarSyncFailing"],
        ),
        p.graph(
            "API error ratio by operation",
            "Share of the calls of an hour that the calendar API answered with an error.",
            "percentunit",
            Query(
                share(total(increase(ERRORS, over="1h"), "operation"), total(increase(CALLS, over="1h"), "operation")),
                "{{operation}}",
            ),
            legend="right",
        ),
        p.graph(
            "API quota",
            "What is used of each quota of the calendar API, and the quota (dashed). The scale is logarithmic.",
            "short",
            Query(total(select(USED), "quota"), "{{quota}}"),
            Query(most(select(LIMIT), "quota"), "limit {{quota}}", ref="threshold"),
            logarithmic=True,
        ),
    ]


def build() -> Frame:
    """The frame with its rows."""
    return Frame(
        name="calendar",
        title="Calendar sync",
        description="Synchronisation of calendars and the calendar's API, from the pack scheduling-worker.",
        rows=[("Now", now()), ("Synchronisation", syncs()), ("Calendar API", api())],
        source=SYNC,
        since="now-24h",
    )
