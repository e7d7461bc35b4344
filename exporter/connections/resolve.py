"""Looking up names without ever letting a hung lookup hold up another one.

``getaddrinfo`` cannot be cancelled and may hang for half a minute. The event loop's thread pool would fill up
with such lookups, and targets with a healthy name would wait for a thread; so each name has a thread of its
own, at most one at a time. The threads are daemons: a hung lookup does not hold up the end of the process
either.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable

Lookup = Callable[[str], tuple[str, ...]]


def system_lookup(host: str) -> tuple[str, ...]:
    """The addresses of ``host`` in the order in which the system prefers them. Raises OSError (gaierror)."""
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return tuple(dict.fromkeys(str(info[4][0]) for info in found))


class Resolver:
    """Looks up names in threads; several who ask for one name at the same time share one lookup."""

    def __init__(self, lookup: Lookup = system_lookup) -> None:
        self._lookup = lookup
        self._pending: dict[str, asyncio.Future[tuple[str, ...]]] = {}

    async def resolve(self, host: str) -> tuple[str, ...]:
        """The addresses of ``host``. Raises OSError; who gives up leaves the lookup to those who wait."""
        pending = self._pending.get(host)
        if pending is None:
            pending = self._pending[host] = self._start(host)
        return await asyncio.shield(pending)

    def _start(self, host: str) -> asyncio.Future[tuple[str, ...]]:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[tuple[str, ...]] = loop.create_future()

        def finish(addresses: tuple[str, ...], error: Exception | None) -> None:
            self._pending.pop(host, None)
            if error is not None:
                future.set_exception(error)
                future.exception()  # nobody may be waiting any more, and that is no fault to report
            else:
                future.set_result(addresses)

        def work() -> None:
            addresses: tuple[str, ...] = ()
            error: Exception | None = None
            try:
                addresses = self._lookup(host)
            except Exception as caught:  # handed over to whoever asked
                error = caught
            with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
                loop.call_soon_threadsafe(finish, addresses, error)

        threading.Thread(target=work, name="connections-dns", daemon=True).start()
        return future
