"""The shop's customers: defers jobs without end. ``python -m exporter.demo.producer``."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Iterator
from typing import Any, Final

import msgspec
from procrastinate.exceptions import AlreadyEnqueued

from exporter.demo.workload import app

PAUSE: Final = 0.3
"""Seconds between two ordinary jobs, on average."""


class Order(msgspec.Struct, frozen=True):
    """A job to defer: ``options`` are procrastinate's (lock, schedule_in, ...)."""

    task: str
    arguments: dict[str, Any]
    options: dict[str, Any] = msgspec.field(default_factory=dict)


#: What happens on schedule: first after, then every so many seconds. Soon after the start, one of everything.
EVENTS: Final[list[tuple[float, float, Order]]] = [
    (0, 25, Order("generate_report", {"name": "revenue"})),
    # The lock allows one of them to run, the queueing lock one to wait: it sticks without taking every slot.
    (
        0,
        60,
        Order("sync_inventory", {"warehouse": "north", "lost_lock": True}, {"lock": "n", "queueing_lock": "n"}),
    ),
    (1, 30, Order("send_email", {"to": "anna@greylisting.example"})),
    (5, 60, Order("render_video", {"file": "huge.mov", "out_of_memory": True})),
    (0, 20, Order("send_reminder", {"customer": 7}, {"schedule_in": {"minutes": 5}})),
    (1, 45, Order("send_reminder", {"customer": 8}, {"schedule_in": {"hours": 20}})),
]


def ordinary() -> Iterator[Order]:
    """The day's business, in the proportions of a shop."""
    for number in itertools.count(1):
        kind = random.choices(["mail", "invoice", "inventory", "video"], weights=[50, 25, 18, 7])[0]
        if kind == "mail":
            yield Order("send_email", {"to": f"customer{number}@example.com"}, {"priority": number % 3})
        elif kind == "invoice":
            yield Order("billing_invoice", {"order": 10_000 + number})
        elif kind == "inventory":
            yield Order("sync_inventory", {"warehouse": random.choice(["east", "south", "west"])})
        else:
            yield Order("render_video", {"file": f"clip{number}.mp4"})


async def defer(order: Order) -> int | None:
    """Put a job into its queue; None where its lock says that one waits already."""
    try:
        return await app.configure_task(order.task, **order.options).defer_async(**order.arguments)
    except AlreadyEnqueued:
        return None


async def defer_event(first: float, every: float, order: Order) -> None:
    """Defer ``order`` on schedule."""
    await asyncio.sleep(first)
    while True:
        await defer(order)
        await asyncio.sleep(every)


async def defer_and_cancel() -> None:
    """A customer in five thinks better of it."""
    order = Order("send_reminder", {"customer": 9}, {"schedule_in": {"minutes": 2}})
    while True:
        job_id = await defer(order)
        await asyncio.sleep(6)
        if job_id is not None:
            await app.job_manager.cancel_job_by_id_async(job_id)


async def defer_ordinary() -> None:
    """Defer the day's business, unevenly."""
    for order in ordinary():
        await defer(order)
        await asyncio.sleep(random.expovariate(1 / PAUSE))


async def produce() -> None:
    """Defer jobs until terminated."""
    async with app.open_async(), asyncio.TaskGroup() as group:
        group.create_task(defer_ordinary(), name="ordinary")
        group.create_task(defer_and_cancel(), name="cancelled")
        for first, every, order in EVENTS:
            group.create_task(defer_event(first, every, order), name=order.task)


if __name__ == "__main__":
    asyncio.run(produce())
