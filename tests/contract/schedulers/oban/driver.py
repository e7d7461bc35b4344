"""Oban for Python does known work: see events.py."""

import asyncio
import sys

from events import began, ran, say
from oban import Oban
from oban.decorators import worker
from oban.schema import install
from psycopg_pool import AsyncConnectionPool

DSN, STAGE = sys.argv[1:3]


@worker(queue="default")
class Add:
    async def process(self, job):
        ran("driver.Add", "success", job.id, job.attempt - 1)


@worker(queue="default", max_attempts=1)
class Boom:
    async def process(self, job):
        ran("driver.Boom", "failed", job.id, job.attempt - 1)
        raise ValueError("boom")


@worker(queue="default", max_attempts=5)
class Flaky:
    async def process(self, job):
        failed = job.attempt < 3
        ran("driver.Flaky", "failed" if failed else "success", job.id, job.attempt - 1)
        if failed:
            raise RuntimeError(f"flaky {job.attempt}")

    def backoff(self, job):
        return 1


@worker(queue="slow")
class Long:
    async def process(self, job):
        began("driver.Long", job.id)
        await asyncio.sleep(600)


@worker(queue="default", cron="* * * * *")
class Tick:
    async def process(self, job):
        ran("driver.Tick", "success", job.id, job.attempt - 1)


async def work() -> None:
    async with AsyncConnectionPool(DSN, min_size=1, max_size=5, open=False) as pool:
        if STAGE == "install":
            await install(pool)
            return
        oban = Oban(pool=pool, queues={"default": 4, "slow": 1}, node="node-a")
        if STAGE == "work":
            for i in range(4):
                await oban.enqueue(Add.new({"i": i}))
            for other in (Boom, Flaky, Long):
                await oban.enqueue(other.new())
            await oban.enqueue(Add.new({}, schedule_in=3600))
            await oban.cancel_job(await oban.enqueue(Add.new({}, schedule_in=7200)))
        await oban.start()
        say(working=True)
        await asyncio.sleep(3600)


def main() -> None:
    asyncio.run(work())
