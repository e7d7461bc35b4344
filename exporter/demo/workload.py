"""The work of a shop that does not exist: tasks that succeed, fail, retry, run long, stick, recur or kill.

Real procrastinate tasks, run by its real worker; only what they would do is pretended, by sleeping.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
from typing import Final, NoReturn

from procrastinate import App, JobContext, PsycopgConnector, RetryStrategy
from procrastinate.jobs import Status

from exporter.demo.database import DSN_VARIABLE

MAINTENANCE: Final = 600
"""Seconds after which a job whose worker died is given up, so that a long demo does not drown in them."""

app: Final = App(connector=PsycopgConnector(conninfo=os.environ.get(DSN_VARIABLE, "")))


async def _work(shortest: float, longest: float) -> float:
    seconds = random.triangular(shortest, longest, shortest)
    await asyncio.sleep(seconds)
    return seconds


def _maybe(probability: float) -> bool:
    return random.random() < probability


@app.task(
    name="send_email",
    queue="mail",
    retry=RetryStrategy(max_attempts=3, wait=2, linear_wait=3),
    pass_context=True,
)
async def send_email(context: JobContext, to: str) -> None:
    """Mostly fine; tried again up to three times. One domain refuses every first attempt, as some do."""
    await _work(0.05, 0.6)
    greylisted = to.endswith("@greylisting.example") and context.job.attempts == 0
    if greylisted or _maybe(0.06):
        raise ConnectionError(f"450 4.2.0 {to}: try again later")


@app.task(name="billing_invoice", queue="billing")
async def billing_invoice(order: int) -> None:
    """One in twenty fails for good."""
    await _work(0.1, 1.5)
    if _maybe(0.05):
        raise ValueError(f"order {order}: card declined (insufficient_funds)")


@app.task(name="generate_report", queue="reports")
async def generate_report(name: str) -> None:
    """Runs for 20 to 40 seconds."""
    del name
    await asyncio.sleep(random.uniform(20, 40))


@app.task(name="sync_inventory", queue="inventory", retry=RetryStrategy(max_attempts=4, wait=1))
async def sync_inventory(warehouse: str, *, lost_lock: bool = False) -> None:
    """One warehouse never answers: its job sticks for as long as the demo runs."""
    if lost_lock:
        await asyncio.Event().wait()
    await _work(0.3, 3)
    if _maybe(0.1):
        raise TimeoutError(f"warehouse {warehouse} did not answer within 3 s")


@app.task(name="render_video", queue="media")
async def render_video(file: str, *, out_of_memory: bool = False) -> None:
    """Sometimes takes its worker with it, and what else that worker was doing."""
    del file
    await _work(2, 8)
    if out_of_memory:
        _die()


def _die() -> NoReturn:
    """End like a process the kernel's out-of-memory killer has chosen: no handler runs, nobody is told."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("unreachable")


@app.task(name="send_reminder", queue="mail")
async def send_reminder(customer: int) -> None:
    """Scheduled minutes ahead, sometimes cancelled before."""
    del customer
    await _work(0.05, 0.3)


@app.periodic(cron="* * * * * */10")
@app.task(name="refresh_prices", queue="recurring")
async def refresh_prices(timestamp: int) -> None:
    """Every ten seconds."""
    del timestamp
    await _work(0.2, 2)


@app.periodic(cron="* * * * *")
@app.task(name="expire_carts", queue="recurring")
async def expire_carts(timestamp: int) -> None:
    """Every minute."""
    del timestamp
    await _work(0.5, 4)


@app.periodic(cron="* * * * * */20")
@app.task(name="export_ledger", queue="recurring")
async def export_ledger(timestamp: int) -> None:
    """Recurs, and has not worked for weeks."""
    await _work(0.2, 1)
    raise FileNotFoundError(f"bucket acme-ledger-export does not exist (run of {timestamp})")


@app.periodic(cron="*/10 * * * *")
@app.task(name="give_up_orphans", queue="recurring", pass_context=True)
async def give_up_orphans(context: JobContext, timestamp: int) -> None:
    """Fail the jobs whose worker died long ago, as procrastinate's users do in such a task."""
    del timestamp
    manager = context.app.job_manager
    for job in await manager.get_stalled_jobs(seconds_since_heartbeat=MAINTENANCE):
        if job.id is not None:
            await manager.finish_job_by_id_async(job_id=job.id, status=Status.FAILED, delete_job=False)
