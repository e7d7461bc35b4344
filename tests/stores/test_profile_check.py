"""``profile check`` on real databases: what it says, and that doing what it says helps."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from support.postgres import Database, execute

from exporter.config.model import Config, Counting, Cursor, Dsn, Duration, PostgresStore, Profile
from exporter.config.secrets import Secret
from exporter.errors import ConfigError
from exporter.stores.check import check_stores
from exporter.stores.native import ddl

PASSWORD = "s3ntinel-pass"
FINISHED = "'SUCCESS' AS status"


async def check(dsn: str, profile: Profile | str = "auto", *, analyze: bool = False, **keys: Any) -> tuple[int, str]:
    """Exit status and output for one store."""
    said: list[str] = []
    config = Config(stores=(PostgresStore(name="main", dsn=Dsn(dsn), profile=profile, **keys),))
    status = await check_stores(config, [], said.append, analyze=analyze)
    return status, "\n".join(said)


async def report(dsn: str, profile: Profile | str = "auto", **keys: Any) -> dict[str, Any]:
    """The JSON of one store."""
    said: list[str] = []
    config = Config(stores=(PostgresStore(name="main", dsn=Dsn(dsn), profile=profile, **keys),))
    status = await check_stores(config, [], said.append, as_json=True)
    whole = json.loads(said[0])
    assert len(said) == 1
    assert whole["ok"] is (status == 0)
    store: dict[str, Any] = whole["stores"][0]
    return store


def findings(store: dict[str, Any], level: str = "warning") -> list[dict[str, Any]]:
    parts = [store, *store["entities"], *store["statements"]]
    return [finding for part in parts for finding in part["findings"] if finding["level"] == level]


@pytest.fixture
def reader(database: Database) -> Iterator[str]:
    """A role that may do nothing yet but count exactly."""
    role = f"reader_{database.name}"
    execute(database, f"CREATE ROLE {role} LOGIN PASSWORD '{PASSWORD}'", f"GRANT pg_monitor TO {role}")
    yield role
    execute(database, f"DROP OWNED BY {role} CASCADE", f"DROP ROLE {role}")


async def test_a_healthy_store(database: Database) -> None:
    execute(database, ddl("public"))
    status, text = await check(database.dsn)
    assert status == 0
    for expected in (
        f"127.0.0.1:{database.server.port}, PostgreSQL 18",
        f"{database.name}, as role postgres",
        "native, recognised by its tables",
        "parameters    schema: public",
        "counting      provably exact",
        "executions_completed_at_idx",
        "started_at timestamptz",
        "absent      recurring_id: last success",
        "a count of 1 s runs every 1m40s",
        "main: ok",
    ):
        assert expected in text
    assert "warning" not in text
    assert "note" not in text
    assert database.server.password not in text


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


async def test_hidden_rows(database: Database, reader: str) -> None:
    """Row-level security without a policy: the plan does not even name the table."""
    execute(
        database,
        "CREATE TABLE j (id int); ALTER TABLE j ENABLE ROW LEVEL SECURITY; INSERT INTO j VALUES (1)",
        "CREATE VIEW seen AS SELECT id FROM j",
        "CREATE VIEW invoker WITH (security_invoker = true) AS SELECT id FROM j",
        f"GRANT SELECT ON j, seen, invoker TO {reader}",
    )
    dsn = database.dsn_as(reader, PASSWORD)
    direct, owners, invokers = (
        Profile(jobs=f"SELECT id, 'QUEUED' AS status FROM {name}") for name in ("j", "seen", "invoker")
    )
    assert findings(await report(database.dsn, direct)) == []  # the owner sees all
    assert findings(await report(dsn, owners)) == []  # a view reads as its owner
    for profile in (direct, invokers):
        store = await report(dsn, profile)
        (hidden,) = findings(store)
        assert store["ok"]
        assert f"row-level security may hide rows of public.j from role {reader}, in silence: jobs" in hidden["text"]
    execute(database, hidden["remedy"][0])
    assert findings(await report(dsn, direct)) == []
    execute(database, "DROP POLICY scheduler_exporter ON j", hidden["remedy"][1])
    assert findings(await report(dsn, direct)) == []


async def test_missing_privileges_name_the_grant(database: Database, reader: str) -> None:
    execute(
        database,
        'CREATE SCHEMA "S s"; CREATE TABLE "S s".j (id int); CREATE TABLE "S s"."W" (id int); CREATE TABLE o (id int)',
    )
    profile = Profile(
        jobs='SELECT j.id, \'QUEUED\' AS status FROM "S s".j JOIN "S s"."W" w USING (id)',
        workers="SELECT id FROM o",
    )
    dsn = database.dsn_as(reader, PASSWORD)
    store = await report(dsn, profile)
    assert not store["ok"]
    jobs, workers = findings(store, "fault")
    assert "permission denied for schema S s" in jobs["text"]
    assert f'GRANT USAGE ON SCHEMA "S s" TO {reader};' in jobs["remedy"]
    assert f'GRANT SELECT ON "S s".j TO {reader};' in jobs["remedy"]
    assert f'GRANT SELECT ON "S s"."W" TO {reader};' in jobs["remedy"]
    assert workers["remedy"] == [f"GRANT SELECT ON public.o TO {reader};"]
    execute(database, *jobs["remedy"], *workers["remedy"])
    assert (await report(dsn, profile))["ok"]


async def test_statuses_that_mean_nothing(database: Database) -> None:
    execute(
        database,
        "CREATE TABLE w (id int, s text, ended timestamptz)",
        "INSERT INTO w VALUES (1, 'SUCCESS', now()), (2, 'succeeded', now()), (3, NULL, now()), (4, 'RUNNING', NULL)",
    )
    profile = Profile(
        executions="SELECT id, s AS status, ended FROM w",
        jobs="SELECT id, s AS status, 'CRON' AS type FROM w",
        operations="SELECT 'exec' AS stage",
        cursor=Cursor(column="ended"), key=("id",),
    )  # fmt: skip
    store = await report(database.dsn, profile)
    assert not store["ok"]
    (fault,) = findings(store, "fault")
    assert "status NULL, 'succeeded' (did you mean SUCCESS?) means nothing" in fault["text"]
    assert "not counted" in fault["text"]
    texts = " ".join(one["text"] for one in findings(store))
    for expected in ("'SUCCESS'", "'CRON'", "'exec'"):
        assert expected in texts


async def test_values_that_cannot_be_read(database: Database) -> None:
    execute(database, "CREATE TABLE w (id int, n text, ms bigint)", "INSERT INTO w VALUES (1, 'x', 1800000000000)")
    profile = Profile(
        jobs="SELECT id, 'QUEUED' AS status, ms AS next_run_at FROM w",
        workers="SELECT id, n AS actions_completed FROM w",
        running="SELECT id, NULL AS started_at FROM w",
    )
    store = await report(database.dsn, profile)
    texts = [one["text"] for one in findings(store, "fault")]
    assert len(texts) == 2
    assert "next_run_at: these are no seconds since 1970" in texts[0]
    assert "cannot be read: invalid input syntax for type bigint" in texts[1]


async def test_a_caret_shows_the_place(database: Database) -> None:
    execute(database, "CREATE TABLE t (id int, status text)")
    profile = Profile(
        jobs="SELECT id,\n       stats AS status\nFROM t",
        workers="SELECT id FROM t WHERE (id = 1",
        running="SELECT id FROM t",
    )
    status, text = await check(database.dsn, profile)
    assert status == 1
    lines = text.splitlines()
    at = next(i for i, line in enumerate(lines) if "line 2:" in line)
    assert lines[at].strip() == "line 2:        stats AS status"
    assert lines[at + 1].index("^") == lines[at].index("stats")
    assert 'Perhaps you meant to reference the column "t.status"' in lines[at + 2]
    assert "syntax error" in text
    assert "running       ok" in text  # what is sound is still checked
    assert "main: NOT OK, 2 faults" in text


async def test_counting_that_is_not_exact(database: Database, reader: str) -> None:
    execute(
        database,
        ddl("public"),
        f"REVOKE pg_monitor FROM {reader}",
        f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {reader}",
    )
    status, text = await check(database.dsn_as(reader, PASSWORD), counting=Counting(late_window=Duration(10)))
    assert status == 0
    assert "not provably exact, see below" in text
    assert "GRANT pg_monitor" in text
    execute(
        database,
        "CREATE SEQUENCE n CACHE 20; CREATE TABLE w (id bigint DEFAULT nextval('n'))",
        "ALTER SEQUENCE n OWNED BY w.id",
    )
    profile = Profile(
        executions=f"SELECT id, {FINISHED} FROM w",
        cursor=Cursor(column="id", kind="id", position="SELECT max(id) FROM w", at_end=False), key=("id",),
    )  # fmt: skip
    reasons = " ".join((await report(database.dsn, profile))["not_exact"])
    assert "CACHE 20" in reasons
    assert "not set when the execution ends" in reasons


async def test_analyze_runs_the_statements(database: Database) -> None:
    execute(database, ddl("public"))
    status, text = await check(database.dsn, analyze=True)
    assert status == 0
    assert text.count(" ms, read ") == text.count(", gave ") == 12  # every statement
    assert "at this cost runs every 15s" in text


async def test_analyze_keeps_to_the_timeout(database: Database) -> None:
    profile = Profile(jobs="SELECT 1 AS id, 'QUEUED' AS status", workers="SELECT pg_sleep(5)::text AS id")
    status, text = await check(database.dsn, profile, analyze=True, timeout=Duration(0.3))
    assert status == 0
    assert "workers: did not end within its timeout of 300ms; a poll would give it up likewise" in text
    assert "it is too slow" in text


@pytest.mark.parametrize("how", ["nobody listens", "wrong password", "no such database"])
async def test_a_server_that_cannot_be_reached(database: Database, free_port: Any, how: str) -> None:
    user, server = "postgres", database.server
    dsn = {
        "nobody listens": f"postgresql://{user}@127.0.0.1:{free_port()}/x",
        "wrong password": f"postgresql://{user}@127.0.0.1:{server.port}/{database.name}",
        "no such database": f"postgresql://{user}@127.0.0.1:{server.port}/nope",
    }[how]
    password = server.password if how == "no such database" else PASSWORD
    status, text = await check(dsn, password=Secret(password), timeout=Duration(2))
    assert status == 1
    assert text.count("FAULT") == 1
    assert "no connection" in text
    assert PASSWORD not in text
    assert server.password not in text


async def test_a_locked_table_is_told(database: Database) -> None:
    execute(database, "CREATE TABLE w (id int)")
    with database.connect(autocommit=False) as other:
        other.execute("LOCK TABLE w IN ACCESS EXCLUSIVE MODE")
        status, text = await check(
            database.dsn, Profile(jobs="SELECT id, 'QUEUED' AS status FROM w"), timeout=Duration(0.5)
        )
    assert status == 1
    assert "a table is locked by another session" in text


async def test_stores_by_name(database: Database) -> None:
    execute(database, ddl("public"))
    good = PostgresStore(name="good", dsn=Dsn(database.dsn))
    bad = PostgresStore(name="bad", dsn=Dsn(database.dsn), profile="procrastinate")
    config, said = Config(stores=(good, bad)), list[str]()
    assert await check_stores(config, [], said.append) == 1
    assert len(said) == 2
    assert await check_stores(config, ["good"], said.append) == 0
    assert "procrastinate_jobs" in said[1]
    with pytest.raises(ConfigError, match="no store is named 'god'; did you mean \"good\""):
        await check_stores(config, ["god"], said.append)
    assert await check_stores(Config(), [], said.append) == 0
    assert "nothing to check" in said[-1]


async def test_nothing_is_written(database: Database) -> None:
    """Also with --analyze: a SELECT that writes is refused, not run."""
    execute(database, "CREATE TABLE w (id int)")
    execute(
        database,
        "CREATE FUNCTION add() RETURNS int LANGUAGE sql AS 'INSERT INTO public.w VALUES (1) RETURNING id'",
    )
    status, text = await check(database.dsn, Profile(jobs="SELECT add() AS id, 'QUEUED' AS status"), analyze=True)
    assert status == 1
    assert "read-only transaction" in text
    with database.connect() as admin:
        assert admin.execute("SELECT count(*) FROM w").fetchone() == (0,)
