"""``/health``, ``/health/ready``, ``/health/live``: open to anyone and so without any error's text."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final, Literal

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler

from exporter.httpd.context import Check, Context
from exporter.httpd.problems import json_response

Status = Literal["ok", "fail"]

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


def register(router: web.UrlDispatcher, context: Context) -> None:
    """The three probes; HEAD too."""

    async def health(_: web.Request) -> web.Response:
        uptime = max(0, int(time.time() - context.started_at))
        return json_response(Health("ok", _now(), uptime, context.version))

    router.add_get("/health", health)
    router.add_get("/health/ready", _probe(context.readiness))
    router.add_get("/health/live", _probe(context.liveness))


def passes(checks: list[Check]) -> bool:
    """Whether every required check is good."""
    return all(check.ok for check in checks if check.required)


def _probe(ask: Callable[[], list[Check]]) -> Handler:
    async def probe(_: web.Request) -> web.Response:
        checks = ask()
        good = passes(checks)
        body = Probe(_status(good), _now(), {check.name: _body(check) for check in checks})
        return json_response(body, 200 if good else 503)

    return probe


def _body(check: Check) -> CheckBody:
    shown = check.detail if check.detail and _FIXED_WORDS.fullmatch(check.detail) else None
    return CheckBody(_status(check.ok), shown)


def _status(good: bool) -> Status:
    return "ok" if good else "fail"


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
