"""``/openapi.json`` and ``/docs``: what this listener answers, for programs and for people."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from aiohttp import web

from exporter.api.page import page_response
from exporter.httpd.context import Context
from exporter.httpd.endpoint import APPLICATION_JSON, Answer, Endpoint, Family, Nothing, Query
from exporter.httpd.openapi import document
from exporter.httpd.problems import JSON
from exporter.httpd.roles import Role
from exporter.httpd.routing import SERVED, Served

FAMILY: Final = Family(name="reference", description="What is served here", port="both")


def endpoints(context: Context) -> list[Endpoint]:
    """Both paths."""
    # Not many: the endpoints of a listener are the same for ever, what may be done anonymously changes with a reload.
    kept: dict[tuple[int, Role | None], bytes] = {}

    def described(served: Served) -> dict[str, Any]:
        return document(served.endpoints, version=context.version, anonymous=served.anonymous())

    async def openapi(call: Query[Nothing]) -> web.StreamResponse:
        served = call.request.app[SERVED]
        key = (id(served), served.anonymous())
        if key not in kept:
            kept[key] = msgspec.json.encode(described(served))
        return web.Response(body=kept[key], headers={"Content-Type": JSON})

    async def docs(call: Query[Nothing]) -> web.StreamResponse:
        return page_response(context.reference(described(call.request.app[SERVED])))

    return [
        Endpoint(
            family=FAMILY,
            path="/openapi.json",
            handler=openapi,
            role=Role.ANYONE,
            summary="This document",
            answers={200: Answer(media=(APPLICATION_JSON,), description="OpenAPI 3.1")},
        ),
        Endpoint(
            family=FAMILY,
            path="/docs",
            handler=docs,
            role=Role.ANYONE,
            summary="This document as a page",
            answers={200: Answer(media=("text/html",), description="A page")},
        ),
    ]
