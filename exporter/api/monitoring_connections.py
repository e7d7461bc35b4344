"""``/api/v1/monitoring/connections/...``: the checked PostgreSQL connections. The reviewer's family."""

from __future__ import annotations

import asyncio
import time
from typing import Annotated

import msgspec
from aiohttp import web
from msgspec import Meta

from exporter.api.examples import example
from exporter.api.reviewer import FAMILY, PREFIX, everywhere
from exporter.api.wire import iso_second, milliseconds
from exporter.connections import COLLECTOR, ConnectionState, TargetGoneError
from exporter.httpd.context import Context
from exporter.httpd.endpoint import Answer, Endpoint, Nothing, Query
from exporter.httpd.params import Text
from exporter.httpd.problems import HttpError, json_response
from exporter.httpd.roles import Caller, Role
from exporter.logs import masked_text

#: Seconds beyond the checks' timeout for which an answer waits for one: others may be on before it.
PATIENCE = 10.0
#: What a viewer reads in production, where a driver's or server's words may tell too much.
IN_SHORT = {
    "timeout": "Connection timeout",
    "refused": "Connection refused",
    "dns": "Host name not found",
    "tls": "TLS failed",
    "auth": "Authentication failed",
    "vault": "No credentials from Vault",
    "too_many_connections": "Too many connections",
    "query": "Query failed",
    "other": "Connection failed",
}


class ConnectionAsked(msgspec.Struct, frozen=True):
    """``connection_id`` in the path."""

    connection_id: Annotated[Text, Meta(min_length=1, description="The connection's id", examples=["1"])] = ""


class ConnectionRow(msgspec.Struct):
    """A checked connection; null is not known, ``is_healthy`` also where the last check is too old to be shown."""

    connection_id: int | str
    name: str
    host: str
    port: int | str
    database: str
    is_healthy: bool | None
    last_check: str | None
    response_time_ms: int | None
    server_version: str | None
    error_message: str | None


def endpoints(context: Context) -> list[Endpoint]:
    """Both paths, under all of the family's addresses."""

    async def every(call: Query[Nothing]) -> web.StreamResponse:
        states = context.connections.states.values()
        return json_response([_row(context, state, call.caller) for state in states])

    async def one(call: Query[ConnectionAsked]) -> web.StreamResponse:
        wanted = call.params.connection_id
        state = state_of(context, wanted)
        if state.result is None:
            await checked(context, state)
            state = state_of(context, wanted)
        return json_response(_row(context, state, call.caller))

    return everywhere(
        [
            Endpoint(
                family=FAMILY,
                path=f"{PREFIX}/connections/status",
                handler=every,
                summary="The last check of every PostgreSQL connection",
                answers={200: Answer(kind=list[ConnectionRow], example=example("monitoring_connections"))},
            ),
            Endpoint(
                family=FAMILY,
                path=f"{PREFIX}/connections/{{connection_id}}/status",
                handler=one,
                params=ConnectionAsked,
                summary="The last check of one connection; the first one is made then and there",
                answers={200: Answer(kind=ConnectionRow, example=example("monitoring_connection"))},
                fails=(404, 503),
            ),
        ]
    )


def state_of(context: Context, connection_id: str) -> ConnectionState:
    """The connection of this id. HttpError 404."""
    for state in context.connections.states.values():
        if str(state.id) == connection_id:
            return state
    raise HttpError(404, f"connection {connection_id!r} not found")


async def checked(context: Context, state: ConnectionState) -> None:
    """Have a connection checked, together with whoever asks at the same time. HttpError 404, 503."""
    seconds = float(context.config().connections.timeout) + PATIENCE
    try:
        async with asyncio.timeout(seconds):
            await context.connections.check_now(state.name)
    except (KeyError, TargetGoneError):
        raise HttpError(404, f"connection {str(state.id)!r} is not checked any more") from None
    except TimeoutError:
        raise HttpError(503, f"no check within {seconds:g} s: too many are going on", {"Retry-After": "15"}) from None


def shown_message(state: ConnectionState, caller: Caller, environment: str) -> str | None:
    """What is said of a failed check: the server's own words, in production to admins only."""
    result = state.result
    if result is None or result.is_healthy:
        return None
    if environment == "production" and caller.role < Role.ADMIN:
        return IN_SHORT.get(result.result, IN_SHORT["other"])
    return masked_text(result.error_message or IN_SHORT.get(result.result, IN_SHORT["other"]))


def _row(context: Context, state: ConnectionState, caller: Caller) -> ConnectionRow:
    part = context.hub.current.part(COLLECTOR, state.name)
    result = state.result
    fresh = result is not None and (part is None or part.fresh(time.monotonic()))
    return ConnectionRow(
        connection_id=state.id,
        name=state.name,
        host=state.host,
        port=state.port,
        database=state.database,
        is_healthy=result.is_healthy if result is not None and fresh else None,
        last_check=iso_second(state.last_check),
        response_time_ms=milliseconds(result.response_seconds) if result is not None else None,
        server_version=result.facts.server_version if result is not None and result.facts is not None else None,
        error_message=shown_message(state, caller, context.config().setting),
    )
