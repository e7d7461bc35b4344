"""Who uses a store's second connection: requests that people wait for come first, the full count and history give way.

What runs in the background is cancelled when a request comes, and tried again. After a few times it may run to its
end, so that a busy dashboard cannot keep the jobs from being counted; requests then use the connection of the polls.
There is never a third connection.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final, TypeVar

from exporter.errors import ExporterError
from exporter.stores.session import Session, Transaction

T = TypeVar("T")

#: How often in a row what runs in the background gives way.
GIVES_WAY: Final = 3
#: Seconds for which a request waits for the end of what runs in the background before it is cancelled.
GRACE: Final = 0.01


class GaveWay(ExporterError):
    """Somebody waits for an answer: the background work was given up, for now."""


class SecondConnection:
    """``session`` shared by requests and background work; ``polls`` is the store's other connection."""

    def __init__(self, session: Session, polls: Session) -> None:
        self._session = session
        self._polls = polls
        self._requests = 0
        self._quiet = asyncio.Event()
        self._quiet.set()
        self._idle = asyncio.Event()
        self._idle.set()
        #: What may be cancelled of what runs in the background.
        self._cancellable: asyncio.Timeout | None = None
        self._gave_way: dict[str, int] = {}

    @contextlib.asynccontextmanager
    async def request(self, timeout: float, *, writing: bool = False) -> AsyncIterator[Transaction]:
        """A transaction for a request, read-only unless ``writing``; ``timeout`` of each statement in seconds."""
        self._requests += 1
        self._quiet.clear()
        try:
            session = await self._free_session()
            async with session.transaction(timeout, writing=writing) as transaction:
                yield transaction
        finally:
            self._requests -= 1
            if not self._requests:
                self._quiet.set()

    async def background(
        self, name: str, work: Callable[[Transaction], Awaitable[T]], timeout: float | None = None
    ) -> tuple[T, float]:
        """What ``work`` returns, and its database time. GaveWay when a request came; ``work`` may be called again.

        ``timeout`` of each statement in seconds, if it is not the session's.
        """
        await self._quiet.wait()
        scope = asyncio.timeout(None)
        given_way = self._gave_way.get(name, 0)
        self._idle.clear()
        try:
            async with scope:
                if given_way < GIVES_WAY:
                    self._cancellable = scope
                async with self._session.transaction(timeout) as transaction:
                    result = await work(transaction)
        except TimeoutError:
            if not scope.expired():
                raise
            self._gave_way[name] = given_way + 1
            raise GaveWay(f"{name}: a request came first") from None
        finally:
            self._cancellable = None
            self._idle.set()
        self._gave_way.pop(name, None)
        return result, transaction.seconds

    async def _free_session(self) -> Session:
        if self._idle.is_set():
            return self._session
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(GRACE):
                await self._idle.wait()
        if self._idle.is_set():
            return self._session
        if self._cancellable is None:
            return self._polls
        if not self._cancellable.expired():
            self._cancellable.reschedule(asyncio.get_running_loop().time())
        return self._session
