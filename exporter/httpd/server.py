"""The HTTP server as an async context manager: binds, serves, rotates certificates, ends within seconds."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import socket
import ssl
from collections.abc import Sequence
from types import TracebackType
from typing import Final, cast

import msgspec
import structlog
from aiohttp import web

from exporter.config.model import Config
from exporter.httpd.access import anonymous_role
from exporter.httpd.context import Context
from exporter.httpd.endpoint import Declare, Port
from exporter.httpd.limits import LINGER, MAX_BODY, MAX_LINE, Timeouts
from exporter.httpd.listen import format_address, open_sockets
from exporter.httpd.middleware import Boundary
from exporter.httpd.protocol import Connection, Desk
from exporter.httpd.roles import Role
from exporter.httpd.routing import Routes
from exporter.httpd.streams import announce_end
from exporter.httpd.tokens import tokens_of
from exporter.httpd.watch import WebConfigWatch

log = structlog.get_logger(component="http")

#: Seconds between two looks at the web configuration's files.
_LOOK: Final = 1.0


class Site(msgspec.Struct, frozen=True):
    """One application and the sockets on which it is served."""

    manager: web.Server
    sockets: tuple[socket.socket, ...]


class Server:
    """Serves ``families`` on every ``web.listen_address`` of the configuration at the time of entry.

    Where there is an ``api.listen_address``, JSON is served on that and nowhere else. ConfigError on entry when an
    address cannot be bound, ``web.config_file`` cannot be used, or JSON would be open and must not be.
    """

    def __init__(self, context: Context, families: Sequence[Declare], *, timeouts: Timeouts | None = None) -> None:
        self._context = context
        self._families = families
        self._timeouts = timeouts or Timeouts()
        self._sites: list[Site] = []
        #: What is bound, with the true port: ``127.0.0.1:9795``, ``[::]:9795``; the JSON's own addresses last. Empty
        #: before entry.
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

    def check(self, config: Config) -> None:
        """ConfigError if ``config``, coming into force, would leave JSON open that must not be."""
        anonymous_role(config, self._watch.config)

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
        config = self._context.config()
        self._watch = await WebConfigWatch.open(config.web.config_file)
        self._tell_who_may_read(config)
        routes = Routes([endpoint for declare in self._families for endpoint in declare(self._context)])
        boundary = Boundary(self._context, self._watch, self._timeouts, routes)
        stack.callback(boundary.close)
        ports: tuple[Port, ...] = ("web", "both") if config.api.addresses else ("web", "both", "api")
        await self._open(stack, boundary, "web.listen_address", config.web.listen_address, ports)
        if config.api.addresses:
            await self._open(stack, boundary, "api.listen_address", config.api.addresses, ("api", "both"))
        desk = Desk(watch=self._watch, timeouts=self._timeouts, unreadable=boundary.unreadable)
        stack.callback(self._close_listeners)
        await self._listen(desk)
        rotation = asyncio.create_task(self._rotate(desk), name="web-config")
        stack.push_async_callback(_cancelled, rotation)

    def _tell_who_may_read(self, config: Config) -> None:
        if anonymous_role(config, self._watch.config) is Role.ANYONE and not (
            tokens_of(config) or self._watch.config.basic_auth_users
        ):
            log.warning(
                "JSON is answered to nobody: it would be open to everyone who reaches the port",
                remedy="set auth.tokens, basic_auth_users in web.config_file, or auth.anonymous_read: true",
            )

    async def _open(
        self,
        stack: contextlib.AsyncExitStack,
        boundary: Boundary,
        key: str,
        addresses: Sequence[str],
        ports: Sequence[Port],
    ) -> None:
        app = web.Application(middlewares=[boundary.middleware], client_max_size=MAX_BODY)
        app.on_response_prepare.append(boundary.prepare)
        announce_end(app)
        boundary.routes.mount(app, ports, boundary.anonymous)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=self._timeouts.shutdown)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        sockets = await open_sockets(addresses, key)
        self.addresses += tuple(format_address(sock) for sock in sockets)
        for sock in sockets:
            stack.callback(sock.close)
        self._sites.append(Site(cast(web.Server, runner.server), tuple(sockets)))

    async def _listen(self, desk: Desk) -> None:
        """Accept with the current TLS context from now on.

        A fresh listener on the same socket, because an SSLContext that serves can take a new certificate and
        no more: a changed client CA, policy or version needs a new context. Nobody is turned away meanwhile.
        """
        loop = asyncio.get_running_loop()
        context = self._watch.context
        handshake = self._timeouts.handshake if context is not None else None
        with contextlib.ExitStack() as undo:
            started = []
            for site in self._sites:
                connect = functools.partial(
                    Connection,
                    site.manager,
                    desk,
                    loop,
                    access_log=None,
                    lingering_time=LINGER,
                    max_line_size=MAX_LINE,
                    max_field_size=MAX_LINE,
                    auto_decompress=False,
                )
                for sock in site.sockets:
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

    async def _rotate(self, desk: Desk) -> None:
        while True:
            await asyncio.sleep(_LOOK)
            try:
                await self._watch.poll()
                if self._watch.context is not self._serving:
                    await self._listen(desk)
            except Exception as exc:  # out of file descriptors, say: the old listeners go on, this tries again
                log.error("cannot take over the web configuration", error=repr(exc))


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
