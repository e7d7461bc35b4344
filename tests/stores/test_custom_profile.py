"""Profiles that a user writes, on real tables, through the reader and the ledger: every row is counted once."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

import msgspec
import pytest
from support.postgres import Database, execute

from exporter.config.model import Counting, Cursor, Dsn, Duration, PostgresStore, Profile
from exporter.domain import Counts, Queues, Running, Schedules
from exporter.instruments import QueryInstruments
from exporter.ledger.ledger import Ledger
from exporter.poller import Collector
from exporter.snapshot import Hub, Part
from exporter.stores import catalog
from exporter.stores.credentials import StoreCredentials
from exporter.stores.postgres import Store
from exporter.stores.profile import fill
from exporter.stores.reader import Reader
from exporter.stores.rows import ExecutionRows
from exporter.stores.session import Session


@dataclass
class Pipeline:
    """A profile, its reader and its ledger."""

    session: Session
    reader: Reader

    async def poll(self) -> Counts:
        while True:
            async with self.session.transaction() as transaction:
                counts, more = await self.reader.poll(transaction, [], (), frozenset())
            if not more:
                return counts

    async def counted(self) -> dict[str, tuple[int, ...]]:
        """task type -> executions (SUCCESS, FAILED, TIMEOUT, CANCELLED), label sets without any left out."""
        return {name: numbers for name, numbers in (await self.poll()).executions.items() if any(numbers)}


@contextlib.asynccontextmanager
async def pipeline(database: Database, profile: Profile, late_window: float = 30.0) -> AsyncIterator[Pipeline]:
    counting = Counting(late_window=Duration(late_window))
    store = PostgresStore(name="s", dsn=Dsn(database.dsn), counting=counting, timeout=Duration(60))
    session = Session("s", StoreCredentials(store), 60.0, QueryInstruments())
    async with Ledger(":memory:", budget=500) as ledger:
        try:
            async with session.transaction() as transaction:
                wrapped = await catalog.wrap(transaction, fill(profile, {}))
                server = await catalog.server(transaction)
                await catalog.exactness(transaction, wrapped, server, store)
            await ledger.attach("s", server.identity)
            yield Pipeline(
                session, Reader(wrapped, ExecutionRows("s", wrapped), ledger, late_window=late_window, backfill=0)
            )
        finally:
            await session.close()


#: cursor kind -> the column's type and how an end looks in it
STAMPS = {
    "timestamp": ("timestamptz", "clock_timestamp()"),
    "naive_timestamp": ("timestamp", "clock_timestamp() AT TIME ZONE 'UTC'"),
    "epoch": ("integer", "floor(extract(epoch FROM clock_timestamp()))::int"),
    "epoch bigint": ("bigint", "floor(extract(epoch FROM clock_timestamp()))::bigint"),
    "epoch float": ("float8", "extract(epoch FROM clock_timestamp())::float8"),
    "epoch numeric": ("numeric", "extract(epoch FROM clock_timestamp())"),
    "epoch_ms": ("bigint", "floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint"),
    "epoch_ms float": ("float8", "extract(epoch FROM clock_timestamp())::float8 * 1000"),
    "epoch_ms numeric": ("numeric", "extract(epoch FROM clock_timestamp()) * 1000"),
}


@pytest.mark.parametrize("which", STAMPS)
async def test_time_cursors_of_every_kind(database: Database, which: str) -> None:
    kind, end = STAMPS[which]
    back = "interval '1 hour'" if "timestamp" in which else "3600000" if "ms" in which else "3600"
    execute(
        database,
        f"CREATE TABLE w (id bigserial PRIMARY KEY, t text, s text, e {kind}); CREATE INDEX ON w (e)",
        f"INSERT INTO w (t, s, e) SELECT 'a', 'SUCCESS', {end} - {back} FROM generate_series(1, 3)",
    )
    profile = Profile(
        executions="SELECT id, t AS task_type, s AS status, e AS completed_at FROM w",
        cursor=Cursor(column="completed_at", kind=which.split(maxsplit=1)[0]),  # type: ignore[arg-type]
        key=("id",),
    )
    async with pipeline(database, profile) as pipe:
        assert await pipe.counted() == {}  # history
        execute(database, f"INSERT INTO w (t, s, e) SELECT 'a', 'SUCCESS', {end} FROM generate_series(1, 5)")
        assert await pipe.counted() == {"a": (5, 0, 0, 0)}
        assert await pipe.counted() == {"a": (5, 0, 0, 0)}
        execute(
            database,
            f"INSERT INTO w (t, s, e) VALUES ('a', 'FAILED', {end}), ('b', 'SUCCESS', {end})",
            "INSERT INTO w (t, s, e) VALUES ('a', 'SUCCESS', NULL)",  # has not ended
        )
        counts = await pipe.poll()
        assert counts.executions == {"a": (5, 1, 0, 0), "b": (1, 0, 0, 0)}
        assert counts.newest == pytest.approx(time.time(), abs=60)


async def test_whole_seconds_lose_nothing_without_a_late_window(database: Database) -> None:
    """What ends later in a second than the poll that read the second is read by the next."""
    execute(database, "CREATE TABLE w (id bigserial PRIMARY KEY, e bigint)")
    profile = Profile(
        executions="SELECT id, 'SUCCESS' AS status, e::text AS task_type, e AS ended FROM w",
        cursor=Cursor(column="ended", kind="epoch"),
        key=("id",),
    )
    async with pipeline(database, profile, late_window=0.0) as pipe:
        await pipe.poll()
        for _ in range(20):
            await asyncio.sleep(1.05 - time.time() % 1)
            second = int(time.time())
            add = f"INSERT INTO w (e) VALUES ({second})"
            execute(database, add)
            await pipe.poll()
            execute(database, add)
            if time.time() < second + 1:  # else it is a stamp of the past by now: a machine too busy for this
                break
        await pipe.poll()
        await asyncio.sleep(1.1)
        for _ in range(2):
            assert (await pipe.counted())[str(second)] == (2, 0, 0, 0)


@pytest.mark.parametrize("kind", ["smallint", "integer", "bigint", "numeric"])
async def test_id_cursors(database: Database, kind: str) -> None:
    execute(
        database,
        "CREATE SEQUENCE n",
        f"CREATE TABLE w (id {kind} PRIMARY KEY DEFAULT nextval('n'), s text)",
        "INSERT INTO w (s) SELECT 'SUCCESS' FROM generate_series(1, 4)",
    )
    profile = Profile(
        executions="SELECT id, s AS status FROM w",
        cursor=Cursor(column="id", kind="id", position="SELECT max(id) FROM w"),
        key=("id",),
    )
    async with pipeline(database, profile) as pipe:
        assert await pipe.counted() == {}
        execute(database, "INSERT INTO w (s) SELECT 'TIMEOUT' FROM generate_series(1, 6)")
        assert await pipe.counted() == {"": (0, 0, 6, 0)}
        assert await pipe.counted() == {"": (0, 0, 6, 0)}


async def test_one_branch_for_each_end_column(database: Database) -> None:
    """Oban's shape: naive times, an enum, one column for each way to end."""
    execute(
        database,
        "CREATE TYPE state AS ENUM ('available', 'completed', 'discarded', 'cancelled')",
        "CREATE TABLE w (id bigserial PRIMARY KEY, worker varchar(99), state state, a int,"
        " completed_at timestamp, discarded_at timestamp, cancelled_at timestamp)",
    )
    branch = "SELECT id, worker AS task_type, '{0}' AS status, a AS attempt, {1}_at AS ended FROM w WHERE state = '{1}'"
    ways = (("SUCCESS", "completed"), ("FAILED", "discarded"), ("CANCELLED", "cancelled"))
    profile = Profile(
        executions=" UNION ALL ".join(branch.format(*way) for way in ways),
        cursor=Cursor(column="ended", kind="naive_timestamp"),
    )
    now = "clock_timestamp() AT TIME ZONE 'UTC'"
    async with pipeline(database, profile) as pipe:
        await pipe.poll()
        execute(
            database,
            "INSERT INTO w (worker, state, a) VALUES ('x', 'available', 0)",
            *(f"INSERT INTO w (worker, state, a, {way}_at) VALUES ('x', '{way}', 1, {now})" for _, way in ways),
        )
        counts = await pipe.poll()
        assert (counts.executions, counts.retries) == ({"x": (1, 1, 0, 1)}, {"x": 3})
        # The first is retried in place: another attempt, another key, another stamp.
        execute(database, f"UPDATE w SET a = 2, completed_at = {now} WHERE state = 'completed'")
        assert await pipe.counted() == {"x": (2, 1, 0, 1)}
        assert await pipe.counted() == {"x": (2, 1, 0, 1)}


