"""``/api/scheduler-monitoring/health``: every part of the system and what it depends on, one by one."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Final, Literal

import msgspec
from aiohttp import web

from exporter.api.examples import example
from exporter.api.known import Known
from exporter.api.scheduler_monitoring import FAMILY
from exporter.api.wire import iso, milliseconds
from exporter.connections import COLLECTOR
from exporter.dependencies import sights
from exporter.httpd.context import Check, Context
from exporter.httpd.endpoint import Answer, Endpoint, Nothing, Query
from exporter.httpd.problems import json_response
from exporter.httpd.roles import Role

#: What readiness checks and is told in more detail here.
_TOLD: Final = ("store ", "connection ", "dependency ")
Verdict = Literal["healthy", "degraded", "unhealthy"]
Health = Literal["healthy", "degraded", "unhealthy", "unknown"]


class Component(msgspec.Struct, rename="camel"):
    """One part. ``detail``: a few words, for admins the error's text."""

    name: str
    status: Health
    latency_ms: int | None
    last_checked_at: str | None
    detail: str | None


class HealthAnswer(msgspec.Struct):
    """``GET /api/scheduler-monitoring/health``; the status is that of the worst component."""

    status: Verdict
    timestamp: str | None
    components: list[Component]


def endpoints(context: Context) -> list[Endpoint]:
    """The one path."""

    async def health(call: Query[Nothing]) -> web.StreamResponse:
        return json_response(health_of(context, details=call.caller.role >= Role.ADMIN))

    return [
        Endpoint(
            family=FAMILY,
            path="/api/scheduler-monitoring/health",
            handler=health,
            summary="Stores, collectors, connections, dependencies and the process, one by one",
            answers={200: Answer(kind=HealthAnswer, example=example("scheduler_monitoring_health"))},
        )
    ]


def health_of(context: Context, *, details: bool) -> HealthAnswer:
    """The answer; with ``details`` errors are told in their own words."""
    components = [
        *(_check(check) for check in context.liveness()),
        *(_check(check) for check in context.readiness() if is_own(check)),
        *_stores(context, details=details),
        *_connections(context, details=details),
        *_dependencies(context, details=details),
    ]
    found = {component.status for component in components}
    verdict: Verdict = "healthy"
    if any(c.status == "unhealthy" for c in components):
        verdict = "unhealthy" if _all_stores_down(context) else "degraded"
    elif found - {"healthy"}:
        verdict = "degraded"
    return HealthAnswer(verdict, iso(time.time()), components)


def is_own(check: Check) -> bool:
    """Whether it is about the sidecar itself: what readiness says of others is told in more detail elsewhere."""
    return not check.name.startswith(_TOLD)


def _all_stores_down(context: Context) -> bool:
    stores = [Known(context.hub.current, store.name) for store in context.config().stores]
    return bool(stores) and all(store.up is False for store in stores)


def _check(check: Check) -> Component:
    status: Health = "healthy" if check.ok else "unhealthy" if check.required else "degraded"
    return Component(check.name, status, None, iso(time.time()), check.detail)


def _stores(context: Context, *, details: bool) -> Iterator[Component]:
    for config in context.config().stores:
        known = Known(context.hub.current, config.name)
        status: Health = "unknown" if known.up is None else "healthy" if known.up else "unhealthy"
        failing = {part.collector: part.error for part in known.parts if part.error is not None}
        if status == "healthy" and failing:
            status = "degraded"
        told = "; ".join(f"{name}: {error}" for name, error in sorted(failing.items()))
        names = ", ".join(sorted(failing))
        yield Component(
            name=f"store:{config.name}",
            status=status,
            latency_ms=milliseconds(known.latency),
            last_checked_at=iso(known.answered_at),
            detail=(told if details else f"failing: {names}") if failing else None,
        )


def _connections(context: Context, *, details: bool) -> Iterator[Component]:
    for state in context.connections.states.values():
        part = context.hub.current.part(COLLECTOR, state.name)
        result = state.result
        status: Health = "unknown"
        if result is not None and (part is None or part.fresh(time.monotonic())):
            status = "healthy" if result.is_healthy else "unhealthy"
        bad = result if result is not None and not result.is_healthy else None
        yield Component(
            name=f"connection:{state.name}",
            status=status,
            latency_ms=milliseconds(result.response_seconds) if result is not None else None,
            last_checked_at=iso(state.last_check),
            detail=(bad.error_message if details else bad.result) if bad is not None else None,
        )


def _dependencies(context: Context, *, details: bool) -> Iterator[Component]:
    for sight in sights(context.hub.current, context.config().dependencies):
        state = sight.state
        yield Component(
            name=f"dependency:{state.name}",
            status=sight.status,
            latency_ms=milliseconds(state.response),
            last_checked_at=iso(state.last_check),
            detail=None if state.is_healthy else state.message if details else state.result,
        )
