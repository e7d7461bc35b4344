"""Chancy does known work: see events.py."""

import asyncio
import datetime
import sys
import time

from chancy import Chancy, Queue, QueuedJob, Worker, job
from chancy.plugins.cron import Cron
from chancy.plugins.retry import RetryPlugin
from events import began, ran, say

DSN, STAGE = sys.argv[1:3]
THREADS = "chancy.executors.thread.ThreadedExecutor"


@job(queue="default")
def add(*, context: QueuedJob):
    ran("driver.add", "success", context.id, context.attempts)


@job(queue="default")
def boom(*, context: QueuedJob):
    ran("driver.boom", "failed", context.id, context.attempts)
    raise ValueError("boom")


@job(queue="default", max_attempts=5)
def flaky(*, context: QueuedJob):
    failed = context.attempts < 2
    ran("driver.flaky", "failed" if failed else "success", context.id, context.attempts)
    if failed:
        raise RuntimeError(f"flaky {context.attempts}")


@job(queue="slow")
def long(*, context: QueuedJob):
    began("driver.long", context.id)
    time.sleep(600)


@job(queue="default")
def tick(*, context: QueuedJob):
    ran("driver.tick", "success", context.id, context.attempts)


async def work() -> None:
    async with Chancy(DSN, plugins=[Cron(), RetryPlugin()]) as chancy:
        await chancy.migrate()
        await chancy.declare(Queue("default", concurrency=3, executor=THREADS))
        await chancy.declare(Queue("slow", concurrency=1, executor=THREADS))
        if STAGE == "install":
            return
        if STAGE == "work":
            for _ in range(4):
                await chancy.push(add.job)
            soon = {"retry_settings": {"backoff": 1, "backoff_factor": 1, "backoff_jitter": [0, 0.1]}}
            for one in (boom.job, flaky.job.with_meta(soon), long.job):
                await chancy.push(one)
            due = datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=1)
            await chancy.push(add.job.with_scheduled_at(due))
            await Cron.schedule(chancy, "*/1 * * * *", tick.job.with_unique_key("tick"))
        async with Worker(chancy):
            say(working=True)
            await asyncio.sleep(3600)


def main() -> None:
    asyncio.run(work())
