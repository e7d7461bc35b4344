"""Finished executions as rows, a slice of positions at a time: streaming them, how wide the next one should be."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import Final, cast

import structlog

from exporter.domain import FINAL_STATUSES
from exporter.errors import StoreTooSlow
from exporter.ledger.cursor import Position
from exporter.ledger.finished import Finished
from exporter.stores.doubtful import Doubtful
from exporter.stores.queries import Wrapped, bounds
from exporter.stores.session import Row, Transaction

log = structlog.get_logger(component="reader")

_FINAL: Final = frozenset(FINAL_STATUSES)
_STATUS: Final = Finished._fields.index("status")
_ID: Final = Finished._fields.index("execution_id")
#: The narrowest slice: seconds, ids.
_NARROWEST: Final = {"time": 0.001, "id": 1}
#: How wide a slice may be at first: seconds, ids.
_FIRST: Final = {"time": 120.0, "id": 20_000}


class TooManyRows(Exception):
    """A slice gives more rows than it should: read a narrower one."""


class Width:
    """How wide the next slice is, so that it gives about ``few`` to ``many`` rows.

    Slices follow each other upwards, or ``down`` from the newest.
    """

    def __init__(self, kind: str, few: int, many: int, *, down: bool = False) -> None:
        self._kind = kind
        self._few, self._many = few, many
        self._down = down
        self._width: float = _FIRST[kind]
        self._whole = False

    @property
    def chunk(self) -> int:
        """How many rows to fetch at once: the more, the faster and the more memory."""
        return min(500, self._many // 4)

    @property
    def most(self) -> float:
        """How many rows a slice may give; any number where it cannot be narrower."""
        return math.inf if self._whole or self._width <= _NARROWEST[self._kind] else 2 * self._many

    @property
    def value(self) -> Position:
        """Seconds, or ids."""
        return int(self._width) if self._kind == "id" else self._width

    def found(self, rows: int) -> None:
        """A slice gave so many rows."""
        self._whole = False
        if rows > self._many:
            self._width = max(self._width / 2, _NARROWEST[self._kind])
        elif rows < self._few:
            self._width *= 4 if rows < self._few // 10 else 2
        self._width = min(self._width, _FIRST[self._kind] * 512)

    def too_wide(self) -> None:
        """A slice took longer than the statement timeout."""
        self._whole = False
        self._width = max(self._width / 4, _NARROWEST[self._kind])

    def crowded(self, low: Position, high: Position, seen: Sequence[Position]) -> None:
        """The slice from ``low`` to ``high`` gave more than ``most`` rows, some of which lie where ``seen`` says.

        Narrowed blindly it would be read again and again: tens of thousands that one statement has ended have one
        stamp. The next one reaches to the middle of them; one that holds nothing else is taken as it is.
        """
        narrowest = _NARROWEST[self._kind]
        start = high if self._down else low
        reach = sum(abs(position - start) for position in seen) / len(seen)
        self._whole = min(seen) == max(seen)
        # Beyond a stamp by the narrowest: none is lost to rounding.
        self._width = max(reach + narrowest if self._whole else min(reach, self._width / 2), narrowest)


class ExecutionRows:
    """Streams a store's finished executions."""

    def __init__(self, store: str, wrapped: Wrapped) -> None:
        self.store = store
        self._profile = wrapped.profile.name
        self._cursor = wrapped.cursor
        self._sql = wrapped.finished()
        self.kind = "id" if wrapped.cursor.kind == "id" else "time"
        #: Statuses that the profile gave and that mean nothing: their executions are not counted.
        self.unknown_statuses: frozenset[str] = frozenset()
        self.doubtful = Doubtful(store, wrapped)

    @property
    def missed(self) -> list[str]:
        """Why executions that were read are not counted, in words."""
        unknown = ", ".join(sorted(self.unknown_statuses))
        told = [f"profile {self._profile!r} gives statuses that mean nothing: {unknown}"] if unknown else []
        return [*told, *self.doubtful.missed]

    async def read(
        self,
        transaction: Transaction,
        low: Position,
        high: Position,
        width: Width,
        take: Callable[[list[Finished]], Awaitable[None]],
        *,
        bounded: bool,
    ) -> int:
        """Hand the rows with positions in (``low``, ``high``] to ``take``, in chunks; returns how many there were.

        While a chunk is taken in, the next one is fetched: the store, this thread and the ledger's work side by side.
        Raises TooManyRows when there are more than ``width`` allows: an idle stretch made it wide, and memory must not
        follow what comes then. The rows that were taken in are of no use then.
        """
        found = 0
        if low >= high:
            return found
        seen: list[Position] = []
        taking: asyncio.Future[None] | None = None
        parameters = bounds(self._cursor, low, high)
        stream = transaction.stream("executions", self._sql, *parameters, chunk=width.chunk)
        try:
            async with aclosing(stream):
                async for chunk in stream:
                    rows = self._known(chunk)
                    found += len(rows)
                    if taking is not None:
                        await taking
                    if bounded:
                        seen += (row[1] for row in chunk[:: len(chunk) - 1 or 1])
                        if found > width.most:
                            width.crowded(low, high, seen)
                            raise TooManyRows
                    taking = asyncio.ensure_future(take(rows))
            if taking is not None:
                await taking
        except StoreTooSlow:
            width.too_wide()
            raise
        finally:
            if taking is not None:
                taking.cancel()  # after an error; what the ledger has begun is ended and then discarded there
        width.found(found)
        return found

    def _known(self, chunk: list[Row]) -> list[Finished]:
        rows = [row for row in chunk if row[_STATUS] in _FINAL and row[_ID] is not None]
        self.doubtful.look(rows)
        if len(rows) < len(chunk):
            self.doubtful.without_id(sum(row[_ID] is None for row in chunk))
            found = {str(row[_STATUS]) for row in chunk if row[_STATUS] not in _FINAL}
            for status in sorted(found - self.unknown_statuses):
                log.error(
                    "the profile gives a status that means nothing; such executions are not counted",
                    store=self.store,
                    status=status,
                    known=list(FINAL_STATUSES),
                )
            self.unknown_statuses |= found
        return cast(list[Finished], rows)
