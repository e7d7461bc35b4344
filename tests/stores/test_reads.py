"""What requests ask of a store: one job, its log, its sums, operations; ids of every type; pages of history."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from support.postgres import Database, execute
from support.reading import Reading, reading, with_native_schema

from exporter.config.model import Cursor, Profile
from exporter.stores import read_queries
from exporter.stores.pages import Wanted
from exporter.stores.reads import LogFilter

EVERYTHING = LogFilter()
#: Job 1 has 30 executions, one a minute, newest first by id; job 2 has none; job 9 is gone, but not its executions.
FILL = (
    "INSERT INTO jobs (id, name, task_type, status)"
    " VALUES (1, 'one', 'mail', 'COMPLETED'), (2, 'two', 'mail', 'QUEUED')",
    "INSERT INTO executions (id, job_id, task_type, status, attempt, started_at, completed_at, result, error_message)"
    " SELECT n, CASE WHEN n > 30 THEN 9 ELSE 1 END, 'mail', s, n % 3, t - n * interval '1 s', t,"
    " CASE WHEN s = 'SUCCESS' THEN jsonb_build_object('n', n) END, CASE WHEN s <> 'SUCCESS' THEN 'broken ' || n END"
    " FROM generate_series(1, 33) n, LATERAL (SELECT (ARRAY['SUCCESS','FAILED','TIMEOUT','CANCELLED'])[1 + n % 4] s,"
    " to_timestamp(1800000000) - n * interval '1 minute' t) x",
)


@pytest.fixture
async def native(database: Database) -> AsyncIterator[Reading]:
    with_native_schema(database)
    execute(database, *FILL)
    async with reading(database) as opened:
        yield opened


async def test_a_page_of_a_log(native: Reading) -> None:
    job, page = await native.reads.log("1", EVERYTHING, 10, 5)
    assert job is not None and page is not None
    assert (job.name, job.status, page.total, page.capped, page.more) == ("one", "COMPLETED", 30, False, True)
    assert [e.id for e in page.executions] == [str(n) for n in range(6, 16)]
    first = page.executions[2]
    assert (first.id, first.status, json.loads(first.result or "")) == ("8", "SUCCESS", {"n": 8})
    assert first.completed_at == 1_800_000_000 - 8 * 60
    assert first.started_at == first.completed_at - 8


async def test_the_last_page_counts_nothing(native: Reading) -> None:
    _, page = await native.reads.log("1", EVERYTHING, 20, 20)
    assert page is not None
    assert (len(page.executions), page.total, page.more) == (10, 30, False)
    assert native.asked["log"] == 1
    _, page = await native.reads.log("1", EVERYTHING, 20, 100)
    assert page is not None
    assert (len(page.executions), page.total, page.more) == (0, 30, False)


async def test_a_log_is_filtered(native: Reading) -> None:
    _, page = await native.reads.log("1", LogFilter(status="FAILED"), 100, 0)
    assert page is not None
    assert [e.id for e in page.executions] == ["1", "5", "9", "13", "17", "21", "25", "29"]
    since, until = 1_800_000_000 - 10 * 60 - 10, 1_800_000_000 - 5 * 60 - 5
    _, page = await native.reads.log("1", LogFilter(since=since, until=until), 100, 0)
    assert page is not None
    assert [e.id for e in page.executions] == ["5", "6", "7", "8", "9", "10"]
    job, page = await native.reads.log("2", EVERYTHING, 20, 0)
    assert job is not None and page is not None
    assert (page.executions, page.total, page.more) == ((), 0, False)


async def test_what_never_began_stands_where_it_ended(native: Reading, database: Database) -> None:
    execute(
        database,
        # Each ends a second before the start of the one of its number; one of them is the newest of all.
        "INSERT INTO executions (id, job_id, task_type, status, started_at, completed_at)"
        " SELECT 100 + n, 1, 'mail', 'FAILED', NULL, to_timestamp(1800000000) - n * interval '1 minute'"
        " - (n + 1) * interval '1 s' FROM unnest(ARRAY[0, 8, 9, 30]) n",
    )
    _, page = await native.reads.log("1", EVERYTHING, 40, 0)
    assert page is not None
    expected = ["100", *map(str, range(1, 9)), "108", "9", "109", *map(str, range(10, 31)), "130"]
    assert [e.id for e in page.executions] == expected
    _, page = await native.reads.log("1", EVERYTHING, 4, 9)
    assert page is not None
    assert ([e.id for e in page.executions], page.total, page.more) == (["108", "9", "109", "10"], 34, True)
    _, newest, totals = await native.reads.totals("1")
    assert newest is not None and totals is not None
    assert (newest.id, sum(totals.counts)) == ("100", 34)


async def test_executions_outlive_their_job(native: Reading) -> None:
    job, page = await native.reads.log("9", EVERYTHING, 20, 0)
    assert job is None and page is not None
    assert page.total == 3
    job, page = await native.reads.log("9", LogFilter(status="SUCCESS", since=1e10), 20, 0)
    assert page is not None, "filtered to nothing, but known"
    assert await native.reads.log("77", EVERYTHING, 20, 0) == (None, None)


@pytest.mark.parametrize(
    "job_id", ["abc", "01", "1.0", "1 OR 1=1", "9" * 19, "9" * 400, "-0", "", "'; DROP TABLE jobs"]
)
async def test_an_id_that_cannot_be_one_is_not_asked_for(native: Reading, job_id: str) -> None:
    await native.reads.profile()
    native.asked.clear()
    assert await native.reads.log(job_id, EVERYTHING, 20, 0) == (None, None)
    assert await native.reads.totals(job_id) == (None, None, None)
    assert await native.reads.job(job_id) is None
    assert not native.asked


async def test_sums_of_a_job(native: Reading, database: Database) -> None:
    job, newest, totals = await native.reads.totals("1")
    assert job is not None and newest is not None and totals is not None
    with database.connect() as connection:
        row = connection.execute(
            "SELECT array_agg(n ORDER BY s), sum(r)::int, sum(d) / sum(n), max(x), min(i), min(f), max(l) FROM (SELECT"
            " array_position(ARRAY['SUCCESS','FAILED','TIMEOUT','CANCELLED'], status) s, count(*)::int n,"
            " count(*) FILTER (WHERE attempt > 0) r, sum(extract(epoch FROM completed_at - started_at))::float8 d,"
            " max(extract(epoch FROM completed_at - started_at))::float8 x,"
            " min(extract(epoch FROM completed_at - started_at))::float8 i,"
            " min(extract(epoch FROM started_at))::float8 f, max(extract(epoch FROM started_at))::float8 l"
            " FROM executions WHERE job_id = 1 GROUP BY 1) x"
        ).fetchone()
    assert row is not None
    assert [*totals.counts] == row[0]
    assert (totals.retries, totals.mean, totals.max, totals.min, totals.first, totals.last) == row[1:]
    assert (newest.id, totals.capped) == ("1", False)
    job, newest, totals = await native.reads.totals("2")
    assert (newest, totals is not None and totals.counts) == (None, (0, 0, 0, 0))
    assert await native.reads.totals("77") == (None, None, None)


async def test_what_is_too_much_is_capped_and_says_so(native: Reading, database: Database) -> None:
    execute(
        database,
        "INSERT INTO executions (id, job_id, task_type, status, started_at, completed_at)"
        " SELECT 1000 + n, 2, 'mail', 'SUCCESS',"
        " to_timestamp(1700000000 + n), to_timestamp(1700000001 + n) FROM generate_series(0, 10400) n",
    )
    _, page = await native.reads.log("2", EVERYTHING, 20, 0)
    assert page is not None
    assert (page.total, page.capped, page.more) == (read_queries.COUNTED_MOST, True, True)
    _, page = await native.reads.log("2", EVERYTHING, 20, 5000)
    assert page is not None
    assert (page.total, page.capped, page.more) == (5021, True, True)
    _, _, totals = await native.reads.totals("2")
    assert totals is not None
    assert (sum(totals.counts), totals.capped) == (read_queries.SUMMED_MOST, True)
    assert (totals.first, totals.last) == (1_700_000_000, 1_700_010_400)


async def test_an_index_serves_a_job(native: Reading, database: Database) -> None:
    execute(
        database,
        "INSERT INTO executions (id, job_id, task_type, status, started_at, completed_at)"
        " SELECT 1000 + n, n % 2000, 'mail', 'SUCCESS',"
        " now() - n * interval '1 s', now() FROM generate_series(1, 40000) n",
        "ANALYZE",
    )
    wrapped = await native.reads.profile()
    where = f"WHERE {read_queries.id_equals('job_id', 'bigint', '7')}"
    with database.connect() as connection:
        for sql in (
            read_queries.log_page(wrapped, where, "20", "0"),
            read_queries.log_count(wrapped, where),
            read_queries.log_summary(wrapped, where),
            read_queries.first_start(wrapped, where),
        ):
            plan = "\n".join(row[0] for row in connection.execute(f"EXPLAIN {sql}".encode()))
            assert "executions_job_idx" in plan, plan
            assert "Seq Scan on executions" not in plan


#: The type of the ids -> two ids as PostgreSQL writes them, and one that is of the type but not there.
IDS = {
    "smallint": ("1", "2", "3"),
    "integer": ("1", "-2", "3"),
    "bigint": ("1", "9223372036854775807", "3"),
    "numeric": ("1", "12345678901234567890.5", "3"),
    "uuid": ("0a0a0a0a-0000-4000-8000-000000000001", "0a0a0a0a-0000-4000-8000-000000000002",
             "0a0a0a0a-0000-4000-8000-000000000003"),
    "text": ("a b", "é'\"%", "nobody"),
    "varchar(40)": ("a", "1", "nobody"),
    "macaddr": ("08:00:2b:01:02:03", "08:00:2b:01:02:04", "08:00:2b:01:02:05"),
}  # fmt: skip


@pytest.mark.parametrize("kind", IDS)
async def test_ids_of_every_type(database: Database, kind: str) -> None:
    one, two, nobody = IDS[kind]
    execute(
        database,
        f"CREATE TABLE j (id {kind} PRIMARY KEY); CREATE TABLE e (id bigserial PRIMARY KEY, j {kind}, t timestamptz)",
        "CREATE INDEX ON e (t)",
    )
    with database.connect() as connection:
        for job in (one, two):
            connection.execute(f"INSERT INTO j VALUES (%s::{kind})".encode(), [job])
            connection.execute(f"INSERT INTO e (j, t) VALUES (%s::{kind}, now())".encode(), [job])
    profile = Profile(
        jobs="SELECT id, 'COMPLETED' AS status FROM j",
        executions="SELECT id, j AS job_id, 'SUCCESS' AS status, t AS completed_at FROM e",
        cursor=Cursor(column="completed_at", kind="timestamp"),
        key=("id",),
    )
    async with reading(database, profile) as opened:
        for wanted in (one, two):
            job, page = await opened.reads.log(wanted, EVERYTHING, 20, 0)
            assert job is not None and page is not None
            assert (job.id, [e.job_id for e in page.executions], page.total) == (wanted, [wanted], 1)
        assert await opened.reads.log(nobody, EVERYTHING, 20, 0) == (None, None)
        assert set(await opened.reads.jobs({one, nobody})) == {one}
        assert await opened.reads.integral("jobs", "id") is (kind in ("smallint", "integer", "bigint"))


async def test_a_profile_without_jobs_or_without_executions(database: Database) -> None:
    execute(
        database,
        "CREATE TABLE w (id bigserial, job int, e timestamptz DEFAULT now())",
        "INSERT INTO w (job) VALUES (4)",
    )
    executions = Profile(
        executions="SELECT id, job AS job_id, 'SUCCESS' AS status, e AS completed_at FROM w",
        cursor=Cursor(column="completed_at", kind="timestamp"),
    )
    async with reading(database, executions) as opened:
        job, page = await opened.reads.log("4", EVERYTHING, 20, 0)
        assert job is None and page is not None and page.total == 1
        assert page.executions[0].result is None and page.executions[0].started_at is None
        assert await opened.reads.log("5", EVERYTHING, 20, 0) == (None, None)
        assert await opened.reads.due() == ()
        assert await opened.reads.results({"1"}) == {}
        _, _, totals = await opened.reads.totals("4")
        assert totals is not None
        assert (totals.counts, totals.retries, totals.mean) == ((1, 0, 0, 0), None, None)
    async with reading(database, Profile(jobs="SELECT job AS id, 'QUEUED' AS status FROM w")) as opened:
        job, page = await opened.reads.log("4", EVERYTHING, 20, 0)
        assert job is not None and page is not None
        assert (job.id, job.name, page.total) == ("4", None, 0)
        assert [j.id for j in await opened.reads.due()] == ["4"]
        assert [page async for page in (await opened.reads.pages()).executions(Wanted(since=0))] == []


async def test_operations(native: Reading, database: Database) -> None:
    execute(
        database,
        "INSERT INTO operations (operation_id, stage, worker_id, insert_timestamp) SELECT 'op' || n,"
        " (ARRAY['queued','executing'])[1 + n % 2], 'w' || n % 3, to_timestamp(1800000000 + n)"
        " FROM generate_series(1, 9) n",
    )
    assert [o.operation_id for o in await native.reads.operations(2)] == ["op9", "op8"]
    found = await native.reads.operations(100, stage="executing", worker_id="w0")
    assert [o.operation_id for o in found] == ["op9", "op3"]
    assert [o.stage for o in await native.reads.operations(1, operation_id="op4")] == ["queued"]
    assert await native.reads.operations(1, operation_id="op4' OR true --") == ()


async def test_equal_questions_are_asked_once(native: Reading) -> None:
    await native.reads.log("2", EVERYTHING, 10, 0)
    native.asked.clear()
    answers = await asyncio.gather(*(native.reads.log("1", EVERYTHING, 10, 0) for _ in range(20)))
    assert all(answer is answers[0] for answer in answers)
    assert (native.asked["job"], native.asked["begin"]) == (1, 1)
    await native.reads.log("1", EVERYTHING, 10, 0)
    assert native.asked["job"] == 2, "nothing is kept"


#: cursor kind -> the column's type, and the end in it of the time t
CURSORS: dict[str, tuple[str, str]] = {
    "timestamp": ("timestamptz", "t"),
    "naive_timestamp": ("timestamp", "t AT TIME ZONE 'UTC'"),
    "epoch": ("float8", "extract(epoch FROM t)::float8"),
    "epoch_ms": ("bigint", "(extract(epoch FROM t) * 1000)::bigint"),
    "id": ("bigint", "1000000 - n"),
}


@pytest.mark.parametrize("kind", CURSORS)
async def test_pages_have_every_execution_once(database: Database, kind: str) -> None:
    """Newest first, with a crowd of ends at one moment and a long idle stretch."""
    column, end = CURSORS[kind]
    execute(
        database,
        f"CREATE TABLE w (id bigserial PRIMARY KEY, c {column}, t timestamptz, s text, k text); CREATE INDEX ON w (c)",
        f"INSERT INTO w (c, t, s, k) SELECT {end}, t, CASE WHEN n % 10 = 0 THEN 'FAILED' ELSE 'SUCCESS' END,"
        " 'k' || n % 2 FROM generate_series(1, 9000) n, LATERAL (SELECT now() - CASE"
        " WHEN n BETWEEN 2000 AND 5000 THEN interval '1 h'"
        " WHEN n > 5000 THEN interval '9 days' + n * interval '1 s' ELSE n * interval '1 s' END t) x",
    )
    ended = "t AS completed_at, c" if kind == "id" else "c AS completed_at"
    profile = Profile(
        executions=f"SELECT id, {ended}, s AS status, k AS task_type FROM w",
        cursor=Cursor(
            column="c" if kind == "id" else "completed_at",
            kind=kind,  # type: ignore[arg-type]
            position="SELECT max(c) FROM w" if kind == "id" else None,
        ),
        key=("id",),
    )
    async with reading(database, profile) as opened:
        pages = await opened.reads.pages()

        async def ids(**wanted: Any) -> list[int]:
            found = [page async for page in pages.executions(Wanted(**wanted))]
            flat = [execution for page in found for execution in page]
            assert [e.completed_at for e in flat] == sorted((e.completed_at for e in flat), reverse=True)
            return sorted(int(e.id) for e in flat)

        with database.connect() as connection:
            now = connection.execute("SELECT extract(epoch FROM now())::float8").fetchone()
        assert now is not None
        assert await ids(since=now[0] - 30 * 86_400) == list(range(1, 9001))
        assert await ids(since=now[0] - 86_400) == list(range(1, 5001))
        assert await ids(since=now[0] - 40 * 86_400, status="FAILED") == list(range(10, 9001, 10))
        assert await ids(since=now[0] - 86_400, task_type="k1", text="K1") == list(range(1, 5001, 2))


async def test_pages_of_jobs(native: Reading, database: Database) -> None:
    execute(database, "INSERT INTO jobs (id, name, task_type) SELECT n, 'job', 'mail' FROM generate_series(10, 3333) n")
    pages = await native.reads.pages()
    found = [page async for page in pages.jobs()]
    assert [int(job.id) for page in found for job in page] == [1, 2, *range(10, 3334)]
    assert max(map(len, found)) <= 1000
