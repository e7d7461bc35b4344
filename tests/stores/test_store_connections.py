"""The servers that a store lists, and the results written for them, on tables of every shape."""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
from support.directory import STATUS, Directory
from support.postgres import Database, execute

from exporter.config.model import Dsn, Duration, PostgresStore, Profile
from exporter.directory import ConnectionStatus, StatusWritten, StoreConnection
from exporter.errors import StoreError
from exporter.instruments import QueryInstruments
from exporter.stores.connections import StoreConnections, list_connections
from exporter.stores.credentials import StoreCredentials
from exporter.stores.listing import REFUSED_POLLS
from exporter.stores.profile import fill, named
from exporter.stores.session import Session
from exporter.vault.references import Secrets


@contextlib.asynccontextmanager
async def session(database: Database, dsn: str | None = None) -> AsyncIterator[Session]:
    store = PostgresStore(name="main", dsn=Dsn(dsn or database.dsn), timeout=Duration(60))
    made = Session("main", StoreCredentials(store), 60.0, QueryInstruments())
    try:
        yield made
    finally:
        await made.close()


def profile(**given: str) -> Profile:
    return fill(Profile(jobs="SELECT 1 AS id, 'x' AS status", connection_status="results", **given), {})


STORE = PostgresStore(name="main", dsn=Dsn("host=unused"))
LISTS = "SELECT 1 AS id, 'h' AS host"


async def test_a_select_maps_any_table(database: Database) -> None:
    execute(
        database,
        "CREATE TABLE servers (code uuid, label varchar, address inet, tcp smallint, secret text, off boolean)",
        "INSERT INTO servers VALUES"
        " ('00000000-0000-0000-0000-00000000000a', 'Reports', '10.1.2.3', 6432, 'rep', false),"
        " ('00000000-0000-0000-0000-00000000000b', 'Old', '10.1.2.4', NULL, NULL, true),"
        " (NULL, 'No id', NULL, 1, NULL, false)",
    )
    select = """
        SELECT code AS id, label AS name, host(address) AS host, tcp AS port, 'monitor' AS "user", 7 AS more,
               'secret/data/' || secret AS vault_path FROM servers WHERE NOT off -- the end
        """
    directory = Directory()
    table = StoreConnections(STORE, directory, writes=False)
    async with session(database) as opened:
        found = await table.ask(opened, profile(connections=select))
    assert directory.rows == found.value.connections == (
        StoreConnection(
            id="00000000-0000-0000-0000-00000000000a", name="Reports", host="10.1.2.3", port=6432, user="monitor",
            vault_path="secret/data/rep",
        ),
    )  # fmt: skip
    assert directory.asked_for == 1 and found.load_seconds > 0


async def test_what_cannot_be_read_is_said_once_and_seldom_tried_again(
    database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = Directory()
    table = StoreConnections(STORE, directory, writes=False)
    wanted = profile(connections="SELECT * FROM servers")
    async with session(database) as opened:
        for _ in range(REFUSED_POLLS + 1):
            assert (await table.ask(opened, wanted)).value is None
        execute(database, "CREATE TABLE servers (id int, hostname text)")
        assert (await table.ask(opened, wanted)).value is None
        said = capsys.readouterr().out
        assert said.count("store lists no connections to check") == 2
        assert "does not exist (SQLSTATE 42P01)" in said and "has no column" in said
        execute(database, "ALTER TABLE servers RENAME hostname TO host", "INSERT INTO servers VALUES (4, 'h')")
        for _ in range(REFUSED_POLLS + 1):
            await table.ask(opened, wanted)
        assert directory.rows == (StoreConnection(id=4, name=None, host="h"),)
        # Once it was there, its absence is a failure: what is known stays known.
        execute(database, "DROP TABLE servers")
        with pytest.raises(StoreError):
            await table.ask(opened, wanted)
        assert directory.rows == (StoreConnection(id=4, name=None, host="h"),)


async def test_the_shipped_profiles_without_the_table_cost_one_look(database: Database) -> None:
    store = PostgresStore(name="main", dsn=Dsn(database.dsn), profile=Profile(jobs="SELECT 1 AS id, 'x' AS status"))
    assert await list_connections(store, Secrets()) == ()
    directory = Directory()
    table = StoreConnections(STORE, directory, writes=False)
    async with session(database) as opened:
        assert (await table.ask(opened, fill(named("procrastinate"), {}))).load_seconds == 0
        found = await table.ask(opened, fill(named("native"), {}))
    assert found.value is None and directory.rows is None


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        (
            "connection_id bigint PRIMARY KEY, is_healthy boolean, last_check timestamptz, response_time_ms integer,"
            " server_version text, error_message text, failed_stage text",
            {
                "connection_id": 1, "is_healthy": True, "last_check": "2023-11-14T22:13:20.25+00:00",
                "response_time_ms": 13, "server_version": "15.4", "error_message": None, "failed_stage": None,
            },
        ),
        (
            "id serial, connection_id integer UNIQUE, is_healthy boolean NOT NULL, last_check timestamp,"
            " response_time_ms double precision, server_version varchar(3)",
            {
                "id": 1, "connection_id": 1, "is_healthy": True, "last_check": "2023-11-14T22:13:20.25",
                "response_time_ms": 12.6, "server_version": "15.",
            },
        ),
        ("connection_id text PRIMARY KEY, is_healthy integer", {"connection_id": "1", "is_healthy": 1}),
    ],
)  # fmt: skip
async def test_results_go_into_the_columns_that_are_there(
    database: Database, columns: str, expected: dict[str, Any]
) -> None:
    execute(database, f"CREATE TABLE results ({columns})")
    table = StoreConnections(STORE, Directory([STATUS]), writes=True)
    wanted = profile(connections=LISTS)
    async with session(database) as opened:
        assert (await table.tell(opened, wanted)).value is None, "nothing was listed yet"
        await table.ask(opened, wanted)
        assert (await table.tell(opened, wanted)).value == StatusWritten(results=1)
        assert execute(database, "SET timezone = 'UTC'", "SELECT to_jsonb(results) FROM results") == [(expected,)]
        again = await table.tell(opened, wanted)
        assert again.value == StatusWritten(results=0) and again.load_seconds == 0, "nothing new: nobody is asked"


