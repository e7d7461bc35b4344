"""What the paths of the CHRONOS family share: the envelope of their errors, and statistics or 503."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler

from exporter.domain import Statistics
from exporter.errors import LedgerError
from exporter.httpd.problems import HttpError, json_response

#: Seconds for which an answer waits for the state file, whose disk may hang.
PATIENCE = 10.0


class Refusal(msgspec.Struct):
    """An error in this family."""

    success: bool
    error: str


def chronos(handler: Callable[[web.Request], Awaitable[web.Response]]) -> Handler:
    """``handler`` with its HttpErrors in the family's envelope; 503 while the state file cannot be used, or hangs."""

    async def answer(request: web.Request) -> web.StreamResponse:
        try:
            async with asyncio.timeout(PATIENCE):
                return await handler(request)
        except HttpError as exc:
            return json_response(Refusal(False, exc.message), exc.status, exc.headers)
        except (LedgerError, TimeoutError):
            return json_response(Refusal(False, "statistics: the state file cannot be used at present"), 503)

    return answer


def polled(statistics: Statistics | None, store: str) -> Statistics:
    """Statistics that there are. HttpError 503 before the store's first poll: unknown is not zero."""
    if statistics is None:
        raise HttpError(503, f"nothing is known of store {store!r} yet: its executions have not been read")
    return statistics
