"""``profile check`` on real databases: what it says of rights, statuses, values, servers; that it writes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from support.checking import check, findings, report
from support.postgres import Database, execute

from exporter.config.model import Config, Counting, Cursor, Dsn, Duration, PostgresStore, Profile
from exporter.config.secrets import Secret
from exporter.errors import ConfigError
from exporter.stores.check import check_stores
from exporter.stores.native import ddl

PASSWORD = "s3ntinel-pass"
FINISHED = "'SUCCESS' AS status"


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
    for _ in range(5):
        status, text = await check(database.dsn, analyze=True)
        assert status == 0
        assert text.count(" ms, read ") == text.count(", gave ") == 12  # every statement
        assert "at this cost runs every " in text
        if "at this cost runs every 15s" in text:
            return
    raise AssertionError("a count of nothing is too dear")  # once it may be: the machine stood still


async def test_analyze_keeps_to_the_timeout(database: Database) -> None:
    profile = Profile(jobs="SELECT 1 AS id, 'QUEUED' AS status", workers="SELECT pg_sleep(600)::text AS id")
    within = {0.3: "300ms", 3: "3s", 30: "30s"}
    for seconds in within:  # the least that is enough for all else
        status, text = await check(database.dsn, profile, analyze=True, timeout=Duration(seconds))
        if status == 0:
            break
    assert status == 0
    assert f"workers: did not end within its timeout of {within[seconds]}; a poll would give it up likewise" in text
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
        for seconds in (0.5, 5, 50):  # the least that is enough for all else
            profile = Profile(jobs="SELECT id, 'QUEUED' AS status FROM w")
            status, text = await check(database.dsn, profile, timeout=Duration(seconds))
            if "a table is locked by another session" in text:
                break
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
