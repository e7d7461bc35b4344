"""Answers that go on until their client leaves: told when the server ends, which waits for no client."""

from __future__ import annotations

import asyncio
from typing import Final

from aiohttp import web

ENDING: Final[web.AppKey[asyncio.Event]] = web.AppKey("ending", asyncio.Event)


def announce_end(app: web.Application) -> None:
    """Have ``app[ENDING]`` be set once the server stops."""
    app[ENDING] = asyncio.Event()

    async def ended(_: web.Application) -> None:
        app[ENDING].set()

    app.on_shutdown.append(ended)


async def ending_within(request: web.Request, seconds: float) -> bool:
    """Wait for ``seconds``, or until the server ends: whether it does."""
    try:
        async with asyncio.timeout(seconds):
            await request.app[ENDING].wait()
    except TimeoutError:
        return False
    return True
