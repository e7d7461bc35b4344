"""The writers: 16 transactions at a time that commit late, roll back, are prepared, and lose their server."""

from __future__ import annotations

import asyncio
import random
import time
from datetime import UTC, datetime, timedelta

from chaos.link import Link, Outage
from chaos.prepared import Closer, Prepared
from chaos.record import (
    CUT_OFF,
    PREPARED,
    ROLLED_BACK,
    SAVEPOINT,
    UNCERTAIN,
    Pace,
    Record,
    is_committed,
    is_prepared,
)
from chaos.work import Work, Worker

#: Seconds that a transaction stays open after its work, and how often: from none to beyond the late window.
DELAYS = (((0.0, 0.05), 78), ((0.3, 2.0), 13), ((2.0, 12.0), 6), ((31.0, 42.0), 3))
#: How far an application's clock is off, and how long its stamp waits for BEGIN, at most (seconds).
SKEW, POOL_WAIT = 3.0, 2.0


class Writer:
    """One connection's transactions, one after the other, until ``stop``."""

    def __init__(
        self, number: int, dsn: str, record: Record, pace: Pace, closer: Closer, stop: asyncio.Event, seed: int
    ) -> None:
        self._rng = random.Random(f"{seed} {number}")
        self._name = f"w{number:02}"
        self._worker = Worker(self._name, self._rng)
        self._link = Link(dsn, self._name)
        self._skew = timedelta(seconds=self._rng.uniform(-SKEW, SKEW))
        self._record, self._pace, self._closer, self._stop = record, pace, closer, stop
        self._running: list[int] = []
        self._serial = 0
        self._began = time.monotonic()

    async def run(self) -> None:
        """Write until told to stop."""
        try:
            while not self._stop.is_set():
                await self._transaction()
        finally:
            await self._link.close()

    async def pause(self, low: float, high: float) -> None:
        """Wait, but no longer than the run."""
        try:
            async with asyncio.timeout(self._rng.uniform(low, high)):
                await self._stop.wait()
        except TimeoutError:
            pass

    async def _transaction(self) -> None:
        rng, link = self._rng, self._link
        await link.ready()
        app, drawn = datetime.now(UTC) + self._skew, time.monotonic()
        if rng.random() < 0.15:
            await self.pause(0, POOL_WAIT)
        work, began = Work(), time.monotonic()
        self._serial += 1
        tag = f"{self._name}-{self._serial}"
        try:
            await link.execute(f"BEGIN; SET LOCAL chaos.tag = '{tag}'")
            if time.monotonic() - drawn > 2 * POOL_WAIT:  # a machine too busy to keep to what is promised
                app = datetime.now(UTC) + self._skew
            if rng.random() < 0.2:  # idle in its transaction before it writes anything
                await link.execute("SELECT now()")
                await self.pause(0, 3)
            for _ in range(rng.choice((1, 1, 2, 3))):
                await self._step(work, app)
            [(low, high)] = rng.choices([d for d, _ in DELAYS], [weight for _, weight in DELAYS])
            await self.pause(low, high)
            how = rng.choices(("commit", ROLLED_BACK, "prepare"), (90, 5, 5))[0]
            if how == ROLLED_BACK:
                await link.execute("ROLLBACK")
        except Outage:
            how = CUT_OFF
        if how == "commit":
            await self._commit(work, began, tag)
        elif how == "prepare":
            await self._prepare(work, began, tag)
        else:
            self._undone(work, how)

    async def _step(self, work: Work, app: datetime) -> None:
        """Something to some rows; in a savepoint, perhaps, that is rolled back, perhaps."""
        saved = self._rng.random() < 0.3
        if saved:
            await self._link.execute("SAVEPOINT s")
        done = await self._do(app)
        if saved and self._rng.random() < 0.4:
            await self._link.execute("ROLLBACK TO s")
            self._undone(done, SAVEPOINT)
            return
        work.add(done)

    async def _do(self, app: datetime) -> Work:
        rng, worker = self._rng, self._worker
        elapsed = time.monotonic() - self._began
        rows = self._pace.rows(rng, elapsed)
        choice = rng.random()
        async with self._link.use() as connection:
            if choice < 0.12 and (keys := self._record.take(min(rows, 40))):
                done = await worker.retry(connection, keys, app)
            elif choice < 0.24 and (keys := self._record.take(60)):
                done = await worker.prune(connection, keys, app)
            elif choice < 0.5 and self._running:
                ids, self._running = self._running, []
                done = await worker.finish(connection, ids, app)
            elif choice < 0.6:
                done = await worker.start(connection, rows, app, self._late_type(elapsed))
            else:
                done = await worker.insert(connection, rows, app, self._late_type(elapsed))
        self._pace.issued += len(done.finished)
        return done

    @staticmethod
    def _late_type(elapsed: float) -> str:
        """A task type that nobody has heard of before some moment: its first execution is an increase too."""
        return f"since minute {int(elapsed // 60) % 10}"

    def _undone(self, work: Work, how: str) -> None:
        self._record.happened[how] += 1
        self._pace.issued -= len(work.finished)
        self._running += work.taken

    def _done(self, work: Work, began: float) -> None:
        self._record.commit(work, time.monotonic() - began)
        self._running += work.started

    async def _commit(self, work: Work, began: float, tag: str) -> None:
        try:
            await self._link.execute("COMMIT")
        except Outage:
            if not work.finished:  # the audit cannot tell, and nothing depends on it
                return
            self._record.happened[UNCERTAIN] += 1
            if not await self._link.ask(is_committed, tag):
                self._undone(work, CUT_OFF)
                return
        self._done(work, began)

    async def _prepare(self, work: Work, began: float, gid: str) -> None:
        try:
            await self._link.execute(f"PREPARE TRANSACTION '{gid}'".encode())
        except Outage:
            if not await self._link.ask(is_prepared, gid):
                self._undone(work, CUT_OFF)
                return
        self._record.happened[PREPARED] += 1
        delay = self._rng.choice((self._rng.uniform(0, 6), self._rng.uniform(0, 45)))
        commits = self._rng.random() < 0.85
        self._closer.add(Prepared(gid=gid, work=work, began=began, due=time.monotonic() + delay, commits=commits))
