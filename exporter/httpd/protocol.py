"""One connection: what is bounded or answered before there is a request, and after a handler is done."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Callable
from typing import Any, cast

import msgspec
import structlog
from aiohttp import web

from exporter.httpd.headers import harden
from exporter.httpd.limits import MAX_CONNECTIONS, Timeouts
from exporter.httpd.problems import error_response, from_http
from exporter.httpd.tls import san_allowed
from exporter.httpd.watch import WebConfigWatch

log = structlog.get_logger(component="http")


class Desk(msgspec.Struct, kw_only=True):
    """What all connections of a server share; ``unreadable`` is told each request that was none."""

    watch: WebConfigWatch
    timeouts: Timeouts
    unreadable: Callable[[], None]
    open: int = 0


class Connection(web.RequestHandler):
    """aiohttp's connection, with a place limit, a deadline for the first request and for each transfer."""

    __slots__ = ("_counted", "_deadline", "_desk", "asked")

    def __init__(self, manager: web.Server, desk: Desk, loop: asyncio.AbstractEventLoop, **options: Any) -> None:
        super().__init__(manager, loop=loop, keepalive_timeout=desk.timeouts.keepalive, **options)
        self._desk = desk
        self._counted = False
        self._deadline: asyncio.TimerHandle | None = None
        #: Set once a request was read.
        self.asked = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        stream = cast(asyncio.Transport, transport)
        if self._desk.open >= MAX_CONNECTIONS or not self._certificate_allowed(stream):
            stream.abort()
            return
        self._desk.open += 1
        self._counted = True
        # Writing is then finished when the kernel has every byte, so that "served" is not said too early.
        stream.set_write_buffer_limits(high=0)
        super().connection_made(transport)
        self._deadline = self._loop.call_later(self._desk.timeouts.headers, self._expire)

    def connection_lost(self, exc: BaseException | None) -> None:
        if self._counted:
            self._desk.open -= 1
            self._counted = False
        if self._deadline is not None:
            self._deadline.cancel()
        super().connection_lost(exc)

    def _expire(self) -> None:
        if not self.asked:
            self.force_close()

    def _certificate_allowed(self, transport: asyncio.Transport) -> bool:
        tls = self._desk.watch.config.tls
        if tls is None or not tls.client_allowed_sans:
            return True
        allowed = san_allowed(transport.get_extra_info("peercert"), tls.client_allowed_sans)
        if not allowed:
            log.info("client certificate refused: none of its names is in client_allowed_sans")
        return allowed

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """A request that could not be read, or (never, by the middleware) an error that nothing answered.

        aiohttp would log a traceback and quote the input in its answer.
        """
        if status != 400:
            text = "".join(traceback.format_exception(exc)) if exc is not None else message
            log.error("request failed outside its handler", exception=text)
        if request.writer.output_size > 0:
            raise ConnectionError("the answer had begun")
        if status == 400:
            log.debug("unreadable request", reason=type(exc).__name__)
            self._desk.unreadable()
            response = error_response(status, "bad request")
        else:
            response = error_response(status, "internal error")
        harden(response.headers, self._desk.watch.config.http_server_config.headers, None)
        response.force_close()
        return response

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Writes what no middleware wrote (an unknown Expect header, an unreadable request), in time."""
        if isinstance(resp, web.HTTPException):
            resp = from_http(resp)
        try:
            async with asyncio.timeout(self._desk.timeouts.write):
                return await super().finish_response(request, resp, start_time)
        except TimeoutError:
            if request.transport is not None:
                request.transport.abort()
            return resp, True
