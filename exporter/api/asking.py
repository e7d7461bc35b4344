"""What a request asks for, and answers from the snapshot: parameters, the header that dates them, bytes kept ready."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Annotated, Any, Final, Literal, TypeVar

import msgspec
from aiohttp import web
from msgspec import Meta

from exporter.api.wire import iso
from exporter.config.model import Config
from exporter.domain import Statistics
from exporter.errors import LedgerError
from exporter.httpd.endpoint import Query
from exporter.httpd.params import Text
from exporter.httpd.problems import JSON, HttpError

#: Tells when an answer's data was true: ISO, UTC, milliseconds.
SNAPSHOT_HEADER: Final = "X-Snapshot-Timestamp"
HOUR: Final = 3600.0
#: What ``period`` may be, in seconds.
PERIODS: Final = {"1h": HOUR, "6h": 6 * HOUR, "24h": 24 * HOUR, "7d": 168 * HOUR, "30d": 720 * HOUR}


#: Seconds for which an answer waits for the state file, whose disk may hang.
PATIENCE: Final = 10.0

ParamsT = TypeVar("ParamsT", bound=msgspec.Struct)


class StoreAsked(msgspec.Struct, frozen=True):
    """``store``: the name of a configured store; without it the first one."""

    store: Annotated[Text, Meta(description="The name of a store; by default the first one")] | None = None


class PeriodAsked(StoreAsked, frozen=True):
    """``period``: how far back, up to now."""

    period: Annotated[Literal["1h", "6h", "24h", "7d", "30d"], Meta(description="How far back")] = "24h"


def store_asked(wanted: str | None, config: Config) -> str:
    """The store that ``wanted`` names, else the first one configured. HttpError 404 for any other name."""
    names = [store.name for store in config.stores]
    if not names:
        raise HttpError(404, "store: none is configured")
    if wanted is None:
        return names[0]
    if wanted not in names:
        raise HttpError(404, f"store: expected one of {', '.join(names)}")
    return wanted


def polled(statistics: Statistics | None, store: str) -> Statistics:
    """Statistics that there are. HttpError 503 before the store's first poll: unknown is not zero."""
    if statistics is None:
        raise HttpError(503, f"nothing is known of store {store!r} yet: its executions have not been read")
    return statistics


def from_state(
    handler: Callable[[Query[ParamsT]], Awaitable[web.StreamResponse]],
) -> Callable[[Query[ParamsT]], Awaitable[web.StreamResponse]]:
    """``handler``, which asks the state file; 503 while that cannot be used, or hangs."""

    async def answer(call: Query[ParamsT]) -> web.StreamResponse:
        try:
            async with asyncio.timeout(PATIENCE):
                return await handler(call)
        except (LedgerError, TimeoutError):
            raise HttpError(503, "statistics: the state file cannot be used at present") from None

    return answer


def snapshot_response(body: bytes, at: float) -> web.Response:
    """An answer in JSON whose data was true at ``at`` (Unix seconds)."""
    return web.Response(body=body, headers={"Content-Type": JSON, SNAPSHOT_HEADER: iso(at) or ""})


class Kept:
    """Encoded answers, each built once for the values that it is made of. Those are frozen and replaced as a whole."""

    def __init__(self) -> None:
        self._kept: dict[Hashable, tuple[tuple[object, ...], bytes]] = {}

    def get(self, key: Hashable, made_of: tuple[object, ...], build: Callable[[], Any]) -> bytes:
        """The bytes for ``key``; ``build`` is called when one of ``made_of`` is another object than the last time."""
        kept = self._kept.get(key)
        if kept is None or any(a is not b for a, b in zip(kept[0], made_of, strict=True)):
            kept = self._kept[key] = (made_of, msgspec.json.encode(build()))
        return kept[1]
