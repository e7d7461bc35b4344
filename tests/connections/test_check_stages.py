"""Each way to fail shows its own stage and result, against real servers."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import trustme
from connections.conftest import in_time
from support import faulty_servers
from support.faulty_servers import LOCALHOST, Server
from support.polling import until
from support.postgres import Database

from exporter.config.secrets import Secret
from exporter.connections.check import Checker
from exporter.connections.resolve import Resolver
from exporter.connections.target import CheckTarget


def outcome(result: Any) -> tuple[Any, ...]:
    return result.result, result.failed_stage


async def test_healthy(check: Any) -> None:
    before = time.time()
    result = await check()
    assert outcome(result) == ("ok", None), result
    assert result.is_healthy
    assert result.error_message is None
    assert list(result.stages) == ["tcp", "auth", "query"]
    assert result.response_seconds == pytest.approx(sum(result.stages.values()))
    assert before <= result.finished_at <= time.time()


async def test_name_is_looked_up(check: Any) -> None:
    result = await check(host="localhost")
    assert result.is_healthy, result
    assert list(result.stages) == ["dns", "tcp", "auth", "query"]


async def test_wrong_password(check: Any) -> None:
    result = await check(password=Secret("wrong"))
    assert outcome(result) == ("auth", "auth")
    assert result.sqlstate == "28P01"
    assert "password authentication failed" in result.error_message
    assert "28P01" not in result.error_message
    assert "\n" not in result.error_message
    assert result.facts is None


async def test_no_password(check: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, password: str) -> None:
    monkeypatch.setenv("PGPASSWORD", password)  # right, but meant for somebody else
    monkeypatch.setenv("PGPASSFILE", str(tmp_path / "none"))
    assert outcome(await check(password=None)) == ("auth", "auth")


async def test_password_file(
    check: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, roles: dict[str, str], password: str
) -> None:
    escaped = password.replace("\\", "\\\\")
    (tmp_path / "pgpass").write_text(f"{LOCALHOST}:*:*:{roles['monitor']}:{escaped}\n")
    (tmp_path / "pgpass").chmod(0o600)
    monkeypatch.setenv("PGPASSFILE", str(tmp_path / "pgpass"))
    assert outcome(await check(password=None)) == ("ok", None)


async def test_environment_does_not_reach_targets(check: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "PGHOST": "name.invalid",
        "PGHOSTADDR": "127.0.0.2",
        "PGPORT": "1",
        "PGDATABASE": "nope",
        "PGUSER": "nope",
        "PGSSLMODE": "verify-full",
        "PGOPTIONS": "-c default_transaction_isolation=nonsense",
    }.items():
        monkeypatch.setenv(name, value)
    assert outcome(await check()) == ("ok", None)


async def test_no_such_role(check: Any) -> None:
    assert outcome(await check(user="no_such_role")) == ("auth", "auth")


async def test_no_such_database(check: Any) -> None:
    result = await check(database="no_such_database")
    assert outcome(result) == ("other", "auth")
    assert result.sqlstate == "3D000"


async def test_refused(check: Any, free_port: Callable[[], int]) -> None:
    result = await check(port=free_port())
    assert outcome(result) == ("refused", "tcp")
    assert list(result.stages) == ["tcp"]
    assert "refused" in result.error_message


async def test_socket_that_is_not_there(check: Any, tmp_path: Path) -> None:
    assert outcome(await check(host=str(tmp_path))) == ("refused", "tcp")


async def test_packets_swallowed(check: Any, black_hole_port: int) -> None:
    result = await check(port=black_hole_port, timeout=0.3)
    assert outcome(result) == ("timeout", "tcp")
    assert 0.29 <= result.response_seconds < 30, "long before the kernel gives up"
    assert result.error_message == "no answer within 0.3 s"


@pytest.mark.parametrize(("sslmode", "stage"), [("disable", "auth"), ("prefer", "tls"), ("require", "tls")])
async def test_never_answers(check: Any, silent_port: int, sslmode: str, stage: str) -> None:
    expected = ("timeout", stage)
    result, _ = await in_time(
        lambda timeout: check(port=silent_port, sslmode=sslmode, timeout=timeout),
        lambda found: outcome(found) == expected,
        0.3,
    )
    assert outcome(result) == expected


@pytest.mark.parametrize(("sslmode", "expected"), [("disable", ("other", "auth")), ("require", ("tls", "tls"))])
async def test_hangs_up(check: Any, rude_port: int, sslmode: str, expected: tuple[str, str]) -> None:
    assert outcome(await check(port=rude_port, sslmode=sslmode)) == expected


@pytest.mark.parametrize("host", ["name.invalid", "a..b", "x" * 80])
async def test_no_such_name(check: Any, host: str) -> None:
    result = await check(host=host)
    assert outcome(result) == ("dns", "dns")
    assert list(result.stages) == ["dns"]


async def test_resolver_that_hangs(check: Any) -> None:
    released = threading.Event()

    def lookup(_host: str) -> tuple[str, ...]:
        released.wait(60)
        return (LOCALHOST,)

    try:
        result = await check(host="slow.example", resolver=Resolver(lookup), timeout=0.2)
    finally:
        released.set()  # the lookup ends when it ends
    assert outcome(result) == ("timeout", "dns")


async def test_next_address_after_a_refused_one(check: Any) -> None:
    result = await check(host="db.example", resolver=Resolver(lambda _host: ("127.0.0.2", "::1", LOCALHOST)))
    assert result.is_healthy, result


async def test_next_address_after_a_dead_one(check: Any, black_hole_port: int) -> None:
    with socket.create_server(("127.0.0.2", black_hole_port)):
        resolver = Resolver(lambda _host: (LOCALHOST, "127.0.0.2"))
        result, timeout = await in_time(
            lambda timeout: check(
                host="db.example", port=black_hole_port, resolver=resolver, timeout=timeout, sslmode="disable"
            ),
            lambda found: outcome(found) == ("timeout", "auth"),
            0.6,
        )
    assert outcome(result) == ("timeout", "auth")  # the second one took the connection
    assert timeout / 4 < result.stages["tcp"] < timeout, "the first one had its share of the time"


async def test_login_is_asked_of_one_address_only(check: Any) -> None:
    asked = Resolver(lambda _host: (LOCALHOST, "127.0.0.2"))
    result = await check(host="db.example", resolver=asked, password=Secret("wrong"))
    assert outcome(result) == ("auth", "auth")


async def test_too_many_connections(check: Any, database: Database, roles: dict[str, str], password: str) -> None:
    with database.connect() as admin:
        admin.execute(f'ALTER ROLE "{roles["monitor"]}" CONNECTION LIMIT 1')
    with psycopg.connect(database.dsn_as(roles["monitor"], password)):
        result = await check()
    assert outcome(result) == ("too_many_connections", "auth")
    assert result.sqlstate == "53300"


async def test_statement_timeout(check: Any, database: Database) -> None:
    """The server ends a statement that takes too long: no backend of ours stays behind, waiting for a lock."""
    with database.connect() as blocker:
        blocker.execute("BEGIN; LOCK TABLE pg_catalog.pg_stat_wal_receiver IN ACCESS EXCLUSIVE MODE")
        expected = ("timeout", "query", "57014")
        result, _ = await in_time(
            lambda timeout: check(timeout=timeout), lambda found: (*outcome(found), found.sqlstate) == expected, 0.5
        )
        assert (*outcome(result), result.sqlstate) == expected
        assert result.facts is None
        blocker.execute("ROLLBACK")


async def test_server_speaks_no_tls(check: Any) -> None:
    result = await check(sslmode="require")
    assert outcome(result) == ("tls", "tls")
    assert "SSL" in result.error_message


async def test_verified(check: Any, tls_server: Server, authority: trustme.CA, tmp_path: Path) -> None:
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    values = {"port": tls_server.port, "database": "postgres", "user": "postgres", "password": Secret("secret")}
    verified = {**values, "sslmode": "verify-full", "sslrootcert": str(tmp_path / "ca.pem")}
    result = await check(**verified, host="localhost")
    assert outcome(result) == ("ok", None), result
    assert list(result.stages) == ["dns", "tcp", "tls", "auth", "query"]
    assert result.tls_expiry is not None
    assert result.facts.backends_limit == 97  # before PostgreSQL 16 nothing else is reserved
    assert result.facts.backends is not None

    wrong_name = await check(**verified)
    assert outcome(wrong_name) == ("tls", "tls")
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    wrong_authority = await check(**verified, host="localhost")
    assert outcome(wrong_authority) == ("tls", "tls")
    assert "certificate verify failed" in wrong_authority.error_message
    assert wrong_authority.tls_expiry == result.tls_expiry  # known although refused

    no_file = await check(**{**verified, "sslrootcert": str(tmp_path / "none.pem")}, host="localhost")
    assert outcome(no_file) == ("tls", "tls")
    wrong_password = await check(**{**verified, "sslmode": "require", "sslrootcert": None, "password": Secret("x")})
    assert outcome(wrong_password) == ("auth", "auth")


async def test_tls_preferred(check: Any, tls_server: Server) -> None:
    values = {"port": tls_server.port, "database": "postgres", "user": "postgres", "sslmode": "prefer"}
    result = await check(**values, password=Secret("secret"))
    assert result.is_healthy
    assert "tls" in result.stages
    # libpq tries again without TLS here, and the login is what fails both times
    assert outcome(await check(**values, password=Secret("wrong"))) == ("auth", "auth")


@pytest.mark.parametrize("name", ["database", "user", "password", "sslkey"])
async def test_nul_character_does_not_reach_c(check: Any, name: str) -> None:
    value: Any = "a\0b"
    result = await check(**{name: Secret(value) if name == "password" else value})
    assert result.result == "other"
    assert "NUL" in result.error_message


async def test_no_descriptor_and_no_session_is_left(
    make_target: Any, database: Database, silent_port: int, free_port: Callable[[], int], tls_server: Server
) -> None:
    targets = [
        make_target(port=silent_port, sslmode="prefer"),
        make_target(port=free_port()),
        make_target(password=Secret("wrong")),
        make_target(host="name.invalid"),
        make_target(port=tls_server.port, sslmode="require"),
        make_target(),
    ]
    checkers = [Checker(CheckTarget.from_config(target), Resolver()) for target in targets]
    await asyncio.gather(*(checker.check(0.2) for checker in checkers))
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(35):
        await asyncio.gather(*(checker.check(0.05) for checker in checkers))
    # A lookup that was given up, and a session whose server is slow, take a moment more.
    await asyncio.to_thread(until, lambda: len(os.listdir("/proc/self/fd")) <= before, 60, "no descriptor is left")
    query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'scheduler-exporter' AND datname = %s"
    with database.connect() as admin:
        until(lambda: admin.execute(query, [database.name]).fetchone() == (0,), 60, "no session is left")


async def test_cancelled_check_leaves_nothing(make_target: Any, silent_port: int) -> None:
    checker = Checker(CheckTarget.from_config(make_target(port=silent_port)), Resolver())
    before = len(os.listdir("/proc/self/fd"))
    task = asyncio.create_task(checker.check(60))
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(os.listdir("/proc/self/fd")) == before


async def test_tls_modes(
    check: Any, tls_server: Server, authority: trustme.CA, tmp_path: Path, monkeypatch: Any
) -> None:
    """As libpq's, from none at all to the name on the certificate; the system's authorities too."""
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "other.pem"))
    monkeypatch.setenv("HOME", str(tmp_path))
    values = {"port": tls_server.port, "database": "postgres", "user": "postgres", "password": Secret("secret")}
    good, other = str(tmp_path / "ca.pem"), str(tmp_path / "other.pem")
    expected = {
        ("disable", LOCALHOST, None): ("ok", False),
        ("allow", LOCALHOST, None): ("ok", False),
        ("prefer", LOCALHOST, None): ("ok", True),
        ("require", LOCALHOST, None): ("ok", True),
        ("require", LOCALHOST, other): ("tls", True),  # libpq verifies where it has authorities to verify with
        ("verify-ca", LOCALHOST, good): ("ok", True),
        ("verify-ca", LOCALHOST, other): ("tls", True),
        ("verify-ca", LOCALHOST, None): ("tls", True),  # no authorities
        ("verify-full", "localhost", good): ("ok", True),
        ("verify-full", LOCALHOST, good): ("tls", True),
    }
    found = {}
    for mode, host, ca in expected:
        result = await check(**values, host=host, sslmode=mode, sslrootcert=ca)
        found[mode, host, ca] = result.result, "tls" in result.stages
    assert found == expected
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("exporter.connections.target.SYSTEM_AUTHORITIES", ("/none", good))
    by_place = await check(**values, host="localhost", sslmode="verify-full", sslrootcert="system")
    assert outcome(by_place) == ("ok", None), by_place
    monkeypatch.setattr("exporter.connections.target.SYSTEM_AUTHORITIES", (other,))
    monkeypatch.setenv("SSL_CERT_FILE", good)
    trusted = await check(**values, host="localhost", sslmode="verify-full", sslrootcert="system")
    assert outcome(trusted) == ("ok", None), trusted
    monkeypatch.setenv("SSL_CERT_FILE", other)
    assert outcome(await check(**values, host="localhost", sslmode="verify-full", sslrootcert="system")) == (
        "tls",
        "tls",
    )


@pytest.fixture
def certificate_server(authority: trustme.CA, open_directory: Callable[[str], Path]) -> Iterator[Server]:
    """Takes whoever has a certificate of the authority in the role's name, and no password."""
    own = authority.issue_cert("localhost")
    files = {
        "server.crt": own.cert_chain_pems[0].bytes(),
        "server.key": own.private_key_pem.bytes(),
        "ca.crt": authority.cert_pem.bytes(),
        "pg_hba.conf": b"hostssl all certified all cert\nhost all all all scram-sha-256\n",
    }
    settings = {"ssl": "on", "ssl_ca_file": "ca.crt"}
    with faulty_servers.debian_postgres(open_directory("certificates"), files, settings) as server:
        with psycopg.connect(
            host=LOCALHOST, port=server.port, user="postgres", password="secret", dbname="postgres", autocommit=True
        ) as admin:
            admin.execute("CREATE ROLE certified LOGIN")
        yield server


async def test_certificate_and_key(
    check: Any, certificate_server: Server, authority: trustme.CA, tmp_path: Path
) -> None:
    def issued(name: str, by: trustme.CA) -> dict[str, str]:
        made = by.issue_cert(common_name=name)
        made.cert_chain_pems[0].write_to_path(str(tmp_path / f"{name}.crt"))
        made.private_key_pem.write_to_path(str(tmp_path / f"{name}.key"))
        (tmp_path / f"{name}.key").chmod(0o600)
        return {"sslcert": str(tmp_path / f"{name}.crt"), "sslkey": str(tmp_path / f"{name}.key")}

    values = {"port": certificate_server.port, "database": "postgres", "user": "certified", "password": None}
    found = [
        await check(**values, sslmode="require", **issued("certified", authority)),
        await check(**values, sslmode="require", **issued("somebody", authority)),
        await check(**values, sslmode="require"),
        await check(**values, sslmode="require", **issued("certified", trustme.CA())),
    ]
    assert [outcome(result) for result in found] == [
        ("ok", None),
        ("auth", "auth"),
        ("auth", "auth"),
        ("tls", "auth"),  # with TLS 1.3 the server looks at it once the client is done with the handshake
    ], found
