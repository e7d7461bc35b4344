"""``POST /api/v1/alerts/webhook``: Alertmanager tells of alerts, which are kept as their history, and printed if asked.

Its webhook's payload of version 4. Alertmanager tries again after a 5xx, never after a 4xx.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Literal

import msgspec
import structlog
from aiohttp import web
from msgspec import Meta

from exporter.alertmanager import fingerprint
from exporter.api.examples import example
from exporter.api.from_store import RETRY_AFTER
from exporter.api.scheduler_monitoring import FAMILY
from exporter.api.wire import iso
from exporter.config.model import Config, Token
from exporter.domain import Alert
from exporter.errors import LedgerError
from exporter.httpd.context import Context
from exporter.httpd.endpoint import Answer, Call, Endpoint
from exporter.httpd.problems import HttpError, json_response
from exporter.httpd.roles import Role

log = structlog.get_logger(component="alerts")

#: The largest notification in bytes: a group may have many alerts.
LARGEST = 4 * 1024 * 1024
#: So many alerts of one notification are printed.
MOST_PRINTED = 20


#: The least that RFC 3339 has.
Moment = Annotated[datetime, Meta(tz=True, extra_json_schema={"minLength": 20})]


class Told(msgspec.Struct, frozen=True):
    """What becomes of a notification, beside being kept."""

    console: Annotated[bool, Meta(description="Whether its alerts are printed to the log")] = False


class Notified(msgspec.Struct, rename="camel"):
    """One alert of a notification. An end before the year 2 is none."""

    status: Literal["firing", "resolved"]
    labels: dict[str, str]
    starts_at: Moment
    annotations: dict[str, str] = {}
    ends_at: Moment | None = None
    fingerprint: Annotated[str, Meta(min_length=1, max_length=64)] | None = None


class Notification(msgspec.Struct, rename="camel"):
    """What Alertmanager posts, as far as it matters here."""

    version: Literal["4"]
    alerts: Annotated[list[Notified], Meta(max_length=10_000)]
    receiver: str = ""


class Taken(msgspec.Struct):
    """How many alerts were told, and how many of them were not known."""

    received: int
    new: int


def endpoints(context: Context) -> list[Endpoint]:
    """The one path."""

    async def told(call: Call[Told, Notification]) -> web.StreamResponse:
        alerts = [_alert(told) for told in call.body.alerts]
        context.remediation.told(alerts)
        try:
            new = await context.alert_history.tell(alerts)
        except LedgerError as e:
            raise HttpError(503, "the state file cannot be used at present", {"Retry-After": RETRY_AFTER}) from e
        if call.params.console:
            _print(alerts, call.body.receiver)
        return json_response(Taken(len(alerts), new))

    return [
        Endpoint(
            family=FAMILY,
            path="/api/v1/alerts/webhook",
            method="POST",
            role=Role.ADMIN,
            tokens=_tokens,
            budget="read",
            handler=told,
            params=Told,
            body=Notification,
            body_example=example("alert_notification"),
            largest_body=LARGEST,
            nulls=True,
            summary="Alertmanager's webhook: the history of alerts",
            description="Needs the bearer token of `alerting.receiver.token`, or an admin's.",
            answers={200: Answer(kind=Taken, example=lambda: {"received": 1, "new": 1})},
            fails=(503,),
        )
    ]


def _print(alerts: Sequence[Alert], receiver: str) -> None:
    """A line for each alert. How often that is, is Alertmanager's affair: it groups and repeats."""
    for alert in alerts[:MOST_PRINTED]:
        over = alert.ends_at is not None
        say = log.info if over else log.error if alert.labels.get("severity") == "critical" else log.warning
        told = {
            "alert": alert.labels.get("alertname"),
            "severity": alert.labels.get("severity"),
            "summary": alert.annotations.get("summary"),
            "description": alert.annotations.get("description"),
            "runbook": alert.annotations.get("runbook_url"),
            "since": iso(alert.starts_at),
            "until": iso(alert.ends_at),
            "receiver": receiver or None,
        }
        say("alert is over" if over else "alert fires", **{key: value for key, value in told.items() if value})
    if len(alerts) > MOST_PRINTED:
        log.warning("more alerts than are printed", alerts=len(alerts), printed=MOST_PRINTED, receiver=receiver)


def _tokens(config: Config) -> list[Token]:
    token = config.alerting.receiver.token
    return [] if token is None else [Token(name="alertmanager", role="admin", token=token)]


def _alert(told: Notified) -> Alert:
    started, ended = told.starts_at.timestamp(), _seconds(told.ends_at)
    over = told.status == "resolved"
    return Alert(
        fingerprint=told.fingerprint or fingerprint(told.labels),
        labels=told.labels,
        annotations=told.annotations,
        state=told.status,
        starts_at=started,
        ends_at=max(started, ended or started) if over else None,
    )


def _seconds(moment: datetime | None) -> float | None:
    if moment is None or moment.year < 2 or moment.tzinfo is None:
        return None
    return moment.timestamp()
