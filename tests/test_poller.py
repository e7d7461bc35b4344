"""The poller: one collector's trouble is its own, its age is told, a dear question is asked less often."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import structlog

from exporter.errors import StoreError, StoreTooSlow, StoreUnavailable
from exporter.poller import Collected, Collector, Poller, run_all
from exporter.snapshot import Hub, Part


def collector(
    collect: Callable[[], Awaitable[Collected]], name: str = "c", interval: float = 0.02, **more: float
) -> Collector:
    values = {"deadline": 60.0, "staleness": 600.0} | more
    return Collector(name=name, source="s", collect=collect, interval=interval, **values)


@contextlib.asynccontextmanager
async def running(*collectors: Collector) -> AsyncIterator[Poller]:
    poller = Poller(Hub())
    task = asyncio.create_task(run_all(poller, list(collectors)))
    yield poller
    task.cancel()
    await asyncio.wait([task])


async def part(poller: Poller, wanted: Callable[[Part], bool], name: str = "c") -> Part:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        found = poller.hub.current.part(name, "s")
        if found is not None and wanted(found):
            return found
        await asyncio.sleep(0.005)
    raise AssertionError(poller.hub.current)


async def test_a_failure_keeps_the_last_value_and_its_age() -> None:
    answers = iter([Collected(value=1)])

    async def ask() -> Collected:
        for answer in answers:
            return answer
        raise StoreError("a table is locked")

    async with running(collector(ask)) as poller:
        good = await part(poller, lambda p: p.success)
        bad = await part(poller, lambda p: not p.success)
        assert (bad.value, bad.collected_at, bad.error) == (1, good.collected_at, "a table is locked")
        assert bad.fresh(time.monotonic())
        assert not bad.fresh(time.monotonic() + 601.0)


async def test_what_fails_all_collectors_of_a_source_is_said_once() -> None:
    away, other = True, False

    async def ask() -> Collected:
        if away:
            raise StoreUnavailable("connection refused")
        return Collected(value=1)

    async def locked() -> Collected:
        if away or other:
            raise StoreError("connection refused" if away else "a table is locked")
        return Collected(value=1)

    names = ("a", "b", "c")
    with structlog.testing.capture_logs() as lines:
        async with running(*(collector(ask, name) for name in names), collector(locked, "d")) as poller:
            for name in (*names, "d"):
                await part(poller, lambda p: not p.success, name)
            away, other = False, True
            for name in names:
                await part(poller, lambda p: p.success, name)
            await part(poller, lambda p: p.error == "a table is locked", "d")
            other = False
            await part(poller, lambda p: p.success, "d")
    told = [(line["event"], line.get("error")) for line in lines if line["log_level"] in ("warning", "info")]
    fails = [error for event, error in told if event == "collector fails"]
    assert fails == ["connection refused", "a table is locked"]
    assert [event for event, _ in told].count("collector works again") in (1, 2)
    assert told[-1] == ("collector works again", None)


async def test_a_collector_of_a_new_configuration_says_its_failure_anew() -> None:
    async def ask() -> Collected:
        raise StoreError("connection refused")

    with structlog.testing.capture_logs() as lines:
        poller = Poller(Hub())
        for _ in range(2):
            task = asyncio.create_task(run_all(poller, [collector(ask)]))
            await part(poller, lambda p: not p.success)
            task.cancel()
            await asyncio.wait([task])
            poller.hub.withdraw("s")
    assert [line["event"] for line in lines if line["log_level"] == "warning"] == ["collector fails"] * 2


async def test_one_that_hangs_or_crashes_delays_no_other() -> None:
    asked = 0

    async def hang() -> Collected:
        await asyncio.sleep(60)
        raise AssertionError("never")

    async def crash() -> Collected:
        raise ZeroDivisionError

    async def work() -> Collected:
        nonlocal asked
        asked += 1
        return Collected(value=asked)

    hanging = collector(hang, "hang", deadline=0.1)
    async with running(hanging, collector(crash, "crash"), collector(work, "work")) as poller:
        late = await part(poller, lambda p: not p.success, "hang")
        assert late.error == "no answer within 0.1 s"
        assert (await part(poller, lambda p: not p.success, "crash")).error == "unexpected ZeroDivisionError"
        assert poller.crashes[0][1] == "crash/s"
        assert (await part(poller, lambda p: p.value is not None and p.value > 5, "work")).success


async def test_a_dear_question_is_asked_less_often_and_says_so() -> None:
    async def ask() -> Collected:
        return Collected(value=1, load_seconds=1.0)

    async with running(collector(ask, max_load=0.01)) as poller:
        assert (await part(poller, lambda p: p.success)).interval == 100.0


async def test_one_that_times_out_costs_as_well() -> None:
    async def ask() -> Collected:
        raise StoreTooSlow("longer than the timeout", 5.0)

    async with running(collector(ask, max_load=0.05)) as poller:
        assert (await part(poller, lambda p: not p.success)).interval == 100.0


async def test_what_is_waiting_is_fetched_at_once() -> None:
    asked = 0

    async def ask() -> Collected:
        nonlocal asked
        asked += 1
        return Collected(value=asked, more=asked < 50)

    async with running(collector(ask, interval=60.0)) as poller:
        assert (await part(poller, lambda p: p.value == 50)).success


async def test_what_fails_on_the_way_out_does_not_keep_anybody() -> None:
    begun = asyncio.Event()

    async def ask() -> Collected:
        begun.set()
        try:
            await asyncio.sleep(60)
        finally:
            raise StoreError("cannot even be closed")

    task = asyncio.create_task(run_all(Poller(Hub()), [collector(ask, deadline=60.0)]))
    await begun.wait()
    task.cancel()
    done, _ = await asyncio.wait([task], timeout=30)
    assert done, "the end of the program is not a failed collection"


async def test_one_answer_may_make_several_parts_which_share_its_age_and_result() -> None:
    hub = Hub()
    answers: list[Collected | Exception] = [Collected(value=1, also={"b": 2, "c": 3}), StoreError("gone")]

    seen: list[dict[str, tuple[object, bool]]] = []
    turn = asyncio.Semaphore(1)  # the next answer comes when the last one was seen

    async def collect() -> Collected:
        await turn.acquire()
        answer = answers.pop(0) if answers else Collected(value=4, also={"b": 5})
        if isinstance(answer, Exception):
            raise answer
        return answer

    collector = Collector(
        name="a", source="s", collect=collect, interval=0.01, deadline=60, staleness=60, also=("b", "c")
    )  # fmt: skip
    task = asyncio.create_task(Poller(hub).run(collector))
    async with asyncio.timeout(60):
        while len(seen) < 3:
            now = {name: (p.value, p.success) for name in "abc" if (p := hub.current.part(name, "s")) is not None}
            if now and (not seen or now != seen[-1]):
                seen.append(now)
                turn.release()
            await asyncio.sleep(0.001)
    task.cancel()
    assert seen == [
        {"a": (1, True), "b": (2, True), "c": (3, True)},
        {"a": (1, False), "b": (2, False), "c": (3, False)},
        {"a": (4, True), "b": (5, True), "c": (None, True)},
    ]
