"""``/api/scheduler-monitoring/alerts``: those that are active, those that were, and silences."""

from __future__ import annotations

import math
import time
from typing import Annotated, Any

import msgspec
from aiohttp import web
from msgspec import UNSET, Meta, UnsetType

from exporter.actions import Asker
from exporter.alertmanager import AlertsUnavailable, Matcher
from exporter.api.acting import NO_NULL, RETRY_AFTER, acting, asker
from exporter.api.asking import from_state
from exporter.api.examples import example
from exporter.api.scheduler_jobs import Pagination
from exporter.api.scheduler_monitoring import FAMILY
from exporter.api.wire import iso
from exporter.domain import Alert
from exporter.httpd.context import Context
from exporter.httpd.endpoint import Answer, Call, Endpoint, Nothing, Query
from exporter.httpd.params import Offset, limit_to
from exporter.httpd.problems import HttpError, json_response
from exporter.httpd.roles import Role
from exporter.logs import masked_text

MINUTE = 60.0
#: The longest silence in minutes: a year.
LONGEST = 525_600
LabelName = Annotated[str, Meta(pattern="^[a-zA-Z_][a-zA-Z0-9_]{0,199}$")]


class AlertsAsked(msgspec.Struct, frozen=True):
    """Which alerts."""

    active: Annotated[bool, Meta(description="Those that fire now; false: the history")] = True
    limit: Annotated[int, limit_to(100)] = 50
    offset: Offset = 0


class ExportedAlert(msgspec.Struct, rename="camel"):
    """An alert, and one time that it fired; ``endsAt`` is null while that goes on."""

    fingerprint: str
    name: str | None
    severity: str | None
    state: str
    starts_at: str | None
    ends_at: str | None
    labels: dict[str, str]
    annotations: dict[str, str]


class AlertRow(ExportedAlert, rename="camel"):
    """The same with what holds its messages back."""

    silenced_by: list[str]
    inhibited_by: list[str]


class AlertsAnswer(msgspec.Struct):
    """``GET /api/scheduler-monitoring/alerts``."""

    items: list[AlertRow]
    pagination: Pagination


class LabelMatcher(msgspec.Struct, rename="camel", frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A label that has this value, or matches it as a whole (RE2)."""

    name: LabelName
    value: Annotated[str, Meta(max_length=1000, pattern=NO_NULL)]
    is_regex: bool = False


class Suppression(msgspec.Struct, rename="camel", frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What to silence: ``matchers``, which have to match all, or the active alert with this ``fingerprint``."""

    duration_minutes: Annotated[float, Meta(ge=1, le=LONGEST)]
    comment: Annotated[str, Meta(min_length=1, max_length=1000, pattern=NO_NULL)]
    matchers: Annotated[list[LabelMatcher], Meta(min_length=1, max_length=50)] | UnsetType = UNSET
    fingerprint: Annotated[str, Meta(min_length=1, max_length=64, pattern=NO_NULL)] | UnsetType = UNSET


class Suppressed(msgspec.Struct, rename="camel"):
    """The silence, and when it ends by itself."""

    silence_id: str
    ends_at: str | None


def endpoints(context: Context) -> list[Endpoint]:
    """Both paths."""

    async def alerts(call: Query[AlertsAsked]) -> web.StreamResponse:
        asked = call.params
        if not asked.active:
            found, total = await context.alert_history.read(limit=asked.limit, offset=asked.offset)
            return json_response(_answer(found, total, asked))
        try:
            found = await context.alerts.active()
        except AlertsUnavailable as error:
            hidden = context.config().setting == "production" and call.caller.role < Role.ADMIN
            raise HttpError(
                503, error.what if hidden else masked_text(str(error)), {"Retry-After": RETRY_AFTER}
            ) from error
        return json_response(_answer(found[asked.offset : asked.offset + asked.limit], len(found), asked))

    async def suppress(call: Call[Nothing, Suppression]) -> web.StreamResponse:
        wanted = call.body
        if (wanted.matchers is UNSET) == (wanted.fingerprint is UNSET):
            raise HttpError(400, "matchers: expected either matchers or fingerprint")
        return json_response(await suppressed(context, asker(call), wanted), 201)

    return [
        Endpoint(
            family=FAMILY,
            path="/api/scheduler-monitoring/alerts",
            handler=from_state(alerts),
            params=AlertsAsked,
            summary="Alerts that fire now, or that did",
            answers={200: Answer(kind=AlertsAnswer, example=example("scheduler_monitoring_alerts"))},
            fails=(503,),
        ),
        Endpoint(
            family=FAMILY,
            path="/api/scheduler-monitoring/alerts/suppress",
            method="POST",
            role=Role.ADMIN,
            handler=acting(context, "silence", suppress),
            body=Suppression,
            body_rules={"oneOf": [{"required": ["matchers"]}, {"required": ["fingerprint"]}]},
            body_example=example("alert_suppression"),
            summary="Silence alerts in Alertmanager for a while",
            answers={201: Answer(kind=Suppressed, example=example("alert_suppressed"))},
            fails=(404, 409, 503),
        ),
    ]


async def suppressed(context: Context, who: Asker, wanted: Suppression) -> Suppressed:
    """Silence what is wanted, and write it down. ExporterErrors."""
    # A whole second: what is answered is when it ends.
    now = float(math.floor(time.time()))
    ends_at = math.floor(now + wanted.duration_minutes * MINUTE)

    async def silence() -> str:
        return await context.alerts.silence(
            await _matchers(context, wanted),
            starts_at=now,
            ends_at=ends_at,
            author=who.actor,
            comment=wanted.comment,
        )

    return Suppressed(await context.actions.audited(who, "silence", _target(wanted), silence), iso(ends_at))


def _answer(alerts: list[Alert], total: int, asked: AlertsAsked) -> AlertsAnswer:
    return AlertsAnswer(
        [_row(alert) for alert in alerts],
        Pagination(total, asked.limit, asked.offset, total > asked.offset + asked.limit),
    )


def exported(alert: Alert) -> ExportedAlert:
    """An alert of the history."""
    return ExportedAlert(**_plain(alert))


def _row(alert: Alert) -> AlertRow:
    return AlertRow(**_plain(alert), silenced_by=list(alert.silenced_by), inhibited_by=list(alert.inhibited_by))


def _plain(alert: Alert) -> dict[str, Any]:
    return {
        "fingerprint": alert.fingerprint,
        "name": alert.labels.get("alertname"),
        "severity": alert.labels.get("severity"),
        "state": alert.state,
        "starts_at": iso(alert.starts_at),
        "ends_at": iso(alert.ends_at),
        "labels": alert.labels,
        "annotations": alert.annotations,
    }


async def _matchers(context: Context, wanted: Suppression) -> list[Matcher]:
    if wanted.matchers is UNSET:
        return await context.alerts.matchers_of(str(wanted.fingerprint))
    return [Matcher(one.name, one.value, is_regex=one.is_regex) for one in wanted.matchers]


def _target(wanted: Suppression) -> str:
    if wanted.matchers is UNSET:
        return f"alert {wanted.fingerprint}"
    return ", ".join(f"{one.name}{'=~' if one.is_regex else '='}{one.value}" for one in wanted.matchers)[:500]
