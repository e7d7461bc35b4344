"""Targets for the checks: a role that may see what pg_monitor sees, and servers that fail in every way."""

from __future__ import annotations

import shutil
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from support import faulty_servers
from support.faulty_servers import LOCALHOST, Server
from support.postgres import Database

from exporter.config.model import Target
from exporter.config.secrets import Secret
from exporter.connections.check import Checker
from exporter.connections.resolve import Resolver
from exporter.connections.results import CheckResult
from exporter.connections.target import CheckTarget

#: What must never be seen anywhere: the password of every role here.
PASSWORD = "s3ntinel-p'ass \\word"

MakeTarget = Callable[..., Target]
Check = Callable[..., Awaitable[CheckResult]]


@pytest.fixture
def password() -> str:
    return PASSWORD


@pytest.fixture
def roles(database: Database) -> Iterator[dict[str, str]]:
    """Roles by what they may do: monitor (pg_monitor), nobody (nothing)."""
    names = {kind: f"{kind}_{database.name}" for kind in ("monitor", "nobody")}
    literal = PASSWORD.replace("'", "''")
    with database.connect() as admin:
        for name in names.values():
            admin.execute(f"CREATE ROLE \"{name}\" LOGIN PASSWORD '{literal}'")
        admin.execute(f'GRANT pg_monitor TO "{names["monitor"]}"')
    yield names
    with database.connect() as admin:
        for name in names.values():
            admin.execute(f'DROP OWNED BY "{name}"')
            admin.execute(f'DROP ROLE "{name}"')


@pytest.fixture
def make_target(database: Database, roles: dict[str, str]) -> MakeTarget:
    """Makes a target: the database, seen by the monitor role, but for what is given."""

    def make(**changes: Any) -> Target:
        values = {
            "name": "target",
            "host": LOCALHOST,
            "port": database.server.port,
            "database": database.name,
            "user": roles["monitor"],
            "password": Secret(PASSWORD),
            "sslmode": "disable",
        }
        return Target(**{**values, **changes})

    return make


@pytest.fixture
def check(make_target: MakeTarget) -> Check:
    """Checks a target once: ``await check(port=..., timeout=...)``."""

    async def check_once(*, timeout: float = 30.0, resolver: Resolver | None = None, **changes: Any) -> CheckResult:
        target = CheckTarget.from_config(make_target(**changes))
        return await Checker(target, resolver or Resolver()).check(timeout)

    return check_once


async def in_time(
    ask: Callable[[float], Awaitable[CheckResult]], right: Callable[[CheckResult], object], shortest: float
) -> tuple[CheckResult, float]:
    """A right result and its timeout: the shortest, or a longer one where the machine was too slow for what precedes.

    What is wrong with the longest one too is returned as it is.
    """
    for timeout in (shortest, 10 * shortest, 60 * shortest):
        result = await ask(timeout)
        if right(result):
            break
    return result, timeout


@pytest.fixture
def silent_port() -> Iterator[int]:
    """Takes connections, never answers."""
    with faulty_servers.swallows_everything() as port:
        yield port


@pytest.fixture
def black_hole_port() -> Iterator[int]:
    """Swallows packets."""
    with faulty_servers.swallows_packets() as port:
        yield port


@pytest.fixture
def rude_port() -> Iterator[int]:
    """Takes connections and hangs up."""
    with faulty_servers.hangs_up() as port:
        yield port


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="session")
def tls_server(authority: trustme.CA, open_directory: Callable[[str], Path]) -> Iterator[Server]:
    """A PostgreSQL with TLS, whose certificate is for localhost."""
    if not list(Path("/usr/lib/postgresql").glob("*/bin/postgres")):
        pytest.skip("needs Debian's PostgreSQL, which has TLS")
    certificate = authority.issue_cert("localhost")
    files = {
        "server.crt": certificate.cert_chain_pems[0].bytes(),
        "server.key": certificate.private_key_pem.bytes(),
    }
    with faulty_servers.debian_postgres(open_directory("tls"), files, {"ssl": "on"}) as server:
        yield server


@pytest.fixture
def make_pgbouncer(
    database: Database, roles: dict[str, str], open_directory: Callable[[str], Path]
) -> Callable[..., Any]:
    """Makes a PgBouncer (a context manager) before the database, for the monitor role."""
    if not shutil.which("pgbouncer", path="/usr/sbin:/usr/bin:/usr/local/bin"):
        pytest.skip("needs PgBouncer")

    def make(**settings: str) -> Any:
        return faulty_servers.pgbouncer(
            open_directory("bouncer"), database.server.port, database.name, roles["monitor"], PASSWORD, **settings
        )

    return make
