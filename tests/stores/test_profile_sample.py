"""What ``profile check`` tells of the rows themselves: how many, how new, whether the key tells them apart."""

from __future__ import annotations

from typing import Any

from stores.test_one_key_twice import BRANCHES, QUEUES
from support.checking import check, findings, report
from support.postgres import Database, execute

from exporter.config.model import Cursor, Profile

RUNS = "CREATE TABLE runs (id bigint PRIMARY KEY, ended timestamp)"
NAIVE = Profile(
    executions="SELECT id, 'SUCCESS' AS status, ended FROM runs",
    jobs="SELECT id, 'QUEUED' AS status FROM runs",
    cursor=Cursor(column="ended", kind="naive_timestamp"),
    key=("id",),
)


def entity(store: dict[str, Any], name: str) -> dict[str, Any]:
    (found,) = (one for one in store["entities"] if one["name"] == name)
    assert isinstance(found, dict)
    return found


async def test_rows_of_a_table_that_was_never_analysed_are_counted(database: Database) -> None:
    """The planner takes an empty table for one of ten pages."""
    execute(database, RUNS)
    _, text = await check(database.dsn, NAIVE)
    assert "executions    ok, 0 rows\n" in text
    execute(database, "INSERT INTO runs SELECT n, now() FROM generate_series(1, 7) n")
    _, text = await check(database.dsn, NAIVE)
    assert "jobs          ok, 7 rows\n" in text
    execute(database, "INSERT INTO runs SELECT n, now() FROM generate_series(8, 3000) n", "ANALYZE runs")
    _, text = await check(database.dsn, NAIVE)
    assert "jobs          ok, about 3,000 rows\n" in text


async def test_how_long_ago_the_latest_execution_ended(database: Database) -> None:
    """Who keeps local time sees here that it is none of UTC, ahead of it or behind."""
    execute(database, RUNS, "INSERT INTO runs VALUES (1, now() AT TIME ZONE 'UTC' - interval '5 h')")
    store = await report(database.dsn, NAIVE)
    assert 5 * 3600 <= entity(store, "executions")["newest_age"] < 5 * 3600 + 60
    assert not findings(store)
    _, text = await check(database.dsn, NAIVE)
    assert "    newest      ended at 2" in text
    assert "Z, 5h" in text
    execute(database, "INSERT INTO runs VALUES (2, now() AT TIME ZONE 'UTC' + interval '2 h')")
    (found,) = findings(await report(database.dsn, NAIVE))
    assert "in the future" in found["text"]
    assert "ended has no time zone and is taken as UTC: does it hold local time?" in found["text"]


async def test_a_key_that_executions_share(database: Database) -> None:
    execute(
        database,
        QUEUES,
        "INSERT INTO mails (archived_at) VALUES (clock_timestamp())",
        "INSERT INTO bills (archived_at) VALUES (clock_timestamp())",
    )
    shared = Profile(executions=BRANCHES, cursor=Cursor(column="completed_at"))
    (found,) = findings(await report(database.dsn, shared), "fault")
    assert "the profile's key (id) does not tell executions apart: '1' is there with queue" in found["text"]
    assert "key: [id, queue]" in found["text"]
    apart = Profile(executions=BRANCHES, cursor=Cursor(column="completed_at"), key=("id", "queue"))
    assert (await report(database.dsn, apart))["ok"]


async def test_rows_that_a_join_repeats(database: Database) -> None:
    execute(
        database,
        RUNS,
        "CREATE TABLE tags (run bigint, tag text)",
        "INSERT INTO runs VALUES (1, now() AT TIME ZONE 'UTC')",
        "INSERT INTO tags VALUES (1, 'a'), (1, 'b')",
    )
    joined = Profile(
        executions="SELECT r.id, 'SUCCESS' AS status, r.ended FROM runs r JOIN tags t ON t.run = r.id",
        cursor=Cursor(column="ended", kind="naive_timestamp"),
        key=("id",),
    )
    (found,) = findings(await report(database.dsn, joined))
    assert "does a JOIN find several rows for one?" in found["text"]
