"""From endpoints to aiohttp's router, and back from a request to the endpoint and family that it is for."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler

from exporter.httpd.bodies import read_body, read_form
from exporter.httpd.endpoint import Call, Endpoint, Port
from exporter.httpd.params import read_params
from exporter.httpd.problems import Refusal
from exporter.httpd.roles import Caller, Role


class Served(msgspec.Struct, frozen=True):
    """What a listener serves; ``anonymous``: what is done without a credential at present, None if nothing is."""

    endpoints: tuple[Endpoint, ...]
    anonymous: Callable[[], Role | None]


SERVED: web.AppKey[Served] = web.AppKey("served", Served)
#: Who asks, once that is known.
CALLER: web.RequestKey[Caller] = web.RequestKey("caller", Caller)


class Routes:
    """What is served, and where. No request reaches a handler but through the endpoint that is found for it here."""

    def __init__(self, endpoints: Sequence[Endpoint]) -> None:
        self.endpoints = tuple(endpoints)
        self._by_route: dict[web.AbstractRoute, Endpoint] = {}
        prefixes = {prefix: one.family.envelope for one in self.endpoints for prefix in one.family.prefixes}
        self._envelopes = sorted(prefixes.items(), key=lambda item: -len(item[0]))

    def mount(self, app: web.Application, ports: Sequence[Port], anonymous: Callable[[], Role | None]) -> None:
        """Add the routes of the families on ``ports`` to ``app``."""
        mounted = tuple(endpoint for endpoint in self.endpoints if endpoint.family.port in ports)
        app[SERVED] = Served(mounted, anonymous)
        for endpoint in mounted:
            handler = _handler(endpoint)
            # Left to itself the router finds nothing whose id has a brace.
            resource = app.router.add_resource(re.sub(r"\{(\w+)\}", r"{\1:[^/]+}", endpoint.path))
            for method in ("GET", "HEAD") if endpoint.method == "GET" else (endpoint.method,):
                self._by_route[resource.add_route(method, handler)] = endpoint

    def endpoint(self, request: web.Request) -> Endpoint | None:
        """The endpoint that answers ``request``; None where the answer is 404 or 405."""
        return self._by_route.get(request.match_info.route)

    def envelope(self, request: web.Request) -> type[Refusal]:
        """How errors are written for this request: as its endpoint's family does, else the family of its path."""
        endpoint = self.endpoint(request)
        if endpoint is not None:
            return endpoint.family.envelope
        path = request.path
        return next((envelope for prefix, envelope in self._envelopes if path.startswith(prefix)), Refusal)


def _handler(endpoint: Endpoint) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        params = read_params(endpoint.params, request.match_info, request.rel_url.raw_query_string)
        body: msgspec.Struct | None = None
        if endpoint.body is not None and endpoint.form:
            body = await read_form(request, endpoint.body)
        elif endpoint.body is not None:
            body = await read_body(request, endpoint.body, nulls=endpoint.nulls)
        call: Call[Any, Any] = Call(params=params, body=body, caller=request[CALLER], request=request)
        return await endpoint.handler(call)

    return handle
