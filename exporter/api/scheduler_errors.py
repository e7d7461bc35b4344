"""``/api/scheduler-monitoring/errors``: failures by what their messages have in common."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from aiohttp import web
from msgspec import Meta

from exporter.api.asking import HOUR, PERIODS, PeriodAsked, from_state, snapshot_response, store_asked
from exporter.api.counted import statistics_of
from exporter.api.examples import example
from exporter.api.kept import KeptAnswers
from exporter.api.masking import shown_error
from exporter.api.scheduler_monitoring import FAMILY
from exporter.api.wire import iso
from exporter.domain import ErrorGroup
from exporter.httpd.context import Context
from exporter.httpd.endpoint import Answer, Endpoint, Query
from exporter.httpd.params import limit_to
from exporter.httpd.roles import Caller

Severity = Literal["critical", "error", "warning", "info"]


class ErrorsAsked(PeriodAsked, frozen=True):
    """Which groups."""

    limit: Annotated[int, limit_to(100)] = 50
    offset: Annotated[int, Meta(ge=0, le=1_000_000)] = 0


class Example(msgspec.Struct, rename="camel"):
    """The latest failure of a group."""

    job_id: str | None
    execution_id: str
    message: str | None


class Group(msgspec.Struct, rename="camel"):
    """Failures whose messages differ only in numbers, ids and quoted parts.

    ``count`` and ``trend`` (by hour, oldest first) are of the period, first and last seen of all time. ``class``:
    ``critical`` if there were as many in this hour and the one before as ``alerting.thresholds.errors_per_hour`` or
    more, ``error`` if there was any within an hour, ``warning`` if within a day, else ``info``.
    """

    fingerprint: str
    message: str | None
    code: str | None
    severity: Severity = msgspec.field(name="class")
    count: int
    first_seen: str | None
    last_seen: str | None
    task_types: list[str]
    example: Example
    trend: list[int]


class Pagination(msgspec.Struct, rename="camel"):
    """Where a page lies."""

    total: int
    limit: int
    offset: int
    has_more: bool


class ErrorsAnswer(msgspec.Struct):
    """``GET /api/scheduler-monitoring/errors``, the most frequent groups first."""

    items: list[Group]
    pagination: Pagination


def endpoints(context: Context) -> list[Endpoint]:
    """The one path."""

    kept = KeptAnswers()

    async def errors(call: Query[ErrorsAsked]) -> web.StreamResponse:
        asked, config = call.params, context.config()
        store = store_asked(asked.store, config)
        found = await statistics_of(context, store, PERIODS[asked.period])
        many = config.alerting.thresholds.errors_per_hour

        async def build() -> ErrorsAnswer:
            groups = await context.history.errors(store, PERIODS[asked.period])
            page = groups[asked.offset : asked.offset + asked.limit]
            return ErrorsAnswer(
                [_group(group, found.end, PERIODS[asked.period], many, call.caller, config.setting) for group in page],
                Pagination(len(groups), asked.limit, asked.offset, len(groups) > asked.offset + asked.limit),
            )

        key = (store, asked.period, asked.limit, asked.offset, call.caller.role, config.setting, many)
        return snapshot_response(await kept.get(key, (found,), build), found.end)

    return [
        Endpoint(
            family=FAMILY,
            path="/api/scheduler-monitoring/errors",
            handler=from_state(errors),
            params=ErrorsAsked,
            summary="Failures by what their messages have in common",
            answers={200: Answer(kind=ErrorsAnswer, example=example("scheduler_monitoring_errors"))},
            fails=(404, 503),
        )
    ]


def _group(  # noqa: PLR0917 - what all groups of an answer share
    group: ErrorGroup, end: float, seconds: float, many: float, caller: Caller, environment: str
) -> Group:
    first = int((end - seconds) // HOUR)
    hours = [group.trend.get(int(hour * HOUR), 0) for hour in range(first, int(end // HOUR) + 1)]
    return Group(
        fingerprint=group.fingerprint,
        message=shown_error(group.message, caller, environment),
        code=group.code,
        severity=_severity(group, end, many),
        count=group.count,
        first_seen=iso(group.first_seen),
        last_seen=iso(group.last_seen),
        task_types=list(group.task_types),
        example=Example(group.job_id, group.execution_id, shown_error(group.example, caller, environment)),
        trend=hours,
    )


def _severity(group: ErrorGroup, end: float, many: float) -> Severity:
    this_hour = int(end // HOUR) * int(HOUR)
    lately = group.trend.get(this_hour, 0) + group.trend.get(this_hour - int(HOUR), 0)
    if lately >= many:
        return "critical"
    if end - group.last_seen <= HOUR:
        return "error"
    return "warning" if end - group.last_seen <= 24 * HOUR else "info"
