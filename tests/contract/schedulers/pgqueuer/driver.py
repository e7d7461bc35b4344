"""PgQueuer does known work: see events.py. Its schema goes where the connection's search_path points."""

import asyncio
import datetime
import sys

import asyncpg
from events import began, ran, say
from pgqueuer import AsyncpgDriver, DatabaseRetryEntrypointExecutor, PgQueuer, Queries

DSN, STAGE = sys.argv[1:3]


def retried(parameters):
    return DatabaseRetryEntrypointExecutor(
        parameters=parameters,
        max_attempts=5,
        initial_delay=datetime.timedelta(seconds=1),
        max_delay=datetime.timedelta(seconds=1),
    )


async def work() -> None:
    connection = await asyncpg.connect(DSN)
    queries = Queries(AsyncpgDriver(connection))
    if STAGE == "install":
        await queries.install()
        return
    pgq = PgQueuer.from_asyncpg_connection(connection)

    @pgq.entrypoint("add")
    async def add(job):
        ran("add", "success", job.id, job.attempts)

    @pgq.entrypoint("boom")
    async def boom(job):
        ran("boom", "failed", job.id, job.attempts)
        raise ValueError("boom")

    @pgq.entrypoint("flaky", executor_factory=retried)
    async def flaky(job):
        if job.attempts < 2:
            ran("flaky", "failed", job.id, job.attempts)
            raise RuntimeError(f"flaky {job.attempts}")
        ran("flaky", "success", job.id, job.attempts)

    @pgq.entrypoint("long")
    async def long(job):
        began("long", job.id)
        await asyncio.sleep(600)

    @pgq.schedule("tick", "* * * * * */2")
    async def tick(schedule):
        say(ticked=str(schedule.id))

    if STAGE == "work":
        for name in ("add", "add", "add", "add", "boom", "flaky", "long"):
            await queries.enqueue(name, None, 0)
        await queries.enqueue("add", b"later", 0, datetime.timedelta(hours=1))
        [job] = await queries.enqueue("add", b"cancelled", 0, datetime.timedelta(hours=2))
        await queries.mark_job_as_cancelled([job])
    say(working=True)
    await pgq.run()


def main() -> None:
    asyncio.run(work())
