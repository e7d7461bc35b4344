"""What ``profile check`` says about plans and indexes of real tables, and that doing what it says helps."""

from __future__ import annotations

import pytest
from support.checking import findings, report
from support.postgres import Database, execute

from exporter.config.model import Cursor, Profile

FINISHED = "'SUCCESS' AS status"

#: the table, its rows (i is 1 to 20000), the SELECT, the cursor
CURSORS: dict[str, tuple[str, str, str, Cursor]] = {
    "timestamp": (
        "id int, ended timestamptz",
        "i, now() - i * interval '1 min'",
        f"SELECT id, {FINISHED}, ended AS completed_at FROM w",
        Cursor(),
    ),
    "not null": (
        "id int, ended timestamptz NOT NULL",
        "i, now() - i * interval '1 min'",
        f"SELECT id, {FINISHED}, ended FROM w WHERE id <> 0",
        Cursor(column="ended"),
    ),
    "naive_timestamp": (
        'id int, "End" timestamp',
        "i, now() - i * interval '1 min'",
        f'SELECT x.id, {FINISHED}, x."End" FROM w x',
        Cursor(column="End", kind="naive_timestamp"),
    ),
    "epoch": (
        "id int, ended int",
        "i, extract(epoch FROM now()) - i",
        f"SELECT id, {FINISHED}, ended FROM w",
        Cursor(column="ended", kind="epoch"),
    ),
    "epoch_ms": (
        "id int, ended bigint",
        "i, (extract(epoch FROM now()) - i) * 1000",
        f"SELECT id, {FINISHED}, to_timestamp(ended / 1000.0) AS completed_at, ended FROM w",
        Cursor(column="ended", kind="epoch_ms"),
    ),
    "id": (
        "id serial, x int",
        "i, i",
        f"SELECT id, {FINISHED} FROM w",
        Cursor(column="id", kind="id", position="SELECT max(id) FROM w"),
    ),
    "CASE and status": (
        "id int, state text, ended timestamptz",
        "i, CASE WHEN i % 2 = 0 THEN 'ok' ELSE 'bad (AND so on' END, now() - i * interval '1 min'",
        "SELECT id, CASE state WHEN 'ok' THEN 'SUCCESS' ELSE 'FAILED' END AS status, ended FROM w"
        " WHERE state IN ('ok', 'bad (AND so on')",
        Cursor(column="ended"),
    ),
}


@pytest.mark.parametrize("shape", CURSORS)
async def test_a_scan_for_the_cursor_ends_with_the_index_that_is_named(database: Database, shape: str) -> None:
    columns, values, sql, cursor = CURSORS[shape]
    execute(
        database,
        f"CREATE TABLE w ({columns}); INSERT INTO w SELECT {values} FROM generate_series(1, 20000) i; ANALYZE w",
    )
    profile = Profile(executions=sql, cursor=cursor, key=("id",))
    store = await report(database.dsn, profile)
    assert store["ok"]
    found = findings(store)
    assert all("every poll reads public.w whole (about 20,000 rows)" in one["text"] for one in found)
    assert found
    # The greatest id is looked up by the same index, and its own advice names none.
    remedies = {one["remedy"][0] for one in found if one["remedy"][0].startswith("CREATE")}
    assert len(remedies) == 1, found
    execute(database, remedies.pop().replace("CONCURRENTLY ", ""), "ANALYZE w")
    assert findings(await report(database.dsn, profile)) == []


async def test_each_branch_of_a_union_is_told(database: Database) -> None:
    branch = "SELECT id, '{0}' AS status, {1} AS ended FROM oban WHERE state = '{1}'"
    execute(
        database,
        "CREATE TYPE how AS ENUM ('completed', 'discarded')",
        "CREATE TABLE oban (id int, state how, completed timestamptz, discarded timestamptz)",
        "INSERT INTO oban SELECT i, 'completed', now() - i * interval '1 s', NULL FROM generate_series(1, 20000) i",
        "INSERT INTO oban SELECT i, 'discarded', NULL, now() - i * interval '1 s' FROM generate_series(1, 20000) i",
        "ANALYZE oban",
    )
    profile = Profile(
        executions=" UNION ALL ".join(
            branch.format(*way) for way in (("SUCCESS", "completed"), ("FAILED", "discarded"))
        ),
        cursor=Cursor(column="ended"),
        key=("id", "status"),
    )
    found = findings(await report(database.dsn, profile))
    remedies = sorted(one["remedy"][0] for one in found)
    assert remedies == [
        f'CREATE INDEX CONCURRENTLY ON public.oban ("{c}") WHERE "{c}" IS NOT NULL;' for c in ("completed", "discarded")
    ]
    execute(database, *(one.replace("CONCURRENTLY ", "") for one in remedies))
    assert findings(await report(database.dsn, profile)) == []