async def test_all_results_are_one_statement_and_older_ones_replace_none(database: Database) -> None:
    execute(
        database,
        "CREATE EXTENSION IF NOT EXISTS pg_stat_statements",
        "CREATE TABLE results (connection_id int PRIMARY KEY, is_healthy boolean, last_check timestamptz)",
        "INSERT INTO results VALUES (7, false, now()), (8, false, NULL)",
        "SELECT pg_stat_statements_reset()",
    )
    many = [_status(n, last_check=STATUS.last_check + n) for n in range(500)]
    table = StoreConnections(STORE, Directory(many), writes=True)
    wanted = profile(connections=LISTS)
    async with session(database) as opened:
        await table.ask(opened, wanted)
        assert (await table.tell(opened, wanted)).value == StatusWritten(results=500)
    calls = execute(
        database,
        "SELECT sum(calls)::int, sum(rows)::int FROM pg_stat_statements WHERE query LIKE 'INSERT INTO results%'",
    )
    assert calls == [(1, 499)]
    healthy = dict(execute(database, "SELECT connection_id, is_healthy FROM results"))
    assert len(healthy) == 500 and healthy[7] is False and healthy[8] is True


def _status(number: int, **changes: Any) -> ConnectionStatus:
    values = {name: getattr(STATUS, name) for name in STATUS.__slots__}
    return ConnectionStatus(**{**values, "connection_id": number, **changes})


@pytest.mark.parametrize(
    ("statements", "expected"),
    [
        ((), "there is no table results"),
        (("CREATE TABLE results (connection_id int)",), "results has no column is_healthy; it has: connection_id"),
        (
            ("CREATE TABLE results (connection_id int, is_healthy boolean)",),
            "may hold a connection twice. Run: CREATE UNIQUE INDEX ON results (connection_id);",
        ),
        (
            (
                "CREATE TABLE results (connection_id int PRIMARY KEY, is_healthy boolean, last_check timestamptz)",
                "REVOKE ALL ON results FROM {role}",
            ),
            'Run: GRANT SELECT, INSERT, UPDATE ON results TO "{role}";',
        ),
        (
            (
                "CREATE TABLE results (connection_id int PRIMARY KEY, is_healthy boolean, more text)",
                "GRANT SELECT ON results TO {role}",
                "GRANT INSERT (connection_id, is_healthy), UPDATE (connection_id, is_healthy) ON results TO {role}",
            ),
            None,
        ),
    ],
)
async def test_what_keeps_results_from_being_written(
    database: Database, statements: tuple[str, ...], expected: str | None
) -> None:
    role = f"writer_{database.name}"
    is_owner = expected is None or "GRANT" not in expected
    execute(database, f"CREATE ROLE {role} LOGIN PASSWORD 'w'", *(one.format(role=role) for one in statements))
    if is_owner and expected is not None and statements:
        execute(database, f"ALTER TABLE results OWNER TO {role}")
    table = StoreConnections(STORE, Directory([STATUS]), writes=True)
    wanted = profile(connections=LISTS)
    try:
        async with session(database, database.dsn_as(role, "w")) as opened:
            await table.ask(opened, wanted)
            if expected is None:
                assert (await table.tell(opened, wanted)).value == StatusWritten(results=1)
                return
            for _ in range(2):
                with pytest.raises(StoreError) as caught:
                    await table.tell(opened, wanted)
                assert expected.format(role=role) in str(caught.value)
            # It is looked at again each time: what was mended is found.
            execute(
                database,
                "DROP TABLE IF EXISTS results",
                "CREATE TABLE results (connection_id int PRIMARY KEY, is_healthy boolean)",
                f"GRANT SELECT, INSERT, UPDATE ON results TO {role}",
            )
            assert (await table.tell(opened, wanted)).value == StatusWritten(results=1)
    finally:
        execute(database, f"DROP OWNED BY {role}", f"DROP ROLE {role}")