async def test_awkward_sql_and_types(database: Database) -> None:
    """uuid and NULL ids, enum statuses, %, ::, quotes, names with capitals and blanks, a comment at the end."""
    execute(
        database,
        "CREATE TYPE outcome AS ENUM ('SUCCESS', 'FAILED')",
        'CREATE TABLE "My Runs" ("Run Id" uuid DEFAULT gen_random_uuid(), job uuid, kind varchar(20), o outcome,'
        ' "EndedAt" timestamptz, try bigint, node bigint)',
    )
    profile = Profile(
        executions=(
            'SELECT "Run Id" AS id, "Run Id" AS "Key ""1""", job AS job_id, kind AS task_type, o AS status,\n'
            '       try AS attempt, node AS worker_id, "EndedAt"\n'
            "FROM \"My Runs\" WHERE kind IS NULL OR kind LIKE 'a%' OR kind = '100%s' -- 50% of it; no more"
        ),
        cursor=Cursor(column="EndedAt"),
        key=('Key "1"', "attempt"),
    )
    async with pipeline(database, profile) as pipe:
        assert await pipe.counted() == {}
        execute(
            database,
            'INSERT INTO "My Runs" (job, kind, o, "EndedAt", try, node) VALUES'
            " (NULL, NULL, 'SUCCESS', clock_timestamp(), NULL, NULL),"
            " (gen_random_uuid(), 'ab', 'FAILED', clock_timestamp(), 3, 7),"
            " (gen_random_uuid(), 'ab', 'SUCCESS', clock_timestamp(), 0, 7),"
            " (gen_random_uuid(), '100%s', 'SUCCESS', clock_timestamp(), 0, 7),"
            " (gen_random_uuid(), 'zz', 'SUCCESS', clock_timestamp(), 0, 7)",
        )
        for _ in range(2):
            counts = await pipe.poll()
            assert counts.executions == {"": (1, 0, 0, 0), "ab": (1, 1, 0, 0), "100%s": (1, 0, 0, 0)}
            assert counts.workers == {"7": (2, 1, 0, 0)}
            assert counts.retries == {"ab": 1, "100%s": 0}


