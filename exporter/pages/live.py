"""``/live``: server-sent events that tell a page when there is something new. They say no more than that.

The page then asks for itself again, with whatever its visitor may see at that moment.
"""

from __future__ import annotations

import asyncio
import time
from typing import Final

from aiohttp import web

from exporter.httpd.context import Context
from exporter.httpd.endpoint import Answer, Endpoint, Nothing, Query
from exporter.httpd.problems import HttpError
from exporter.httpd.roles import Role
from exporter.httpd.streams import ending_within
from exporter.pages.home import FAMILY

#: Pages that are told at once; others are brought up to date less often, by asking.
MOST: Final = 50
#: Seconds between two looks, and between two events at least.
LOOK: Final = 0.5
EVERY: Final = 3.0
#: Seconds without news after which something is sent, so that both sides see that the other is there: no error comes
#: from a server that hangs. The page's script waits for more than two of them.
BEAT: Final = 15.0
#: Seconds for which a client may take nothing.
PATIENCE: Final = 10.0


def endpoints(context: Context) -> list[Endpoint]:
    """The one path."""
    streams = 0

    async def live(call: Query[Nothing]) -> web.StreamResponse:
        nonlocal streams
        headers = {"Content-Type": "text/event-stream; charset=utf-8", "X-Accel-Buffering": "no"}
        if call.request.method == "HEAD":
            return web.Response(headers=headers)
        if streams >= MOST:
            raise HttpError(503, "too many pages are told already", {"Retry-After": "15"})
        streams += 1
        try:
            response = web.StreamResponse(headers=headers)
            await response.prepare(call.request)
            await _tell(call.request, response, context)
            return response
        finally:
            streams -= 1

    return [
        Endpoint(
            family=FAMILY,
            path="/live",
            handler=live,
            role=Role.ANYONE,
            summary="Server-sent events: `changed` whenever the status page has something new",
            answers={200: Answer(media=("text/event-stream",), description="Events, without an end")},
            fails=(503,),
        )
    ]


async def _tell(request: web.Request, response: web.StreamResponse, context: Context) -> None:
    """Write events until the client leaves or the server ends."""
    told, written = -1, time.monotonic()
    try:
        while True:
            version, now = context.hub.current.version, time.monotonic()
            if version != told and (told < 0 or now - written >= EVERY):
                await _write(response, f"event: changed\ndata: {version}\n\n")
                told, written = version, now
            elif now - written >= BEAT:
                await _write(response, "event: here\ndata: 1\n\n")
                written = now
            if await ending_within(request, LOOK):
                return
    except (ConnectionError, TimeoutError):
        if request.transport is not None:
            request.transport.abort()


async def _write(response: web.StreamResponse, text: str) -> None:
    async with asyncio.timeout(PATIENCE):
        await response.write(text.encode())
