"""The HTTP server as an async context manager: binds, serves, rotates certificates, ends within seconds."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Sequence
from types import TracebackType
from typing import Final, cast

import structlog
from aiohttp import web

from exporter.httpd.context import Context
from exporter.httpd.endpoint import Declare
from exporter.httpd.limits import LINGER, MAX_BODY, MAX_LINE, Timeouts
from exporter.httpd.listen import format_address, open_sockets
from exporter.httpd.middleware import Boundary
from exporter.httpd.protocol import Connection, Desk
from exporter.httpd.routing import Routes
from exporter.httpd.watch import WebConfigWatch

log = structlog.get_logger(__name__)

#: Seconds between two looks at the web configuration's files.
_LOOK: Final = 1.0


class Server:
    """Serves ``families`` on every ``web.listen_address`` of the configuration at the time of entry.

    ConfigError on entry when an address cannot be bound or ``web.config_file`` cannot be used.
    """

    def __init__(self, context: Context, families: Sequence[Declare], *, timeouts: Timeouts | None = None) -> None:
        self._context = context
        self._families = families
        self._timeouts = timeouts or Timeouts()
        self._sockets: list[socket.socket] = []
        #: What is bound, with the true port: ``127.0.0.1:9795``, ``[::]:9795``. Empty before entry.
        self.addresses: tuple[str, ...] = ()
        self._listeners: list[asyncio.Server] = []
        self._serving: ssl.SSLContext | None = None
        self._stack = contextlib.AsyncExitStack()
        self._watch: WebConfigWatch

    @property
    def urls(self) -> tuple[str, ...]:
        """An address to open for each socket; all interfaces are shown as localhost."""
        scheme = "http" if self._watch.context is None else "https"
        hosts = (text.replace("0.0.0.0:", "localhost:").replace("[::]:", "localhost:") for text in self.addresses)
        return tuple(f"{scheme}://{host}" for host in hosts)

    async def __aenter__(self) -> Server:
        async with contextlib.AsyncExitStack() as stack:
            await self._start(stack)
            self._stack = stack.pop_all()
        log.info("listening", addresses=self.addresses, tls=self._watch.context is not None)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def _start(self, stack: contextlib.AsyncExitStack) -> None:
        web_config = self._context.config().web
        self._watch = await WebConfigWatch.open(web_config.config_file)
        routes = Routes([endpoint for declare in self._families for endpoint in declare(self._context)])
        boundary = Boundary(self._watch, self._context.instruments, self._timeouts, routes)
        stack.callback(boundary.close)
        app = web.Application(middlewares=[boundary.middleware], client_max_size=MAX_BODY)
        app.on_response_prepare.append(boundary.prepare)
        routes.mount(app)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=self._timeouts.shutdown)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        self._sockets = await open_sockets(web_config.listen_address)
        self.addresses = tuple(format_address(sock) for sock in self._sockets)
        for sock in self._sockets:
            stack.callback(sock.close)
        manager = cast(web.Server, runner.server)
        desk = Desk(watch=self._watch, timeouts=self._timeouts, unreadable=boundary.unreadable)
        stack.callback(self._close_listeners)
        await self._listen(manager, desk)
        rotation = asyncio.create_task(self._rotate(manager, desk), name="web-config")
        stack.push_async_callback(_cancelled, rotation)

    async def _listen(self, manager: web.Server, desk: Desk) -> None:
        """Accept with the current TLS context from now on.

        A fresh listener on the same socket, because an SSLContext that serves can take a new certificate and
        no more: a changed client CA, policy or version needs a new context. Nobody is turned away meanwhile.
        """
        loop = asyncio.get_running_loop()
        context = self._watch.context

        def connect() -> Connection:
            return Connection(
                manager,
                desk,
                loop,
                access_log=None,
                lingering_time=LINGER,
                max_line_size=MAX_LINE,
                max_field_size=MAX_LINE,
            )

        handshake = self._timeouts.handshake if context is not None else None
        with contextlib.ExitStack() as undo:
            started = []
            for sock in self._sockets:
                own = undo.enter_context(sock.dup())
                listener = await loop.create_server(connect, sock=own, ssl=context, ssl_handshake_timeout=handshake)
                undo.callback(listener.close)
                started.append(listener)
            undo.pop_all()
        self._close_listeners()
        self._listeners, self._serving = started, context

    def _close_listeners(self) -> None:
        for listener in self._listeners:
            listener.close()

    async def _rotate(self, manager: web.Server, desk: Desk) -> None:
        while True:
            await asyncio.sleep(_LOOK)
            try:
                await self._watch.poll()
                if self._watch.context is not self._serving:
                    await self._listen(manager, desk)
            except Exception as exc:  # out of file descriptors, say: the old listeners go on, this tries again
                log.error("cannot take over the web configuration", error=repr(exc))


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
