"""The one boundary round every handler: who may ask, what went wrong, what it cost, under which id."""

from __future__ import annotations

import asyncio
import re
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from structlog.contextvars import bound_contextvars, get_contextvars

from exporter import tracing
from exporter.httpd.admission import Admission
from exporter.httpd.context import Context
from exporter.httpd.endpoint import Budget
from exporter.httpd.headers import harden
from exporter.httpd.limits import MAX_BODY, Timeouts
from exporter.httpd.problems import HttpError, Refusal, error_response, from_http
from exporter.httpd.protocol import Connection
from exporter.httpd.roles import Role
from exporter.httpd.routing import CALLER, Routes
from exporter.httpd.watch import WebConfigWatch

log = structlog.get_logger(component="http")

UNMATCHED: Final = "unmatched"
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"})
#: What a request does, by the budget that it is paid from: nobody pays for scrapes, probes and pages.
_OPERATIONS: Final[Mapping[Budget, str]] = {"none": "observe", "read": "read", "action": "action"}
_SANE_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")


class TrackedResponse(web.Response):
    """A response whose ``after`` is awaited once its whole body has gone to the client (not on HEAD)."""

    def __init__(self, *, body: bytes, headers: Mapping[str, str], after: Callable[[], Awaitable[None]]) -> None:
        super().__init__(body=body, headers=headers)
        self.after = after


