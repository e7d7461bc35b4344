"""Which profile fits a database: ``auto``, names and parameters, and what is said when none does."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from procrastinate.schema import SchemaManager
from support.postgres import Database, execute

from exporter.config.model import Cursor, Dsn, Duration, PostgresStore, Profile
from exporter.errors import ProfileError
from exporter.instruments import QueryInstruments
from exporter.stores import catalog, recognition
from exporter.stores.credentials import StoreCredentials
from exporter.stores.native import ddl
from exporter.stores.profile import shipped
from exporter.stores.session import Session, Transaction

ODD = ["public", "jobs", "My Schema", 'say "hi"', "über", "a.b", "{schema}"]


@asynccontextmanager
async def asking(dsn: str) -> AsyncIterator[Transaction]:
    store = PostgresStore(name="s", dsn=Dsn(dsn), timeout=Duration(60))
    session = Session("s", StoreCredentials(store), 60.0, QueryInstruments())
    try:
        async with session.transaction() as transaction:
            yield transaction
    finally:
        await session.close()


def install(database: Database, which: str, schema: str) -> None:
    quoted = '"' + schema.replace('"', '""') + '"'
    if which == "native":
        execute(database, ddl(schema))
        return
    execute(database, f"CREATE SCHEMA IF NOT EXISTS {quoted}")
    with database.connect() as admin:
        admin.execute(f"SET search_path = {quoted}")  # type: ignore[call-overload]
        admin.execute(SchemaManager.get_schema())


async def resolved(database: Database, **keys: Any) -> Profile:
    async with asking(keys.pop("dsn", database.dsn)) as transaction:
        store = PostgresStore(name="s", dsn=Dsn("host=x"), **keys)
        profile = (await recognition.resolve(transaction, store)).profile
        await catalog.wrap(transaction, profile)
        return profile


async def refused(database: Database, **keys: Any) -> str:
    with pytest.raises(ProfileError) as caught:
        await resolved(database, **keys)
    return str(caught.value)


@pytest.mark.parametrize("schema", ODD)
@pytest.mark.parametrize("which", ["native", "procrastinate"])
async def test_auto_recognises_a_scheduler_in_any_schema(database: Database, which: str, schema: str) -> None:
    install(database, which, schema)
    profile = await resolved(database)
    assert (profile.name, profile.parameters) == (which, {"schema": schema})


async def test_two_in_one_database_are_ambiguous(database: Database) -> None:
    install(database, "native", "public")
    install(database, "procrastinate", "tasks")
    text = await refused(database)
    assert "more than one" in text
    assert "native (schema: public)" in text
    assert "procrastinate (schema: tasks)" in text
    assert "Set `profile` and `parameters`" in text
    assert (await resolved(database, profile="procrastinate", parameters={"schema": "tasks"})).name == "procrastinate"
    assert (await resolved(database, parameters={"schema": "public"})).name == "native"


async def test_the_same_scheduler_twice_is_ambiguous(database: Database) -> None:
    install(database, "procrastinate", "a")
    install(database, "procrastinate", "b")
    assert "procrastinate (schema: a); procrastinate (schema: b)" in await refused(database)
    assert (await resolved(database, parameters={"schema": "b"})).parameters == {"schema": "b"}


async def test_none_is_told_with_what_is_known(database: Database) -> None:
    text = await refused(database)
    assert "recognises no scheduler" in text
    for name in shipped():
        assert name in text


async def test_one_that_nearly_fits_is_named(database: Database) -> None:
    install(database, "procrastinate", "public")
    execute(database, "ALTER TABLE procrastinate_jobs RENAME COLUMN attempts TO attempt")
    text = await refused(database)
    assert "procrastinate (schema: public) nearly fits" in text
    assert 'procrastinate_jobs has no column attempts; did you mean "attempt"?' in text


async def test_a_schema_that_the_role_may_not_use(database: Database) -> None:
    """Another tenant's schema neither breaks the search nor goes unmentioned when nothing else is found."""
    role = f"reader_{database.name}"
    install(database, "procrastinate", "closed")
    execute(database, f"CREATE ROLE {role} LOGIN PASSWORD 'x'", "REVOKE ALL ON SCHEMA public FROM PUBLIC")
    dsn = database.dsn_as(role, "x")
    try:
        text = await refused(database, dsn=dsn)
        assert f"GRANT USAGE ON SCHEMA closed TO {role};" in text
        text = await refused(database, dsn=dsn, profile="procrastinate", parameters={"schema": "closed"})
        assert f"GRANT USAGE ON SCHEMA closed TO {role};" in text
        install(database, "procrastinate", "open")
        execute(database, f"GRANT USAGE ON SCHEMA open TO {role}; GRANT SELECT ON ALL TABLES IN SCHEMA open TO {role}")
        assert (await resolved(database, dsn=dsn)).parameters == {"schema": "open"}
    finally:
        execute(database, f"DROP OWNED BY {role}; DROP ROLE {role}")


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        (
            {"profile": "procrastinat"},
            "no profile is named 'procrastinat'; known: auto, .*did you mean \"procrastinate\"",
        ),
        ({"profile": "atuo"}, 'did you mean "auto"'),
        ({"profile": "native", "parameters": {"scheme": "x"}}, "no parameter 'scheme'; .*did you mean \"schema\""),
        ({"profile": "native", "parameters": {"schema": "nope"}}, 'there is no table "nope".jobs'),
        ({"profile": Profile(jobs="SELECT 1", requires=("a b c",))}, "not a valid identifier: .a b c"),
    ],
)
async def test_wrong_names(database: Database, keys: dict[str, Any], expected: str) -> None:
    with pytest.raises(ProfileError, match=expected):
        await resolved(database, **keys)


