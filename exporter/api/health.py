"""``/health``, ``/health/ready``, ``/health/live``: open to anyone and so without any error's text."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final, Literal

import msgspec
from aiohttp import web

from exporter.api.examples import example
from exporter.httpd.context import Check, Context
from exporter.httpd.endpoint import Answer, Endpoint, Family, Nothing, Query
from exporter.httpd.problems import json_response
from exporter.httpd.roles import Role

Status = Literal["ok", "fail"]

FAMILY: Final = Family(name="probes", description="Whether the process is well, for orchestrators", port="both")
#: A few fixed words. A driver's message has capitals, quotes or addresses in it and is left out.
_FIXED_WORDS: Final = re.compile(r"[a-z0-9 _-]{1,60}")


class Health(msgspec.Struct):
    """``GET /health``: the process answers. ``timestamp`` is UTC to the second, ``uptime`` whole seconds."""

    status: Status
    timestamp: str
    uptime: int
    version: str


class CheckBody(msgspec.Struct, omit_defaults=True):
    """One check of a probe."""

    status: Status
    detail: str | None = None


class Probe(msgspec.Struct):
    """``GET /health/ready`` and ``/health/live``: 200, or 503 when a check that is required fails."""

    status: Status
    timestamp: str
    checks: dict[str, CheckBody]


def endpoints(context: Context) -> list[Endpoint]:
    """The three probes."""

    async def health(_: Query[Nothing]) -> web.StreamResponse:
        uptime = max(0, int(time.time() - context.started_at))
        return json_response(Health("ok", _now(), uptime, context.version))

    return [
        Endpoint(
            family=FAMILY,
            path="/health",
            handler=health,
            role=Role.ANYONE,
            summary="The process answers",
            answers={200: Answer(kind=Health, example=example("health"))},
        ),
        _probe("/health/ready", context.readiness, "Whether what the exporter was told to depend on is there"),
        _probe("/health/live", context.liveness, "Whether nothing is wrong that a restart would mend"),
    ]


def passes(checks: list[Check]) -> bool:
    """Whether every required check is good."""
    return all(check.ok for check in checks if check.required)


def _probe(path: str, ask: Callable[[], list[Check]], summary: str) -> Endpoint:
    async def probe(_: Query[Nothing]) -> web.StreamResponse:
        checks = ask()
        good = passes(checks)
        body = Probe(_status(good), _now(), {check.name: _body(check) for check in checks})
        return json_response(body, 200 if good else 503)

    return Endpoint(
        family=FAMILY,
        path=path,
        handler=probe,
        role=Role.ANYONE,
        summary=summary,
        answers={
            200: Answer(kind=Probe, description="It is", example=example("probe_ok")),
            503: Answer(kind=Probe, description="It is not: a required check fails", example=example("probe_fail")),
        },
    )


def _body(check: Check) -> CheckBody:
    shown = check.detail if check.detail and _FIXED_WORDS.fullmatch(check.detail) else None
    return CheckBody(_status(check.ok), shown)


def _status(good: bool) -> Status:
    return "ok" if good else "fail"


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
