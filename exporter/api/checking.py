"""``POST .../connections/{id}/check``: check a PostgreSQL connection now."""

from __future__ import annotations

from typing import Any

import msgspec
from aiohttp import web

from exporter.api.acting import acting
from exporter.api.examples import example
from exporter.api.monitoring_connections import ConnectionAsked, checked, shown_message, state_of
from exporter.api.reviewer import FAMILY, PREFIX, everywhere
from exporter.api.wire import iso_second, milliseconds
from exporter.connections import ConnectionState
from exporter.httpd.context import Context
from exporter.httpd.endpoint import Answer, Call, Endpoint
from exporter.httpd.problems import HttpError, json_response
from exporter.httpd.roles import Role


class CheckAnswer(msgspec.Struct):
    """A check made just now. ``server_version`` is null where it failed, ``error_message`` where it did not."""

    connection_id: int | str
    is_healthy: bool
    response_time_ms: int | None
    server_version: str | None
    error_message: str | None
    last_check: str | None


def endpoints(context: Context) -> list[Endpoint]:
    """The one path, under all of the family's addresses."""

    async def check(call: Call[ConnectionAsked, None]) -> web.StreamResponse:
        state = await check_now(context, call, call.params.connection_id)
        result = state.result
        version = result.facts.server_version if result is not None and result.facts is not None else None
        return json_response(
            CheckAnswer(
                connection_id=state.id,
                is_healthy=result is not None and result.is_healthy,
                response_time_ms=milliseconds(result.response_seconds) if result is not None else None,
                server_version=None if version is None else f"PostgreSQL {version}",
                error_message=shown_message(state, call.caller, context.config().setting),
                last_check=iso_second(state.last_check),
            )
        )

    return everywhere(
        [
            Endpoint(
                family=FAMILY,
                path=f"{PREFIX}/connections/{{connection_id}}/check",
                method="POST",
                role=Role.ADMIN,
                handler=acting(context, "check", check),
                params=ConnectionAsked,
                summary="Check a PostgreSQL connection now; whoever asks at the same time gets the same check",
                answers={200: Answer(kind=CheckAnswer, example=example("connection_checked"))},
                fails=(404, 503),
            )
        ]
    )


async def check_now(context: Context, call: Call[Any, Any], connection_id: str) -> ConnectionState:
    """The connection once it has been checked for ``call``, which is written down. HttpError 404, 503."""
    state = state_of(context, connection_id)
    target = f"connection {state.name}"
    try:
        await checked(context, state)
        state = state_of(context, connection_id)
    except HttpError as refusal:
        await context.audit.kept(call.entry("check", "failed", target=target, detail=refusal.message))
        raise
    result = state.result
    detail = "healthy" if result is None or result.is_healthy else f"unhealthy: {result.result}"
    await context.audit.kept(call.entry("check", "success", target=target, detail=detail))
    return state