async def test_every_faulty_select_is_named_at_once(database: Database) -> None:
    """One that the server refuses does not hide the next; places and hints are in the text."""
    execute(database, "CREATE TABLE t (id int, status text, started date, twice int)")
    profile = Profile(
        jobs="SELECT id,\n  statsu AS status\nFROM t",
        executions="SELECT id, status AS stat FROM t",
        running="SELECT * FROM t, (SELECT 1 AS id) x",
        workers="SELECT id, '1 s'::interval AS last_seen FROM t WHERE (id = 1",
        operations="SELECT now() - now() AS stage, id FROM nowhere",
    )
    text = await refused(database, profile=profile)
    assert "jobs: line 2: column \"statsu\" does not exist (SQLSTATE 42703), at 'statsu AS status'" in text
    assert 'Perhaps you meant to reference the column "t.status"' in text
    assert "executions: has no column 'status'; did you mean \"stat\"?; it has: id, stat" in text
    assert "executions: has no cursor" in text
    assert "running: has 2 columns named 'id'" in text
    assert "workers: line 1: syntax error" in text
    assert 'operations: line 1: relation "nowhere" does not exist' in text


async def test_types_that_cannot_be_read(database: Database) -> None:
    execute(database, "CREATE TABLE t (id int, at timestamp, n text)")
    profile = Profile(
        executions="SELECT id, n AS status, at AS completed_at, '1 s'::interval AS started_at, at AS attempt FROM t",
        workers="SELECT id, '{}'::jsonb AS is_paused FROM t",
        cursor=Cursor(),
    )
    text = await refused(database, profile=profile)
    assert "'started_at' is of type interval, expected a timestamp, or a number of seconds" in text
    assert "'attempt' is of type timestamp without time zone, expected a whole number" in text
    assert "workers: column 'is_paused' is of type jsonb, expected a boolean" in text
    assert "the cursor 'completed_at' is of type timestamp without time zone, but kind 'timestamp' needs" in text
    assert "kind may be: naive_timestamp" in text


async def test_required_columns_may_be_quoted_as_in_sql(database: Database) -> None:
    execute(database, 'CREATE TABLE "JobRun" ("runId" int, "a, ""b""" int, plain int)')
    fitting = Profile(
        jobs='SELECT "runId" AS id, \'QUEUED\' AS status FROM "JobRun"',
        requires=('"JobRun"("runId", "a, ""b""", plain)', '"JobRun" (runId)'),
    )
    assert (await resolved(database, profile=fitting)).requires
    lacking = Profile(jobs=fitting.jobs, requires=('"JobRun"("runid")',))
    assert 'has no column runid; did you mean "runId"?' in await refused(database, profile=lacking)
