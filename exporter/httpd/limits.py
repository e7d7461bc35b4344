"""Bounds: how long a client may take, how much it may send, how often it may ask."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from exporter.config.web import RateLimit

#: The longest request line, and the longest header, in bytes.
MAX_LINE: Final = 8190
#: The largest request body in bytes.
MAX_BODY: Final = 64 * 1024
#: The longest that an unread body is waited for after its answer, in seconds.
LINGER: Final = 2.0
#: Connections at once; more are closed at once, so that a flood leaves file descriptors for the databases.
MAX_CONNECTIONS: Final = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """Seconds for a connection's first request, a body, an answer's transfer, idling, handshake, the end."""

    headers: float = 10.0
    body: float = 10.0
    write: float = 30.0
    keepalive: float = 75.0
    handshake: float = 10.0
    shutdown: float = 5.0


class TokenBucket:
    """exporter-toolkit's ``rate_limit``: one bucket over all clients."""

    def __init__(self, limit: RateLimit, clock: Callable[[], float] = time.monotonic) -> None:
        self.limit = limit
        self._clock = clock
        self._tokens = float(limit.burst)
        self._at = clock()

    def take(self) -> float:
        """0 when the request may pass, else the seconds until one may."""
        now = self._clock()
        self._tokens = min(self.limit.burst, self._tokens + (now - self._at) / self.limit.interval)
        self._at = now
        if self._tokens >= 1:
            self._tokens -= 1
            return 0.0
        return (1 - self._tokens) * self.limit.interval