async def test_a_view_is_seen_through_and_a_partitioned_table_told_whole(database: Database) -> None:
    execute(
        database,
        "CREATE TABLE p (id int, ended timestamptz) PARTITION BY HASH (id)",
        "CREATE TABLE p0 PARTITION OF p FOR VALUES WITH (MODULUS 2, REMAINDER 0)",
        "CREATE TABLE p1 PARTITION OF p FOR VALUES WITH (MODULUS 2, REMAINDER 1)",
        "INSERT INTO p SELECT i, now() FROM generate_series(1, 40000) i; ANALYZE p",
        f"CREATE VIEW v AS SELECT id, {FINISHED}, ended FROM p",
    )
    profile = Profile(executions="SELECT * FROM v", cursor=Cursor(column="ended"), key=("id",))
    found = findings(await report(database.dsn, profile))
    remedies = {one["remedy"][0] for one in found}
    assert remedies == {'CREATE INDEX ON public.p ("ended") WHERE "ended" IS NOT NULL;'}
    assert "public.p whole" in found[0]["text"]
    execute(database, remedies.pop())
    assert findings(await report(database.dsn, profile)) == []


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        (f"SELECT id, {FINISHED}, coalesce(ended, now()) AS ended FROM w", "the cursor is computed"),
        (f"SELECT id, {FINISHED}, max(ended) AS ended FROM w GROUP BY id", "bounds do not reach the table"),
        (f"SELECT id, {FINISHED}, ended FROM w OFFSET 0", "bounds do not reach the table"),
    ],
)
async def test_breaches_of_the_contract_are_explained(database: Database, sql: str, expected: str) -> None:
    execute(
        database,
        "CREATE TABLE w (id int, ended timestamptz); CREATE INDEX ON w (ended)",
        "INSERT INTO w SELECT i, now() - i * interval '1 min' FROM generate_series(1, 20000) i; ANALYZE w",
    )
    found = findings(await report(database.dsn, Profile(executions=sql, cursor=Cursor(column="ended"), key=("id",))))
    assert [expected in one["text"] for one in found] == [True], found


async def test_small_tables_are_no_warning(database: Database) -> None:
    """A note tells what they will need; where the index is there, nothing, although the planner scans."""
    execute(database, "CREATE TABLE w (id int, ended timestamptz); INSERT INTO w SELECT 1, now(); ANALYZE w")
    profile = Profile(
        executions=f"SELECT id, {FINISHED}, ended FROM w", cursor=Cursor(column="ended"), key=("id",),
        running="SELECT id FROM w WHERE ended IS NULL",
    )  # fmt: skip
    store = await report(database.dsn, profile)
    assert findings(store) == []
    (small,) = findings(store, "note")
    assert "public.w is small now" in small["text"]
    assert small["remedy"] == ['CREATE INDEX CONCURRENTLY ON public.w ("ended") WHERE "ended" IS NOT NULL;']
    execute(database, "CREATE INDEX ON w (ended)")
    store = await report(database.dsn, profile)
    assert (findings(store), findings(store, "note")) == ([], [])


async def test_live_predicates_get_a_partial_index(database: Database) -> None:
    execute(
        database,
        "CREATE TABLE j (id int, state varchar(20), kind text, began timestamptz)",
        "INSERT INTO j SELECT i, CASE WHEN i % 1000 = 0 THEN 'busy' ELSE 'over' END, 'ONE_TIME', now()"
        " FROM generate_series(1, 30000) i; ANALYZE j",
    )
    status = "CASE j.state WHEN 'busy' THEN 'RUNNING' ELSE 'COMPLETED' END AS status"
    profile = Profile(
        jobs=f"SELECT j.id, {status}, j.kind AS type FROM j",
        live_jobs="SELECT j.id, 'RUNNING' AS status FROM j WHERE j.state IN ('busy', 'waits')",
        running="SELECT r.id, r.began AS started_at FROM j r WHERE r.state = 'busy'",
    )
    found = findings(await report(database.dsn, profile))
    remedies = {one["remedy"][0].replace("CONCURRENTLY ", "") for one in found}
    assert len(remedies) == 3, found  # running, live jobs, recurring ones
    assert all(" WHERE " in one for one in remedies)
    execute(database, *remedies, "ANALYZE j")
    assert findings(await report(database.dsn, profile)) == []


async def test_an_enum_through_a_cast_can_have_no_index(database: Database) -> None:
    execute(
        database,
        "CREATE TYPE s AS ENUM ('RUNNING', 'COMPLETED')",
        "CREATE TABLE j (id int, status s)",
        "INSERT INTO j SELECT i, 'COMPLETED' FROM generate_series(1, 30000) i; ANALYZE j",
    )
    found = findings(await report(database.dsn, Profile(jobs="SELECT id, status FROM j")))
    (queues,) = [one for one in found if "CREATE" not in one["remedy"][0]]
    assert "no index can serve it" in queues["text"]
    assert "`live_jobs`" in queues["remedy"][0]


async def test_a_look_up_without_an_index(database: Database) -> None:
    execute(
        database,
        "CREATE TABLE w (id int PRIMARY KEY, job int, ended timestamptz); CREATE INDEX ON w (ended)",
        "CREATE TABLE j (no int, name text)",
        "INSERT INTO w SELECT i, i, now() - i * interval '1 min' FROM generate_series(1, 20000) i",
        "INSERT INTO j SELECT i, 'x' FROM generate_series(1, 20000) i; ANALYZE w, j",
    )
    joined = Profile(
        executions=f"SELECT w.id, {FINISHED}, w.ended, j.name AS job_name FROM w JOIN j ON j.no = w.job",
        cursor=Cursor(column="ended"), key=("id",),
    )  # fmt: skip
    nested = Profile(
        executions=f"SELECT id, {FINISHED}, ended, (SELECT name FROM j WHERE j.no = w.job) AS job_name FROM w",
        cursor=Cursor(column="ended"), key=("id",),
    )  # fmt: skip
    for profile in (joined, nested):
        (found,) = findings(await report(database.dsn, profile))
        assert found["remedy"] == ['CREATE INDEX CONCURRENTLY ON public.j ("no");']
    execute(database, 'CREATE INDEX ON j ("no"); ANALYZE j')
    for profile in (joined, nested):
        assert findings(await report(database.dsn, profile)) == []
