"""Schedulers' monitoring APIs on a socket: each answers with the very examples of its documentation, or misbehaves."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import ssl
import threading
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final

from aiohttp import web

SPEC: Final = Path(__file__).parents[1] / "api" / "spec"
#: Paths, and the examples that are answered there.
CHRONOS: Final = {
    "/api/system/health": "000-01",
    "/api/system/stats": "000-02",
    "/api/system/stats/live": "000-03",
    "/api/system/workers": "000-04",
    "/api/jobs/job_abc123/logs": "000-05",
    "/api/jobs/job_abc123/logs/summary": "000-06",
    "/api/logs/recent": "000-07",
}
NATIVELINK: Final = {
    "/api/v1/workers": "004-01",
    "/api/v1/workers/worker-123": "004-02",
    "/api/v1/operations": "004-03",
    "/api/v1/operations/op-456": "004-04",
    "/api/v1/scheduler/status": "004-05",
    "/api/v1/scheduler/metrics": "004-06",
    "/api/v1/system/health": "004-07",
}
POLLED: Final = {
    "chronos": {path for path in CHRONOS if not path.startswith("/api/jobs/")},
    "nativelink": {path for path in NATIVELINK if path.count("/") == 3 or "scheduler" in path or "system" in path},
}
#: 100 MB, as one body.
HUGE: Final = 100 * 1024 * 1024


@cache
def packed_blanks() -> bytes:
    """100 MB of blanks. Once for all requests: packing them is dear."""
    return gzip.compress(b" " * HUGE, 1)


Trouble = Callable[[web.Request, bytes], Awaitable[web.StreamResponse]]


def example(name: str) -> bytes:
    """A JSON block of a document, byte for byte."""
    return (SPEC / f"{name}.json").read_bytes()


@dataclass
class MonitoringApi:
    """Answers of one API. ``answers`` may be changed by path, ``trouble`` too; "" is every path.

    ``asked`` is every request's path with its query, ``tokens`` what they showed, ``sent`` the bytes of huge bodies.
    """

    paths: dict[str, str]
    token: str | None = None
    trouble: dict[str, Trouble] = field(default_factory=dict)
    answers: dict[str, Any] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    tokens: list[str | None] = field(default_factory=list)
    sent: int = 0
    url: str = ""
    _connections: weakref.WeakSet[asyncio.Transport] = field(default_factory=weakref.WeakSet)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """What comes back for any path."""
        path = request.path
        assert request.transport is not None
        self._connections.add(request.transport)
        self.asked.append(request.path_qs)
        shown = request.headers.get("Authorization")
        self.tokens.append(shown)
        if self.token is not None and shown != f"Bearer {self.token}":
            return web.json_response({"error": "who are you?"}, status=401)
        if path not in self.paths and path not in self.answers:
            return web.json_response({"error": "not found"}, status=404)
        body = json.dumps(self.answers[path]).encode() if path in self.answers else example(self.paths[path])
        trouble = self.trouble.get(path) or self.trouble.get("")
        if trouble is not None:
            return await trouble(request, body)
        return web.Response(body=body, content_type="application/json")

    # -- troubles

    async def status_500(self, request: web.Request, body: bytes) -> web.StreamResponse:
        return web.json_response({"error": "out of memory at 0x1234, password=hunter2"}, status=500)

    async def slow(self, request: web.Request, body: bytes) -> web.StreamResponse:
        """Nothing at all for a minute."""
        await asyncio.sleep(60)
        return web.Response(body=body)

    async def drip(self, request: web.Request, body: bytes) -> web.StreamResponse:
        """A byte at a time."""
        response = web.StreamResponse()
        await response.prepare(request)
        for byte in body:
            await response.write(bytes([byte]))
            await asyncio.sleep(0.5)
        return response

    async def truncated(self, request: web.Request, body: bytes) -> web.StreamResponse:
        """Half of what was promised, then the connection's end."""
        response = web.StreamResponse(headers={"Content-Length": str(len(body))})
        await response.prepare(request)
        await response.write(body[: len(body) // 2])
        assert request.transport is not None
        request.transport.close()
        return response

    async def half(self, request: web.Request, body: bytes) -> web.StreamResponse:
        """Half of the JSON as if that were all."""
        return web.Response(body=body[: len(body) // 2], content_type="application/json")

    async def huge(self, request: web.Request, body: bytes) -> web.StreamResponse:
        """100 MB that say so."""
        return await self._huge(request, web.StreamResponse(headers={"Content-Length": str(HUGE)}))

    async def endless(self, request: web.Request, body: bytes) -> web.StreamResponse:
        """100 MB in chunks, which nobody can know before."""
        response = web.StreamResponse()
        response.enable_chunked_encoding()
        return await self._huge(request, response)

    async def bomb(self, request: web.Request, body: bytes) -> web.StreamResponse:
        """100 MB of blanks, packed into 100 kB, which nobody asked for."""
        packed = await asyncio.to_thread(packed_blanks)
        return web.Response(body=packed, headers={"Content-Encoding": "gzip", "Content-Type": "application/json"})

    async def _huge(self, request: web.Request, response: web.StreamResponse) -> web.StreamResponse:
        chunk = b" " * 65_536
        with contextlib.suppress(ConnectionError):
            await response.prepare(request)
            for _ in range(HUGE // len(chunk)):
                await response.write(chunk)
                self.sent += len(chunk)
        return response

    async def wrong_types(self, request: web.Request, body: bytes) -> web.StreamResponse:
        """Every number a text."""
        return web.json_response(_texts(json.loads(body)))

    async def wrong_json(self, request: web.Request, body: bytes) -> web.StreamResponse:
        """JSON, but of another API."""
        return web.json_response({"hello": ["world"]})

    async def html(self, request: web.Request, body: bytes) -> web.StreamResponse:
        return web.Response(text="<html>It works!</html>", content_type="text/html")

    async def nothing(self, request: web.Request, body: bytes) -> web.StreamResponse:
        return web.Response()

    async def deep(self, request: web.Request, body: bytes) -> web.StreamResponse:
        """JSON that no stack holds."""
        return web.Response(body=b"[" * 200_000 + b"]" * 200_000, content_type="application/json")

    async def redirects(self, request: web.Request, body: bytes) -> web.StreamResponse:
        """Elsewhere, to whom the token must not be shown."""
        return web.Response(status=302, headers={"Location": f"http://localhost:1{request.path}"})

    async def hangs_up(self, request: web.Request, body: bytes) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.close()
        return web.Response()

    # -- serving

    @contextlib.asynccontextmanager
    async def served(self, tls: ssl.SSLContext | None = None, port: int = 0) -> AsyncIterator[MonitoringApi]:
        """On a port of this machine; ``url`` has it."""
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self.answer)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        assert runner.server is not None
        loop = asyncio.get_running_loop()
        server = await loop.create_server(runner.server, "127.0.0.1", port, ssl=tls)
        host, port = server.sockets[0].getsockname()
        self.url = f"{'https' if tls is not None else 'http'}://{host}:{port}"
        try:
            yield self
        finally:
            for listening in server.sockets:  # a server that is closed forgets whom it was about to let in
                loop.remove_reader(listening.fileno())
            await _turns()
            server.close()
            connections = [handler.transport for handler in runner.server.connections]
            await runner.cleanup()
            for connection in (*connections, *self._connections):
                if connection is not None:  # closed, but not before all is sent, and nobody reads it
                    connection.abort()
            await _turns()

    @contextlib.contextmanager
    def running(self, port: int = 0) -> Iterator[MonitoringApi]:
        """The same in a thread of its own, for tests that wait for processes."""
        ready, stop = threading.Event(), asyncio.Event()
        loops: list[asyncio.AbstractEventLoop] = []

        async def serve() -> None:
            loops.append(asyncio.get_running_loop())
            async with self.served(port=port):
                ready.set()
                await stop.wait()

        thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
        thread.start()
        assert ready.wait(60)
        try:
            yield self
        finally:
            loops[0].call_soon_threadsafe(stop.set)
            thread.join(60)


async def _turns() -> None:
    """Let the loop do what is due, and what follows from it."""
    for _ in range(20):
        await asyncio.sleep(0)


def chronos(**options: Any) -> MonitoringApi:
    """A CHRONOS scheduler."""
    return MonitoringApi(paths=CHRONOS, **options)


def nativelink(**options: Any) -> MonitoringApi:
    """A NativeLink scheduler."""
    return MonitoringApi(paths=NATIVELINK, **options)


def _texts(value: Any) -> Any:
    match value:
        case dict():
            return {key: _texts(inner) for key, inner in value.items()}
        case list():
            return [_texts(inner) for inner in value]
        case bool() | None | str():
            return value
    return str(value)
