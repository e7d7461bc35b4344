"""What a server says of itself, by what the role may see, and through PgBouncer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from support.faulty_servers import LOCALHOST
from support.polling import until
from support.postgres import Database
from support.replica import running_replica

from exporter.config.model import Target
from exporter.config.secrets import Secret
from exporter.connections import ServerFacts
from exporter.connections.check import Checker
from exporter.connections.facts import SizeBudget
from exporter.connections.resolve import Resolver
from exporter.connections.target import CheckTarget


async def facts_of(check: Any, **changes: Any) -> ServerFacts:
    result = await check(**changes)
    assert result.is_healthy, result
    facts: ServerFacts = result.facts
    return facts


async def test_monitor_role_sees_everything(check: Any, database: Database) -> None:
    with database.connect() as idle, database.connect() as open_transaction:
        open_transaction.execute("BEGIN; SELECT 1")
        started = time.time()
        facts = await facts_of(check)
        size = idle.execute("SELECT pg_database_size(current_database())").fetchone()
    assert facts.server_version is not None
    assert facts.server_version.startswith("18.")
    assert facts.role == "primary"
    assert facts.backends is not None
    active, idle_count, in_transaction, _other = facts.backends
    assert active >= 1  # the check itself
    assert idle_count >= 1
    assert in_transaction >= 1
    assert facts.backends_limit == 300 - 3  # max_connections, superuser_reserved_connections
    assert facts.oldest_transaction is not None
    assert started - 60 < facts.oldest_transaction <= started + 1
    assert size is not None
    assert facts.database_size == pytest.approx(size[0], rel=0.05)
    assert facts.replication_lag is None
    assert facts.deadlocks == 0
    assert facts.transaction_id_age is not None
    assert facts.transaction_id_age > 0


async def test_oldest_transaction_is_absent_or_a_prepared_one(check: Any, database: Database) -> None:
    assert (await facts_of(check)).oldest_transaction is None
    with database.connect() as session:
        session.execute("BEGIN; CREATE TABLE t (); PREPARE TRANSACTION 'forgotten'")
        try:
            oldest = (await facts_of(check)).oldest_transaction
        finally:
            session.execute("ROLLBACK PREPARED 'forgotten'")
    assert oldest == pytest.approx(time.time(), abs=30)


async def test_role_with_nothing(check: Any, roles: dict[str, str]) -> None:
    facts = await facts_of(check, user=roles["nobody"])
    assert facts.backends is None
    assert facts.oldest_transaction is None
    assert facts.role == "primary"
    assert facts.backends_limit == 297
    assert facts.deadlocks == 0
    assert facts.database_size is not None


@pytest.mark.parametrize(
    ("revoked", "absent"),
    [
        ("EXECUTE ON FUNCTION pg_database_size(name)", {"database_size"}),
        ("SELECT ON pg_stat_database", {"deadlocks", "transaction_id_age"}),
        ("SELECT ON pg_stat_activity", {"backends", "oldest_transaction"}),
        ("EXECUTE ON FUNCTION pg_last_xact_replay_timestamp()", {"replication_lag"}),
    ],
)
async def test_one_refused_fact_leaves_the_others(
    check: Any, database: Database, revoked: str, absent: set[str]
) -> None:
    with database.connect() as admin:
        admin.execute(f"REVOKE {revoked} FROM public")
        facts = await facts_of(check)
    for name in ("server_version", "backends", "database_size", "deadlocks", "transaction_id_age"):
        assert (getattr(facts, name) is None) == (name in absent), name


async def test_functions_of_the_same_name_are_not_called(check: Any, database: Database, roles: dict[str, str]) -> None:
    with database.connect() as admin:
        admin.execute("CREATE SCHEMA trap; GRANT USAGE ON SCHEMA trap TO public")
        admin.execute("CREATE FUNCTION trap.pg_is_in_recovery() RETURNS bool LANGUAGE sql RETURN true")
        admin.execute(f'ALTER ROLE "{roles["monitor"]}" SET search_path = trap, pg_catalog')
    assert (await facts_of(check)).role == "primary"


def test_the_size_is_asked_seldom_and_a_slow_one_more_seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [1000.0]
    monkeypatch.setattr("exporter.connections.facts.time.monotonic", lambda: clock[0])
    budget = SizeBudget()
    assert budget.due
    for size, took, pause in ((5, 0.001, 60), (7, 1.0, 100)):
        budget.learned(size, took)
        assert budget.last == size
        clock[0] += pause - 1
        assert not budget.due
        clock[0] += 1
        assert budget.due


async def test_through_pgbouncer(check: Any, make_pgbouncer: Any, database: Database, free_port: Any) -> None:
    with make_pgbouncer(default_pool_size="1") as bouncer:
        results = [await check(port=bouncer.port) for _ in range(3)]
        together = await asyncio.gather(*(check(port=bouncer.port) for _ in range(3)))
        refused = {
            "password": await check(port=bouncer.port, password=Secret("wrong")),
            "user": await check(port=bouncer.port, user="no_such_user"),
            "database": await check(port=bouncer.port, database="no_such_database"),
        }
        log = bouncer.log.read_text()
    for result in (*results, *together):
        assert result.is_healthy, result
        assert result.facts is not None
        assert result.facts.server_version.startswith("18.")
        assert result.facts.backends is not None
    assert {name: (r.result, r.failed_stage) for name, r in refused.items()} == {
        "password": ("auth", "auth"),
        "user": ("auth", "auth"),
        "database": ("other", "auth"),
    }
    assert "in transaction" not in log


async def test_pgbouncer_is_full(
    check: Any, make_pgbouncer: Any, database: Database, roles: Any, password: str
) -> None:
    with make_pgbouncer(max_client_conn="1") as bouncer:

        def connected() -> psycopg.Connection | None:
            """The one; who found out that the pooler is there may hold its place for a moment still."""
            try:
                return psycopg.connect(
                    host=LOCALHOST, port=bouncer.port, dbname=database.name, user=roles["monitor"], password=password
                )
            except psycopg.OperationalError:
                return None

        with until(connected, 60, "there is room again"):
            found = {mode: await check(port=bouncer.port, sslmode=mode) for mode in ("disable", "prefer", "require")}
        assert {mode: r.result for mode, r in found.items()} == {
            "disable": "too_many_connections",
            "prefer": "too_many_connections",
            "require": "tls",  # libpq throws away what is said before TLS is up
        }, found


async def test_no_server_behind_pgbouncer(
    check: Any, make_pgbouncer: Any, database: Database, roles: dict[str, str]
) -> None:
    with make_pgbouncer(query_wait_timeout="1") as bouncer:
        with database.connect() as admin:
            admin.execute(f'ALTER ROLE "{roles["monitor"]}" NOLOGIN')
            admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", [roles["monitor"]]
            )
        result = await check(port=bouncer.port, timeout=3)
    assert not result.is_healthy
    assert result.result in ("auth", "timeout"), result


@pytest.fixture
def replica(open_directory: Callable[[str], Path]) -> Iterator[tuple[Any, Target]]:
    """A primary of its own, and its streaming replica as a target."""
    with running_replica(open_directory("replica")) as (primary, port):
        yield (
            primary,
            Target(name="replica", host=LOCALHOST, port=port, user="postgres", password=Secret(primary.password)),
        )


async def test_replica(replica: tuple[Any, Target]) -> None:
    primary, target = replica
    checker = Checker(CheckTarget.from_config(target), Resolver())
    with psycopg.connect(primary.dsn(), autocommit=True) as session:
        session.execute("CREATE TABLE t (); CREATE TABLE u ()")
    for _ in range(600):
        result = await checker.check(30)
        if result.facts and result.facts.replication_lag == 0:
            break
        await asyncio.sleep(0.1)
    assert result.facts is not None, result
    assert result.facts.role == "replica"
    assert result.facts.replication_lag == 0
    assert result.facts.backends is not None

    primary.stop()
    await asyncio.sleep(0.3)
    lag = (await checker.check(30)).facts.replication_lag  # type: ignore[union-attr]
    assert lag is not None
    assert lag > 0.2, "a replica without a primary is not up to date"
