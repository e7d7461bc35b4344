"""Bounds: how long a client may take, how much it may send, how often it may ask."""

from __future__ import annotations

import ipaddress
import math
from collections import OrderedDict
from typing import Final

import msgspec
from aiohttp import web
from aiolimiter import AsyncLimiter

from exporter.httpd.problems import HttpError

#: The longest request line, and the longest header, in bytes.
MAX_LINE: Final = 8190
#: The largest request body in bytes.
MAX_BODY: Final = 64 * 1024
#: The longest that an unread body is waited for after its answer, in seconds.
LINGER: Final = 2.0
#: Connections at once; more are closed at once, so that a flood leaves file descriptors for the databases.
MAX_CONNECTIONS: Final = 512
#: Clients whose budgets are remembered, about half a kilobyte each.
MAX_CLIENTS: Final = 4096


class Timeouts(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds for a connection's first request, a body, an answer's transfer, idling, handshake, the end."""

    headers: float = 10.0
    body: float = 10.0
    write: float = 30.0
    keepalive: float = 75.0
    handshake: float = 10.0
    shutdown: float = 5.0


class Budgets:
    """How often each client may ask: buckets that fill by every request and leak at the rate that is configured.

    A client is whoever a credential names, else an address (of IPv6 a whole /64, which is what one subscriber has).
    """

    def __init__(self) -> None:
        self._buckets: OrderedDict[tuple[str, str], AsyncLimiter] = OrderedDict()

    async def pay(self, budget: str, client: str, *, per_second: float, burst: int) -> None:
        """Take one request of ``client`` from its ``budget``; HttpError 429 where nothing is left of it."""
        if per_second <= 0:
            return
        bucket = self._buckets.get((budget, client))
        if bucket is None or bucket.max_rate != burst or bucket.time_period != burst / per_second:
            bucket = self._buckets[budget, client] = AsyncLimiter(burst, burst / per_second)
        self._buckets.move_to_end((budget, client))
        while len(self._buckets) > MAX_CLIENTS:
            # Who keeps asking stays: a flood of other addresses frees nobody who has used up a budget.
            self._buckets.popitem(last=False)
        if not bucket.has_capacity():
            wait = max(1, math.ceil(1 / per_second))
            raise HttpError(429, "too many requests", {"Retry-After": str(wait)})
        await bucket.acquire()


def client_of(request: web.Request) -> str:
    """The address that asks, as budgets know it."""
    remote = request.remote or ""
    try:
        address = ipaddress.ip_address(remote.partition("%")[0])
    except ValueError:
        return remote
    if isinstance(address, ipaddress.IPv4Address):
        return remote
    if address.ipv4_mapped is not None:  # how IPv4 clients look to a socket that takes both
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address, 64), strict=False))
