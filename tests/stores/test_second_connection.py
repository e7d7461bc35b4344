"""Requests come before the full count and history; there are two connections at most, and nobody starves."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any

import psycopg
import pytest
from support.postgres import Database, execute
from support.reading import Reading, reading, with_native_schema
from support.scheduler import backends

from exporter.config.model import Profile
from exporter.domain import JobCounts
from exporter.errors import StoreError, StoreUnavailable
from exporter.stores.flights import Flights
from exporter.stores.second_connection import GIVES_WAY

#: Seconds for what takes none: nobody waits for a count that does not end before the test lets it.
SOON = 30.0
HELD = """
CREATE TABLE gate ();
CREATE FUNCTION held() RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
  WHILE NOT EXISTS (SELECT FROM public.gate) LOOP PERFORM pg_sleep(0.01); END LOOP;
  RETURN true;
END $$
"""
OPEN = "INSERT INTO gate DEFAULT VALUES"


def held_count(database: Database) -> Profile:
    """Counting every job takes until the gate is open; looking one up takes no time."""
    execute(database, HELD, "CREATE TABLE j (id int PRIMARY KEY)", "INSERT INTO j VALUES (1), (2)")
    return Profile(
        jobs="SELECT id, 'QUEUED' AS status FROM j WHERE held()",
        live_jobs="SELECT id, 'QUEUED' AS status FROM j WHERE false",
        job_by_id="SELECT id, 'QUEUED' AS status FROM j",
    )


def running(connection: psycopg.Connection[Any], text: str) -> datetime | None:
    """Since when the server has been running a statement with this text."""
    found = connection.execute(
        "SELECT query_start FROM pg_stat_activity WHERE position(%s IN query) > 0 AND state = 'active'"
        " AND pid <> pg_backend_pid()",
        [text],
    ).fetchone()
    return None if found is None else found[0]


async def counting(opened: Reading, connection: psycopg.Connection[Any]) -> asyncio.Task[JobCounts]:
    """The full count, running on the server."""

    async def count() -> JobCounts:
        value = (await opened.collectors["jobs"].collect()).value
        assert isinstance(value, JobCounts)
        return value

    task = asyncio.create_task(count())
    async with asyncio.timeout(SOON):
        while running(connection, "held()") is None:  # noqa: ASYNC110 - the server tells nobody
            await asyncio.sleep(0.02)
    return task


async def test_a_request_does_not_wait_for_a_count(database: Database) -> None:
    async with reading(database, held_count(database)) as opened:
        await opened.reads.job("1")
        with database.connect() as connection:
            task = await counting(opened, connection)
            async with asyncio.timeout(SOON):
                job = await opened.reads.job("2")
            assert job is not None and job.id == "2"
            assert not task.done()
            execute(database, OPEN)
            assert (await task).by_status == {("QUEUED", "ONE_TIME"): 2}
            assert len(backends(connection)) <= 2


async def test_a_count_ends_however_many_requests_come(database: Database) -> None:
    """It gives way a few times, and then goes on under any number of them."""
    async with reading(database, held_count(database)) as opened:
        await opened.reads.job("1")
        with database.connect() as connection:
            task = await counting(opened, connection)
            starts, most, passed = set[datetime | None](), 0, 0
            async with asyncio.timeout(SOON):
                while passed < 5:
                    before = running(connection, "held()")
                    assert await opened.reads.job("1") is not None
                    most = max(most, len(backends(connection)))
                    passed = passed + 1 if before is not None and running(connection, "held()") == before else 0
                    starts.add(before)
                    await asyncio.sleep(0.02)
            execute(database, OPEN)
            assert (await task).by_status == {("QUEUED", "ONE_TIME"): 2}
        assert 1 < len(starts - {None}) <= GIVES_WAY + 1
        assert most <= 2


async def test_a_slow_answer_is_given_up_and_frees_the_connection(database: Database) -> None:
    execute(database, "CREATE TABLE j (id int PRIMARY KEY)", "INSERT INTO j VALUES (1)")
    profile = Profile(
        jobs="SELECT id, 'QUEUED' AS status FROM j WHERE false",
        job_by_id="SELECT id, 'QUEUED' AS status FROM j, LATERAL (SELECT pg_sleep(600)) s",
    )
    told = ""
    for seconds in (0.5, 3, 20):  # the least that is enough for all else
        async with reading(database, profile, timeout=seconds) as opened:
            try:
                await opened.reads.job("1")
            except StoreError as error:
                told = f"{type(error).__name__}: {error}"
            with database.connect() as connection:
                assert running(connection, "pg_sleep(600)") is None
        if told.startswith("StoreTooSlow: job"):
            return
    raise AssertionError(told)


async def test_a_request_that_nobody_waits_for_is_cancelled(database: Database) -> None:
    execute(database, "CREATE TABLE j (id int PRIMARY KEY)", "INSERT INTO j VALUES (1)")
    profile = Profile(
        jobs="SELECT id, 'QUEUED' AS status FROM j WHERE false",
        job_by_id="SELECT id, 'QUEUED' AS status FROM j, LATERAL (SELECT pg_sleep(600)) s",
    )
    async with reading(database, profile) as opened:
        await opened.reads.profile()
        task = asyncio.create_task(opened.reads.job("1"))
        with database.connect() as connection:
            async with asyncio.timeout(SOON):
                while running(connection, "pg_sleep(600)") is None:  # noqa: ASYNC110 - the server tells nobody
                    await asyncio.sleep(0.05)
                task.cancel()
                while running(connection, "pg_sleep(600)") is not None:  # noqa: ASYNC110
                    await asyncio.sleep(0.05)


async def test_a_store_that_is_away_is_said_to_be(database: Database) -> None:
    with_native_schema(database)
    async with reading(Database(database.server, "nobody")) as opened:
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
            async with asyncio.timeout(300):
                while not (value := (await opened.collectors["backfill"].collect()).value) or not value.complete:
                    pass
        finally:
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
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
