"""All writers in one thread with an event loop of its own, beside whoever makes the faults."""

from __future__ import annotations

import asyncio
import threading
import time

from chaos.plan import Plan
from chaos.prepared import Closer
from chaos.record import Pace, Record
from chaos.watch import Watch
from chaos.world import World
from chaos.writers import Writer


class Fleet:
    """``start``, make trouble, ``finish``: then nothing is open any more, and ``record`` says what was committed."""

    def __init__(self, plan: Plan, world: World) -> None:
        self.plan = plan
        self.record = Record()
        self._world = world
        self._pace = Pace(plan)
        self._ending = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._main, name="writers", daemon=True)

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def check(self) -> None:
        """Raise what a writer has failed with."""
        if self._failure is not None:
            raise RuntimeError("the writers failed") from self._failure

    def finish(self) -> None:
        """Let every transaction end now, prepared ones too."""
        self._ending.set()
        self._thread.join(300)
        self.check()
        assert not self._thread.is_alive(), "the writers do not end"

    def _main(self) -> None:
        try:
            asyncio.run(self._run())
        except BaseException as e:
            self._failure = e

    async def _run(self) -> None:
        plan, dsn = self.plan, self._world.app_dsn
        stop = asyncio.Event()
        closer = Closer(dsn, self.record, self._pace)
        watch = Watch(self._world, self.record, plan.seed)
        writers = [Writer(n, dsn, self.record, self._pace, closer, stop, plan.seed) for n in range(plan.writers)]
        async with asyncio.TaskGroup() as group:
            group.create_task(closer.run(stop))
            watching = group.create_task(watch.run())
            for writer in writers:
                group.create_task(writer.run())
            while not self._ending.is_set():  # noqa: ASYNC110 - another thread sets it
                await asyncio.sleep(0.1)
            stop.set()
            watching.cancel()
        await closer.end_all()
        await closer.close()
        await watch.close()


def wait_for_executions(fleet: Fleet, seconds: float) -> None:
    """Let the writers go on until as many as planned have finished, or ``seconds`` have passed: machines differ."""
    deadline = time.monotonic() + seconds
    while len(fleet.record.committed) < fleet.plan.executions and time.monotonic() < deadline:
        fleet.check()
        time.sleep(0.2)