async def test_of_several_replicas_one_writes_until_its_lease_expires(database: Database) -> None:
    execute(
        database,
        "CREATE TABLE results (connection_id int PRIMARY KEY, is_healthy boolean, last_check timestamptz)",
        "CREATE TABLE lease (name text PRIMARY KEY, holder text, expires_at timestamptz)",
    )
    wanted = profile(connections=LISTS, connection_lease="lease")
    one, two = Directory([STATUS]), Directory([STATUS])
    first = StoreConnections(STORE, one, writes=True, holder="one")
    second = StoreConnections(STORE, two, writes=True, holder="two")
    other = StoreConnections(STORE, Directory([STATUS]), writes=True, holder="three", share="1/2")
    async with session(database) as opened:
        for table in (first, second, other):
            await table.ask(opened, wanted)
        assert (await first.tell(opened, wanted)).value == StatusWritten(results=1)
        assert (await second.tell(opened, wanted)).value == StatusWritten(results=0), "the first one has the lease"
        assert (await other.tell(opened, wanted)).value == StatusWritten(results=1), "another share is another lease"
        one.statuses = two.statuses = [_status(STATUS.connection_id, last_check=STATUS.last_check + 60)]
        assert (await second.tell(opened, wanted)).value == StatusWritten(results=0)
        execute(database, "UPDATE lease SET expires_at = now() - interval '1 ms' WHERE holder = 'one'")
        assert (await second.tell(opened, wanted)).value == StatusWritten(results=1)
        assert (await first.tell(opened, wanted)).value == StatusWritten(results=0)
    held = execute(database, "SELECT name, holder, expires_at > now() FROM lease ORDER BY 1")
    assert held == [("connection_status 0/1", "two", True), ("connection_status 1/2", "three", True)]


async def test_what_is_wrong_with_the_lease_is_said(database: Database) -> None:
    role = f"leaser_{database.name}"
    execute(
        database,
        f"CREATE ROLE {role} LOGIN PASSWORD 'w'",
        "CREATE TABLE results (connection_id int PRIMARY KEY, is_healthy boolean)",
        f"GRANT SELECT, INSERT, UPDATE ON results TO {role}",
        "CREATE TABLE lease (name text, holder text)",
    )
    table = StoreConnections(STORE, Directory([STATUS]), writes=True)
    wanted = profile(connections=LISTS, connection_lease="lease")
    try:
        async with session(database, database.dsn_as(role, "w")) as opened:
            await table.ask(opened, wanted)
            for statement, expected in (
                ("SELECT 1", "lease has no column expires_at; it has: name, holder"),
                ("ALTER TABLE lease ADD expires_at timestamptz", "Run: CREATE UNIQUE INDEX ON lease (name);"),
                ("CREATE UNIQUE INDEX ON lease (name)", f'GRANT SELECT, INSERT, UPDATE ON lease TO "{role}";'),
            ):
                execute(database, statement)
                with pytest.raises(StoreError, match=re.escape(expected)):
                    await table.tell(opened, wanted)
            execute(database, f"GRANT SELECT, INSERT, UPDATE ON lease TO {role}")
            assert (await table.tell(opened, wanted)).value == StatusWritten(results=1)
    finally:
        execute(database, f"DROP OWNED BY {role}", f"DROP ROLE {role}")


async def test_a_row_that_is_gone_meanwhile_costs_one_write(database: Database) -> None:
    execute(
        database,
        "CREATE TABLE servers (id int PRIMARY KEY, host text)",
        "INSERT INTO servers VALUES (1, 'h'), (2, 'h')",
        "CREATE TABLE results (connection_id int PRIMARY KEY REFERENCES servers ON DELETE CASCADE, is_healthy boolean)",
    )
    directory = Directory([STATUS, _status(2)])
    table = StoreConnections(STORE, directory, writes=True)
    wanted = profile(connections="SELECT * FROM servers")
    async with session(database) as opened:
        await table.ask(opened, wanted)
        execute(database, "DELETE FROM servers WHERE id = 2")
        with pytest.raises(StoreError):
            await table.tell(opened, wanted)
        directory.statuses = [STATUS]  # as the directory does once the rows were read again
        assert (await table.tell(opened, wanted)).value == StatusWritten(results=1)
    assert execute(database, "SELECT connection_id FROM results") == [(1,)]


async def test_a_profile_without_the_table_is_said_once(database: Database, capsys: pytest.CaptureFixture[str]) -> None:
    table = StoreConnections(STORE, Directory([STATUS]), writes=True)
    wanted = fill(Profile(jobs="SELECT 1 AS id, 'x' AS status", connections=LISTS), {})
    async with session(database) as opened:
        await table.ask(opened, wanted)
        for _ in range(3):
            assert (await table.tell(opened, wanted)).value is None
    assert capsys.readouterr().out.count("the profile names no connection_status") == 1