class Boundary:
    """Admits, answers, delivers and observes each request of a server."""

    def __init__(self, context: Context, watch: WebConfigWatch, timeouts: Timeouts, routes: Routes) -> None:
        self._watch = watch
        self.routes = routes
        self._instruments = context.instruments
        self._timeouts = timeouts
        self._admission = Admission(context, watch)

    def close(self) -> None:
        """Let go of the thread that checks passwords."""
        self._admission.close()

    def anonymous(self) -> Role | None:
        """What is done without a credential at present; None if nothing is."""
        return self._admission.gate.anonymous

    @property
    def middleware(self) -> Middleware:
        """What ``web.Application(middlewares=...)`` takes."""

        @web.middleware
        async def boundary(request: web.Request, handler: Handler) -> web.StreamResponse:
            return await self._handle(request, handler)

        return boundary

    async def prepare(self, _: web.Request, response: web.StreamResponse) -> None:
        """For ``on_response_prepare``: headers of every answer, streamed ones included."""
        harden(response.headers, self._watch.config.http_server_config.headers, get_contextvars().get("request_id"))

    def unreadable(self) -> None:
        """Count a request that the parser refused."""
        self._instruments.observe(
            method="other", endpoint=UNMATCHED, status=400, seconds=0.0, request_bytes=0, response_bytes=0
        )

    async def _handle(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        started = time.perf_counter()
        if isinstance(request.protocol, Connection):
            request.protocol.asked = True
        given = request.headers.get("X-Request-Id", "")
        request_id = given if _SANE_ID.fullmatch(given) else secrets.token_hex(8)
        method, endpoint = _method(request), _endpoint(request)
        told = tracing.told_by(request.headers)
        about = {"http.request.method": method, "http.route": endpoint, "url.scheme": request.scheme}
        with (
            bound_contextvars(request_id=request_id, **told),
            tracing.span(f"{method} {endpoint}", "request", "server", caller=request.headers, attributes=about) as span,
        ):
            response = await self._answer(request, handler, request_id)
            try:
                await self._deliver(request, response)
            finally:
                self._observe(request, response, time.perf_counter() - started)
                self._tell(span, request, response)
        return response

    def _tell(self, span: tracing.Span, request: web.Request, response: web.StreamResponse) -> None:
        """What a trace has of a request once it is answered. Neither its query nor its path: ids stand there."""
        if not span.recording:
            return
        caller, endpoint = request.get(CALLER), self.routes.endpoint(request)
        span.set("enduser.id", caller.name if caller is not None and caller.known else None)
        span.set("operation.type", None if endpoint is None else _OPERATIONS[endpoint.paid_from])
        span.set("http.response.status_code", response.status)
        if response.status >= 500:
            span.failed(str(response.status))

    async def _answer(self, request: web.Request, handler: Handler, request_id: str) -> web.StreamResponse:
        try:
            endpoint = self.routes.endpoint(request)
            request[CALLER] = await self._admission.admit(request, endpoint)
            if endpoint is not None and endpoint.largest_body > MAX_BODY:
                request = request.clone(client_max_size=endpoint.largest_body)
            await self._read_body(request)
            return await handler(request)
        except HttpError as exc:
            return self._refused(request, exc)
        except web.HTTPException as exc:
            return from_http(exc, self.routes.envelope(request))
        except Exception as exc:
            return _internal_error(request, exc, self.routes.envelope(request), request_id)

    def _refused(self, request: web.Request, error: HttpError) -> web.StreamResponse:
        endpoint = self.routes.endpoint(request)
        if endpoint is not None and endpoint.family.refuse is not None:
            return endpoint.family.refuse(request, error)
        return error_response(error.status, error.message, error.headers, envelope=self.routes.envelope(request))

    async def _read_body(self, request: web.Request) -> None:
        """Read the body, which the handler then finds in ``request.read()``; HttpError 400, 408, 413, 415.

        A packed one is never unpacked: from 300 kB come 300 MB, and nobody who may not ask has to wait for an answer.
        """
        if not request.body_exists:
            return
        if request.headers.get("Content-Encoding", "identity").strip().lower() != "identity":
            raise HttpError(
                415, "Content-Encoding: expected none; send the body unpacked", {"Accept-Encoding": "identity"}
            )
        if (request.content_length or 0) > request.client_max_size:
            raise HttpError(413, "request body too large")
        try:
            async with asyncio.timeout(self._timeouts.body):
                await request.read()
        except TimeoutError:
            raise HttpError(408, "request body took too long", {"Connection": "close"}) from None
        except (web.RequestPayloadError, ConnectionError) as exc:
            raise HttpError(400, "unreadable request body") from exc

    async def _deliver(self, request: web.Request, response: web.StreamResponse) -> None:
        """Write ``response``. A client that is gone or too slow ends the connection: no error."""
        try:
            async with asyncio.timeout(self._timeouts.write):
                await response.prepare(request)
                await response.write_eof()
        except (ConnectionError, TimeoutError):
            if request.transport is not None:
                request.transport.abort()
            return
        # aiohttp wakes the writer quietly when the client hangs up in the middle: the transport is gone then.
        whole = request.method != "HEAD" and request.transport is not None
        if whole and isinstance(response, TrackedResponse):
            await response.after()

    def _observe(self, request: web.Request, response: web.StreamResponse, seconds: float) -> None:
        method, endpoint = _method(request), _endpoint(request)
        self._instruments.observe(
            method=method,
            endpoint=endpoint,
            status=response.status,
            seconds=seconds,
            request_bytes=request.content_length or 0,
            response_bytes=_size(request, response),
        )
        caller = request.get(CALLER)
        log.debug(
            "request",
            category="performance",
            operation=f"{method} {endpoint}",
            duration=round(seconds * 1000, 3),
            user_id=caller.name if caller is not None and caller.known else None,
            status=response.status,
        )


def _method(request: web.Request) -> str:
    return request.method if request.method in _METHODS else "other"


def _endpoint(request: web.Request) -> str:
    resource = request.match_info.route.resource
    return UNMATCHED if resource is None else resource.canonical


def _size(request: web.Request, response: web.StreamResponse) -> int:
    """Bytes of the body as sent."""
    if request.method == "HEAD":
        return 0
    if isinstance(response, web.Response) and isinstance(response.body, bytes):
        return len(response.body)
    return response.body_length  # a stream: its few header bytes included


def _internal_error(
    request: web.Request, exc: Exception, envelope: type[Refusal], request_id: str
) -> web.StreamResponse:
    log.error("request failed", operation=f"{_method(request)} {_endpoint(request)}", exc_info=exc)
    if request.writer.output_size > 0 and request.transport is not None:
        request.transport.abort()  # a stream had begun: its end must not look like a whole answer
    return error_response(500, "internal error", envelope=envelope, request_id=request_id)
