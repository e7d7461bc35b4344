"""``/debug/profile/``: admins see what the process is busy with, one at a time, and it goes into the audit trail."""

from __future__ import annotations

import asyncio
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import aiohttp
import pytest
from support.serving import World, serving

from exporter.config.model import Auth, Config, Token, Web
from exporter.config.secrets import Secret
from exporter.profiling import sample_cpu, trace_memory

LINE = re.compile(r"[^;\s]+(;[^;\s]+)+ \d+")
#: What the memory test below holds on to.
HELD: list[bytes] = []


def world() -> World:
    made = World()
    tokens = (
        Token(name="ops", token=Secret("admins-token"), role="admin"),
        Token(name="eye", token=Secret("viewers-token"), role="viewer"),
    )
    made.config = Config(web=Web(listen_address=("127.0.0.1:0",)), auth=Auth(tokens=tokens))
    return made


def bearer(token: str = "admins-token") -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def spin_marked_loop(stop: threading.Event) -> None:
    while not stop.is_set():
        sum(range(500))


@contextmanager
def busy() -> Iterator[None]:
    """A thread that works, and one that waits."""
    stop = threading.Event()
    threads = [
        threading.Thread(target=spin_marked_loop, args=(stop,), name="worker at work"),
        threading.Thread(target=stop.wait, name="idle one"),
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def test_a_thread_that_works_is_seen_where_it_works_and_one_that_waits_is_not() -> None:
    with busy():
        profile = sample_cpu(1.0, 100, threading.Event())
    seen = {stack for stack, _ in profile.stacks}
    assert any(stack[0] == "worker_at_work" and "spin_marked_loop" in ";".join(stack) for stack in seen)
    assert not any(stack[0] == "idle_one" for stack in seen)
    samples = sum(n for stack, n in profile.stacks if stack[0] == "worker_at_work")
    assert 0 < samples <= profile.looks <= 101
    assert profile.threads["worker at work"] > 0.01
    assert 0.9 < profile.seconds < 30


def test_sampling_ends_when_it_is_told_to() -> None:
    stop = threading.Event()
    threading.Timer(0.1, stop.set).start()
    began = time.monotonic()
    sample_cpu(60, 10, stop)
    assert time.monotonic() - began < 30


async def test_a_profile_of_the_processor_is_lines_for_flame_graphs_or_json() -> None:
    made = world()
    async with serving(made) as (_, client):
        with busy():
            text = await client.get("/debug/profile/cpu?seconds=1", headers=bearer())
            as_json = await client.get("/debug/profile/cpu?seconds=1&rate=50&format=json", headers=bearer())
        lines = (await text.text()).splitlines()
        assert text.content_type == "text/plain"
        assert lines
        assert all(LINE.fullmatch(line) for line in lines), lines
        assert any(line.startswith("worker_at_work;") and "spin_marked_loop" in line for line in lines)
        answer = await as_json.json()
        assert answer["rate"] == 50
        assert answer["cpuSeconds"] > 0.01
        top = [each for each in answer["functions"] if "spin_marked_loop" in each["function"]]
        assert top[0]["totalSamples"] >= top[0]["selfSamples"]
    assert [(e.action, e.actor, e.result, e.target, e.detail) for e in made.audit.entries] == [
        ("profile", "ops", "success", "cpu", "1 s"),
        ("profile", "ops", "success", "cpu", "1 s"),
    ]


async def test_a_profile_of_memory_shows_what_is_held_and_what_grows() -> None:
    async def hold() -> None:
        for _ in range(200):
            HELD.append(bytes(100_000))
            await asyncio.sleep(0.01)

    async with serving(world()) as (_, client):
        holding = asyncio.create_task(hold())
        answer = await (await client.get("/debug/profile/memory?seconds=2&format=json", headers=bearer())).json()
        await holding
        HELD.clear()
        ours = [each for each in answer["stacks"] if any("test_profile.py" in frame for frame in each["frames"])]
        assert ours[0]["bytes"] > 200_000
        assert ours[0]["grownBytes"] > 50_000
        assert answer["tracedBytes"] <= answer["peakBytes"]
        text = await (await client.get("/debug/profile/memory?seconds=1", headers=bearer())).text()
        assert all(re.fullmatch(r"\S+( \d+)", line) for line in text.splitlines())


async def test_one_at_a_time_and_the_server_goes_on_meanwhile() -> None:
    made = world()
    async with serving(made) as (_, client):
        first = asyncio.create_task(client.get("/debug/profile/memory?seconds=4", headers=bearer()))
        while not made.audit.entries:  # noqa: ASYNC110 - the trail has no event
            await asyncio.sleep(0.01)
        second = await client.get("/debug/profile/cpu?seconds=1", headers=bearer())
        assert second.status == 409
        assert "one at a time" in (await second.json())["error"]
        assert (await client.get("/metrics")).status == 200
        assert (await first).status == 200
        assert (await client.get("/debug/profile/cpu?seconds=1", headers=bearer())).status == 200
    assert [e.result for e in made.audit.entries] == ["success", "refused", "success"]


@pytest.mark.parametrize(
    ("query", "headers", "status"),
    [
        ("", {}, 401),
        ("", bearer("viewers-token"), 403),
        ("?seconds=0", bearer(), 400),
        ("?seconds=61", bearer(), 400),
        ("?seconds=1.5", bearer(), 400),
        ("?format=pprof", bearer(), 400),
    ],
)
@pytest.mark.parametrize("kind", ["cpu", "memory"])
async def test_admins_only_and_within_bounds(kind: str, query: str, headers: dict[str, str], status: int) -> None:
    made = world()
    async with serving(made) as (_, client):
        answer = await client.get(f"/debug/profile/{kind}{query}", headers=headers)
        body: dict[str, Any] = await answer.json()
        assert (answer.status, "error" in body) == (status, True)
    assert [entry for entry in made.audit.entries if entry.action == "profile"] == []


async def test_a_client_that_goes_leaves_no_profile_behind() -> None:
    made = world()
    async with serving(made) as (server, client):
        asking = asyncio.create_task(client.get("/debug/profile/memory?seconds=60", headers=bearer()))
        while not made.audit.entries:  # noqa: ASYNC110 - the trail has no event
            await asyncio.sleep(0.01)
    # Leaving ends the server within its seconds, and with it what it was asked for.
    with pytest.raises((aiohttp.ClientError, asyncio.CancelledError)):
        await asking
    quiet = asyncio.get_running_loop().time() + 30
    while any(thread.name == "profile" for thread in threading.enumerate()):
        assert asyncio.get_running_loop().time() < quiet
        await asyncio.sleep(0.05)
    assert server.addresses


def test_tracing_that_somebody_else_began_goes_on() -> None:
    import tracemalloc  # noqa: PLC0415

    tracemalloc.start()
    try:
        trace_memory(0.05, threading.Event())
        assert tracemalloc.is_tracing()
    finally:
        tracemalloc.stop()
