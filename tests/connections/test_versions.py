"""PostgreSQL 14 to 18: facts for a role with pg_monitor and nothing else, kept and opened anew."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from support.faulty_servers import LOCALHOST
from support.versions import VERSIONS, binaries

from exporter.config.model import Target
from exporter.config.secrets import Secret
from exporter.connections.check import Checker
from exporter.connections.facts import hidden
from exporter.connections.resolve import Resolver
from exporter.connections.target import CheckTarget
from exporter.demo.postgres import PostgresServer

#: The wheel with 16 has none for a newer Python.
INSTALLABLE = [version for version in VERSIONS if version != 16 or sys.version_info < (3, 13)]


@pytest.fixture(scope="module", params=INSTALLABLE)
def server(request: pytest.FixtureRequest, open_directory: Callable[[str], Path]) -> Iterator[PostgresServer]:
    version: int = request.param
    directory = open_directory(f"postgresql-{version}")
    directory.chmod(0o711)
    found = binaries(version, directory)
    if found is None:
        pytest.skip(f"needs PostgreSQL {version}: make postgres, or Debian's postgresql-15")
    server = PostgresServer(directory / "server", binaries=found, settings={"max_connections": 20})
    server.start()
    try:
        with psycopg.connect(server.dsn(), autocommit=True) as admin:
            admin.execute("CREATE ROLE monitor LOGIN PASSWORD 'pw' IN ROLE pg_monitor")
            admin.execute("CREATE ROLE nobody LOGIN PASSWORD 'pw'")
            assert admin.info.server_version // 10000 == version
        yield server
    finally:
        server.stop("immediate")


@pytest.mark.parametrize("keep", [None, 300.0])
async def test_facts(server: PostgresServer, keep: float | None) -> None:
    target = Target(name="t", host=LOCALHOST, port=server.port, user="monitor", password=Secret("pw"))
    checker = Checker(CheckTarget.from_config(target), Resolver(), keep=keep)
    try:
        for _ in range(2):
            with psycopg.connect(server.dsn()) as other:
                other.execute("SELECT 1")
                result = await checker.check(30)
            assert result.is_healthy, result
            facts = result.facts
            assert facts is not None
            with psycopg.connect(server.dsn()) as admin:
                number = admin.info.server_version
            assert facts.server_version == f"{number // 10000}.{number % 10000}"
            assert facts.role == "primary"
            assert facts.backends is not None
            assert facts.backends[2] >= 1, "idle in transaction"
            assert facts.backends_limit == 17  # less superuser_reserved_connections; none are reserved_connections
            assert facts.oldest_transaction is not None
            assert facts.database_size
            assert facts.deadlocks == 0
            assert facts.transaction_id_age
            assert hidden(facts) == ()
    finally:
        await checker.close()


async def test_what_a_role_without_pg_monitor_may_not_see(server: PostgresServer) -> None:
    target = Target(name="t", host=LOCALHOST, port=server.port, user="nobody", password=Secret("pw"))
    result = await Checker(CheckTarget.from_config(target), Resolver()).check(30)
    assert result.is_healthy, result
    assert result.facts is not None
    assert hidden(result.facts) == ("backends",)


async def test_target_session_attrs(server: PostgresServer) -> None:
    for attrs, expected in (("read-write", "ok"), ("primary", "ok"), ("standby", "other"), ("read-only", "other")):
        target = Target(
            name="t", host=LOCALHOST, port=server.port, user="monitor", password=Secret("pw"),
            target_session_attrs=attrs,  # type: ignore[arg-type]
        )  # fmt: skip
        result = await Checker(CheckTarget.from_config(target), Resolver()).check(30)
        assert result.result == expected, (attrs, result)
