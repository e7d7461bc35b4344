"""What a request asks for, and answers from the snapshot: parameters, the header that dates them, bytes kept ready."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, Final

import msgspec
from aiohttp import web

from exporter.api.wire import iso
from exporter.config.model import Config
from exporter.httpd.problems import JSON, HttpError

#: Tells when an answer's data was true: ISO, UTC, milliseconds.
SNAPSHOT_HEADER: Final = "X-Snapshot-Timestamp"
HOUR: Final = 3600.0
#: What ``period`` may be, in seconds.
PERIODS: Final = {"1h": HOUR, "6h": 6 * HOUR, "24h": 24 * HOUR, "7d": 168 * HOUR, "30d": 720 * HOUR}
DEFAULT_PERIOD: Final = "24h"


def store_asked(request: web.Request, config: Config) -> str:
    """The store that ``store`` names, else the first one configured. HttpError 404 for any other name."""
    names = [store.name for store in config.stores]
    wanted = request.query.get("store")
    if not names:
        raise HttpError(404, "store: none is configured")
    if wanted is None:
        return names[0]
    if wanted not in names:
        raise HttpError(404, f"store: expected one of {', '.join(names)}")
    return wanted


def period_asked(request: web.Request) -> tuple[str, float]:
    """``period`` and its seconds. HttpError 400 for one that is unknown."""
    period = request.query.get("period", DEFAULT_PERIOD)
    if period not in PERIODS:
        raise HttpError(400, f"period: expected one of {', '.join(PERIODS)}")
    return period, PERIODS[period]


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
