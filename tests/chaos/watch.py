"""Finds rows that are certainly counted: they may be deleted or retried in place, and only they.

A poll's cursor never passes the server's clock as it was when the poll was planned. So a cursor beyond the greatest
time that the clock had ever shown when a row was seen comes from a poll that began after that, however the clock jumps
and however often the sidecar is killed; and that poll has read the row, unless its stamp is beyond the cursor.
"""

from __future__ import annotations

import asyncio
import contextlib
import random

from chaos.link import Link
from chaos.record import Record
from chaos.work import Connection, Key
from chaos.world import World

#: The newest ones, whose keys every poll still finds again, and some of any age.
_LOOK = """
(SELECT id, attempt, extract(epoch FROM completed_at)::float8 FROM executions
 WHERE completed_at IS NOT NULL ORDER BY completed_at DESC LIMIT 400)
UNION
SELECT id, attempt, extract(epoch FROM completed_at)::float8 FROM executions
WHERE completed_at IS NOT NULL AND id = ANY (%s::bigint[])
"""


class Watch:
    """Looks, waits for the poll, and hands over; again and again."""

    def __init__(self, world: World, record: Record, seed: int) -> None:
        self._link = Link(world.app_dsn, "watch")
        self._world = world
        self._record = record
        self._rng = random.Random(f"{seed} watch")

    async def run(self) -> None:
        """Fill ``record.counted`` until cancelled."""
        while True:
            rows = await self._link.ask(_look, self._ids())
            upto = await self._polled(self._world.server_clock.greatest)
            keys = [key for key, stamp in rows if stamp <= upto]
            self._rng.shuffle(keys)
            self._record.counted.extend(keys)

    async def close(self) -> None:
        """Leave the server."""
        await self._link.close()

    async def _polled(self, after: float) -> float:
        """Wait until the cursor is beyond ``after``; returns it."""
        while True:
            with contextlib.suppress(OSError, LookupError):  # killed, or not polled yet
                if (cursor := await asyncio.to_thread(self._world.sidecar.cursor)) > after:
                    return cursor
            await asyncio.sleep(0.2)

    def _ids(self) -> list[int]:
        greatest = max(1, len(self._record.committed))
        return [self._rng.randint(1, greatest) for _ in range(400)]


async def _look(connection: Connection, ids: list[int]) -> list[tuple[Key, float]]:
    cursor = await connection.execute(_LOOK.encode(), [ids])
    return [((row[0], row[1]), row[2]) for row in await cursor.fetchall()]