async def test_a_quoted_id_cursor(database: Database) -> None:
    execute(database, 'CREATE TABLE w ("Id" bigserial PRIMARY KEY)')
    profile = Profile(
        executions='SELECT "Id"::text AS id, "Id", \'SUCCESS\' AS status FROM w',
        cursor=Cursor(column="Id", kind="id", position='SELECT max("Id") FROM w'),
        key=("Id",),
    )
    async with pipeline(database, profile) as pipe:
        assert await pipe.counted() == {}
        execute(database, "INSERT INTO w DEFAULT VALUES")
        assert await pipe.counted() == {"": (1, 0, 0, 0)}
        assert await pipe.counted() == {"": (1, 0, 0, 0)}


@pytest.mark.parametrize("never", ["infinity", "-infinity"])
async def test_infinity_is_no_moment(database: Database, never: str) -> None:
    """A time that is no moment is unknown: it enters no sum, which could never be finite again."""
    execute(
        database, "CREATE TABLE w (id bigserial, due timestamptz, began timestamptz, ended timestamptz, c bigserial)"
    )
    profile = Profile(
        executions="SELECT id, c, 'SUCCESS' AS status, due AS scheduled_at, began AS started_at,"
        " ended AS completed_at FROM w",
        cursor=Cursor(column="c", kind="id", position="SELECT max(c) FROM w"),
        key=("id",),
    )
    async with pipeline(database, profile) as pipe:
        await pipe.poll()
        execute(
            database,
            f"INSERT INTO w (due, began, ended) VALUES ('{never}', now(), now()), (now(), '{never}', now()),"
            f" (now(), now(), '{never}'), (now(), now(), now())",
        )
        counts = await pipe.poll()
        assert counts.executions == {"": (4, 0, 0, 0)}
        assert (counts.durations[""].count, counts.waits[""].count) == (2, 2)
        assert all(math.isfinite(h[""].sum) for h in (counts.durations, counts.waits))
        assert counts.newest == pytest.approx(time.time(), abs=60)
        assert b"null" not in msgspec.json.encode([counts.durations[""].sum, counts.waits[""].sum])


