"""Requests come before the full count and history; there are two connections at most, and nobody starves."""

from __future__ import annotations

import asyncio
import time

import pytest
from support.postgres import Database, execute
from support.reading import Reading, reading, with_native_schema
from support.scheduler import backends

from exporter.config.model import Profile
from exporter.domain import JobCounts
from exporter.errors import StoreError, StoreTooSlow, StoreUnavailable
from exporter.stores.flights import Flights
from exporter.stores.second_connection import GIVES_WAY

#: Counting every job takes so many seconds; looking one up takes none.
COUNTING = 1.5


def slow_count(database: Database) -> Profile:
    execute(database, "CREATE TABLE j (id int PRIMARY KEY)", "INSERT INTO j VALUES (1), (2)")
    return Profile(
        jobs=f"SELECT id, 'QUEUED' AS status FROM j, LATERAL (SELECT pg_sleep({COUNTING / 2})) s",
        live_jobs="SELECT id, 'QUEUED' AS status FROM j WHERE false",
        job_by_id="SELECT id, 'QUEUED' AS status FROM j",
    )


async def counting(opened: Reading) -> asyncio.Task[JobCounts]:
    """The full count, running on the server."""

    async def count() -> JobCounts:
        value = (await opened.collectors["jobs"].collect()).value
        assert isinstance(value, JobCounts)
        return value

    task = asyncio.create_task(count())
    await asyncio.sleep(0.3)
    assert not task.done()
    return task


async def test_a_request_does_not_wait_for_a_count(database: Database) -> None:
    async with reading(database, slow_count(database)) as opened:
        await opened.reads.job("1")
        task = await counting(opened)
        started = time.monotonic()
        job = await opened.reads.job("2")
        assert job is not None and job.id == "2"
        assert time.monotonic() - started < COUNTING / 2
        assert not task.done()
        assert (await task).by_status == {("QUEUED", "ONE_TIME"): 2}
        with database.connect() as connection:
            assert len(backends(connection)) <= 2


async def test_a_count_ends_however_many_requests_come(database: Database) -> None:
    async with reading(database, slow_count(database)) as opened:
        await opened.reads.job("1")
        task = await counting(opened)
        slowest, most, number = 0.0, 0, 0
        while not task.done():
            started = time.monotonic()
            assert await opened.reads.job("1") is not None
            slowest = max(slowest, time.monotonic() - started)
            number += 1
            with database.connect() as connection:
                most = max(most, len(backends(connection)))
            await asyncio.sleep(0.05)
        assert (await task).by_status == {("QUEUED", "ONE_TIME"): 2}
        assert number > GIVES_WAY
        assert slowest < COUNTING / 2
        assert most <= 2


async def test_a_slow_answer_is_given_up_and_frees_the_connection(database: Database) -> None:
    execute(database, "CREATE TABLE j (id int PRIMARY KEY)", "INSERT INTO j VALUES (1)")
    profile = Profile(
        jobs="SELECT id, 'QUEUED' AS status FROM j WHERE false",
        job_by_id="SELECT id, 'QUEUED' AS status FROM j, LATERAL (SELECT pg_sleep(30)) s",
    )
    async with reading(database, profile, timeout=0.5) as opened:
        with pytest.raises(StoreTooSlow):
            await opened.reads.job("1")
        with database.connect() as connection:
            active = connection.execute("SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(30)%'")
            row = active.fetchone()
        assert row == (1,), "only the one that asks"


async def test_a_request_that_nobody_waits_for_is_cancelled(database: Database) -> None:
    execute(database, "CREATE TABLE j (id int PRIMARY KEY)", "INSERT INTO j VALUES (1)")
    profile = Profile(
        jobs="SELECT id, 'QUEUED' AS status FROM j WHERE false",
        job_by_id="SELECT id, 'QUEUED' AS status FROM j, LATERAL (SELECT pg_sleep(30)) s",
    )
    async with reading(database, profile, timeout=60.0) as opened:
        await opened.reads.profile()
        task = asyncio.create_task(opened.reads.job("1"))
        with database.connect() as connection:

            def running() -> bool:
                found = connection.execute(
                    "SELECT 1 FROM pg_stat_activity WHERE query LIKE '%pg_sleep(30)%' AND state = 'active'"
                    " AND pid <> pg_backend_pid()"
                )
                return found.fetchone() is not None

            async with asyncio.timeout(10):
                while not running():  # noqa: ASYNC110 - the server tells nobody
                    await asyncio.sleep(0.05)
                task.cancel()
                while running():  # noqa: ASYNC110
                    await asyncio.sleep(0.05)


async def test_a_store_that_is_away_is_said_to_be(database: Database) -> None:
    with_native_schema(database)
    async with reading(Database(database.server, "nobody"), timeout=1.0) as opened:
        with pytest.raises(StoreUnavailable):
            await opened.reads.job("1")


async def test_history_gives_way_and_goes_on(database: Database) -> None:
    """A slice that was cancelled is read again: nothing is missing, nothing counts twice."""
    with_native_schema(database)
    execute(
        database,
        "INSERT INTO jobs (id, name, task_type) VALUES (1, 'one', 'mail')",
        "INSERT INTO executions (job_id, task_type, status, started_at, completed_at) SELECT 1, 'mail', 'SUCCESS',"
        "now() - (n + 1) * interval '1 s', now() - n * interval '1 s' FROM generate_series(101, 20100) n",
    )
    async with reading(database) as opened:
        await opened.collectors["executions"].collect()
        asking = asyncio.create_task(_ask_all_the_time(opened))
        try:
            async with asyncio.timeout(60):
                while not (value := (await opened.collectors["backfill"].collect()).value) or not value.complete:
                    pass
        finally:
            asking.cancel()
        assert value.executions == 20_000


async def _ask_all_the_time(opened: Reading) -> None:
    while True:
        assert await opened.reads.job("1") is not None
        await asyncio.sleep(0.02)


async def test_flights_share_errors_and_forget_them() -> None:
    flights, asked = Flights(), 0

    async def fail() -> int:
        nonlocal asked
        asked += 1
        await asyncio.sleep(0.01)
        raise StoreError("no")

    answers = await asyncio.gather(*(flights.join("key", fail) for _ in range(5)), return_exceptions=True)
    assert all(isinstance(answer, StoreError) for answer in answers)
    assert asked == 1
    with pytest.raises(StoreError):
        await flights.join("key", fail)
    assert asked == 2


async def test_a_flight_goes_on_for_those_who_still_wait() -> None:
    flights = Flights()

    async def answer() -> int:
        await asyncio.sleep(0.05)
        return 7

    first, second = (asyncio.create_task(flights.join("key", answer)) for _ in range(2))
    await asyncio.sleep(0.01)
    first.cancel()
    assert await second == 7
