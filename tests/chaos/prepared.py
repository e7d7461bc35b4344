"""Prepared transactions, and who ends them: they outlive their connection, the server's crash, and the writers."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from chaos.link import Link, Outage
from chaos.record import PREPARED_BACK, Pace, Record, is_prepared
from chaos.work import Work


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """One that waits until ``due`` (monotonic), then commits or not."""

    gid: str
    work: Work
    began: float
    due: float
    commits: bool


class Closer:
    """Ends prepared transactions over a connection of its own."""

    def __init__(self, dsn: str, record: Record, pace: Pace) -> None:
        self._link = Link(dsn, "closer")
        self._record, self._pace = record, pace
        self._waiting: list[Prepared] = []

    def add(self, prepared: Prepared) -> None:
        """Take one over."""
        self._waiting.append(prepared)

    async def run(self, stop: asyncio.Event) -> None:
        """End each when it is due, until told to stop."""
        while not stop.is_set():
            await self.end_all(before=time.monotonic())
            await asyncio.sleep(0.1)

    async def end_all(self, before: float = float("inf")) -> None:
        """End those that are due by then."""
        for prepared in [one for one in self._waiting if one.due <= before]:
            await self._end(prepared)
            self._waiting.remove(prepared)

    async def close(self) -> None:
        """Leave the server."""
        await self._link.close()

    async def _end(self, prepared: Prepared) -> None:
        how = "COMMIT" if prepared.commits else "ROLLBACK"
        while True:
            try:
                await self._link.execute(f"{how} PREPARED '{prepared.gid}'")
                break
            except Outage:
                # Nobody else ends it: if it is gone, it went the way that was asked for.
                if not await self._link.ask(is_prepared, prepared.gid):
                    break
        if prepared.commits:
            self._record.commit(prepared.work, time.monotonic() - prepared.began)
        else:
            self._record.happened[PREPARED_BACK] += 1
            self._pace.issued -= len(prepared.work.finished)