def collectors(database: Database, profile: Profile, ledger: Ledger, hub: Hub) -> tuple[Store, dict[str, Collector]]:
    config = PostgresStore(name="s", dsn=Dsn(database.dsn), profile=profile, timeout=Duration(60))
    store = Store(config, ledger=ledger, hub=hub, instruments=QueryInstruments(), budget=100)
    return store, {collector.name: collector for collector in store.collectors()}


async def test_jobs_that_never_run(database: Database) -> None:
    """next_run_at = infinity: paused for good. Neither overdue nor next."""
    execute(
        database,
        "CREATE TABLE j (id text, t text, next timestamptz)",
        "INSERT INTO j VALUES ('a', 'ONE_TIME', 'infinity'), ('b', 'RECURRING', 'infinity'),"
        " ('c', 'ONE_TIME', now() - interval '1 hour'), ('d', 'RECURRING', now() + interval '1 hour')",
    )
    profile = Profile(jobs="SELECT id, 'SCHEDULED' AS status, t AS type, next AS next_run_at FROM j")
    async with Ledger(":memory:", budget=500) as ledger:
        store, by_name = collectors(database, profile, ledger, Hub())
        try:
            queues = (await by_name["queues"].collect()).value
            schedules = (await by_name["schedules"].collect()).value
        finally:
            await store.close()
    assert isinstance(queues, Queues)
    assert isinstance(schedules, Schedules)
    assert ([job.job_id for job in queues.overdue], queues.overdue_count) == (["c"], 1)
    assert [(job.job_id, job.next_run is None) for job in schedules.jobs] == [("b", True), ("d", False)]


async def test_orphans_need_a_worker_column(database: Database) -> None:
    """A profile whose running SELECT tells no worker cannot tell orphans either: unknown, not all of them."""
    execute(database, "CREATE TABLE w (id int); INSERT INTO w VALUES (1)")
    profile = Profile(
        jobs="SELECT id, 'RUNNING' AS status FROM w",
        running="SELECT id FROM w",
        workers="SELECT 'w1' AS id, now() AS last_seen",
    )
    hub = Hub()
    async with Ledger(":memory:", budget=500) as ledger:
        store, by_name = collectors(database, profile, ledger, hub)
        try:
            workers = (await by_name["workers"].collect()).value
            hub.publish(_part("workers", workers))
            running = (await by_name["running"].collect()).value
        finally:
            await store.close()
    assert isinstance(running, Running)
    assert running.by_task_type[""].running == 1
    assert running.by_task_type[""].orphaned is None


def _part(name: str, value: object) -> Part:
    now = time.monotonic()
    return Part(
        collector=name, source="s", value=value, success=True, collected_at=time.time(), collected_mono=now,
        duration=0.0, interval=15.0, staleness=300.0,
    )  # fmt: skip
