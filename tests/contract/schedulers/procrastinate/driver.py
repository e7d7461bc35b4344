"""procrastinate does known work: see events.py."""

import asyncio
import datetime
import sys

from events import began, ran, say
from procrastinate import App, PsycopgConnector, RetryStrategy

DSN, STAGE = sys.argv[1:3]
app = App(connector=PsycopgConnector(conninfo=DSN))


@app.task(name="add", pass_context=True)
async def add(context):
    ran("add", "success", context.job.id, context.job.attempts)


@app.task(name="boom", pass_context=True)
async def boom(context):
    ran("boom", "failed", context.job.id, context.job.attempts)
    raise ValueError("boom")


@app.task(name="flaky", retry=RetryStrategy(max_attempts=5, wait=1), pass_context=True)
async def flaky(context):
    failed = context.job.attempts < 2
    ran("flaky", "failed" if failed else "success", context.job.id, context.job.attempts)
    if failed:
        raise RuntimeError(f"flaky {context.job.attempts}")


@app.task(name="long", queue="slow", pass_context=True)
async def long(context):
    began("long", context.job.id)
    await asyncio.sleep(600)


@app.periodic(cron="* * * * * */5")
@app.task(name="tick", queue="cron", pass_context=True)
async def tick(context, timestamp: int):
    ran("tick", "success", context.job.id, context.job.attempts)


async def work() -> None:
    async with app.open_async():
        if STAGE == "install":
            await app.schema_manager.apply_schema_async()
            return
        if STAGE == "work":
            for _ in range(4):
                await add.defer_async()
            for one in (boom, flaky, long):
                await one.defer_async()
            due = datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=1)
            await add.configure(schedule_at=due).defer_async()
            job = await add.configure(schedule_in={"hours": 2}).defer_async()
            await app.job_manager.cancel_job_by_id_async(job)
        say(working=True)
        # A worker that is pruned is gone from the jobs that it ran, too, and nothing would tell what it did.
        await app.run_worker_async(
            concurrency=4, install_signal_handlers=False, fetch_job_polling_interval=0.5, stalled_worker_timeout=3600
        )


def main() -> None:
    asyncio.run(work())
