"""A connection that is kept: one backend, seen to be alive by each check, given up when it breaks or is due."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from connections.conftest import in_time
from support.faulty_servers import LOCALHOST, Server
from support.polling import until
from support.postgres import Database, running_server

from exporter.config.model import Connections, Duration, Target
from exporter.config.secrets import Secret
from exporter.connections.check import Checker
from exporter.connections.resolve import Resolver
from exporter.connections.results import CheckResult, ConnectionState
from exporter.connections.reuse import LARGE_STORE, keep_for
from exporter.connections.target import CheckTarget
from exporter.credentials import Credentials, CredentialSource

MakeChecker = Callable[..., Checker]


@pytest.fixture
async def make_checker(make_target: Any) -> AsyncIterator[MakeChecker]:
    """Makes checkers that keep their connections for ``keep`` seconds; closes them at the end."""
    made: list[Checker] = []

    def make(*, keep: float | None = 300, credentials: CredentialSource | None = None, **changes: Any) -> Checker:
        made.append(Checker(CheckTarget.from_config(make_target(**changes), credentials), Resolver(), keep=keep))
        return made[-1]

    yield make
    for checker in made:
        await checker.close()


def backends(database: Database) -> list[int]:
    """The processes of the checks' connections to this database."""
    query = "SELECT pid FROM pg_stat_activity WHERE application_name = 'scheduler-exporter' AND datname = %s"
    with database.connect() as admin:
        return [pid for (pid,) in admin.execute(query, [database.name])]


def end_backends(database: Database) -> None:
    """As somebody who ends idle connections."""
    with database.connect() as admin:
        admin.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE application_name = 'scheduler-exporter' AND datname = %s",
            [database.name],
        )


async def test_one_backend_and_no_login_for_many_checks(make_checker: MakeChecker, database: Database) -> None:
    checker = make_checker()
    first = await checker.check(30)
    kept = backends(database)
    assert len(kept) == 1
    later = [await checker.check(30) for _ in range(3)]
    assert backends(database) == kept
    assert list(first.stages) == ["tcp", "auth", "query"]
    for result in later:
        assert result.is_healthy, result
        assert list(result.stages) == ["query"], "stages that it did not go through are not shown as if they were fresh"
        assert result.response_seconds == pytest.approx(result.stages["query"])
        assert result.reused
        assert result.last_login == first.last_login
        assert result.facts is not None
        assert result.facts.backends is not None
    await checker.close()
    until(lambda: backends(database) == [], 60, "it is gone")


async def test_a_fresh_login_now_and_then_is_never_a_second_backend(
    make_checker: MakeChecker, database: Database, roles: dict[str, str]
) -> None:
    with database.connect() as admin:
        admin.execute(f'ALTER ROLE "{roles["monitor"]}" CONNECTION LIMIT 1')
    checker = make_checker(keep=0.05)
    logins = set()
    for _ in range(10):
        result = await checker.check(30)
        assert result.is_healthy, result
        logins.add(result.last_login)
        await asyncio.sleep(0.06)
    assert len(logins) == 10


async def test_who_asks_gets_a_fresh_login(make_checker: MakeChecker, database: Database) -> None:
    checker = make_checker()
    await checker.check(30)
    before = backends(database)
    asked = await checker.check(30, force=True)
    assert list(asked.stages) == ["tcp", "auth", "query"]
    until(lambda: len(backends(database)) == 1, 60, "the former one is gone")
    assert backends(database) != before


async def test_an_ended_connection_is_no_failure(make_checker: MakeChecker, database: Database) -> None:
    checker = make_checker()
    first = await checker.check(30)
    end_backends(database)
    result = await checker.check(30)
    assert result.is_healthy, result
    assert list(result.stages) == ["tcp", "auth", "query"]
    assert not result.reused
    assert result.response_seconds > sum(result.stages.values()), "what was tried in vain took time too"
    assert result.last_login != first.last_login
    until(lambda: len(backends(database)) == 1, 60, "there is one")


async def test_idle_session_timeout_is_no_failure(
    make_checker: MakeChecker, database: Database, roles: dict[str, str]
) -> None:
    with database.connect() as admin:
        admin.execute(f"ALTER ROLE \"{roles['monitor']}\" SET idle_session_timeout = '500ms'")
    checker = make_checker()
    for _ in range(2):
        assert (await checker.check(30)).is_healthy
        until(lambda: backends(database) == [], 60, "the server ends it")
    assert (await checker.check(30)).is_healthy


async def test_a_restarted_server_is_no_failure_and_a_stopped_one_is() -> None:
    with running_server() as server:
        target = Target(name="t", host=LOCALHOST, port=server.port, user="postgres", password=Secret(server.password))
        checker = Checker(CheckTarget.from_config(target), Resolver(), keep=300)
        try:
            assert (await checker.check(30)).is_healthy
            server.stop("fast")
            down = await checker.check(30)
            assert (down.result, down.failed_stage) == ("refused", "tcp")
            server.start()
            assert (await checker.check(30)).is_healthy
            server.stop("immediate")
            server.start()
            assert (await checker.check(30)).is_healthy
        finally:
            await checker.close()


async def test_other_credentials_are_logged_in_with_at_once(
    make_checker: MakeChecker, database: Database, roles: dict[str, str], password: str
) -> None:
    class Rotating:
        known = Credentials(roles["monitor"], Secret(password))

        async def current(self) -> Credentials:
            return self.known

        async def renewed(self, refused: Credentials) -> Credentials:
            return self.known

    source = Rotating()
    checker = make_checker(credentials=source)
    first = await checker.check(30)
    assert list((await checker.check(30)).stages) == ["vault", "query"]
    with database.connect() as admin:
        admin.execute(f"ALTER ROLE \"{roles['monitor']}\" PASSWORD 'rotated'")
    assert list((await checker.check(30)).stages) == ["vault", "query"], "who is logged in stays"
    source.known = Credentials(roles["monitor"], Secret("rotated"))
    second = await checker.check(30)
    assert second.is_healthy, second
    assert list(second.stages) == ["vault", "tcp", "auth", "query"]
    assert second.last_login != first.last_login
    source.known = Credentials(roles["monitor"], Secret("wrong"))
    refused = await checker.check(30)
    assert (refused.result, refused.failed_stage) == ("auth", "auth")
    until(lambda: backends(database) == [], 60, "it is gone")


async def test_a_statement_that_takes_too_long_is_a_failure(make_checker: MakeChecker, database: Database) -> None:
    checker = make_checker()

    async def blocked(timeout: float) -> CheckResult:
        assert (await checker.check(30)).is_healthy
        with database.connect() as blocker:
            blocker.execute("BEGIN; LOCK TABLE pg_catalog.pg_stat_wal_receiver IN ACCESS EXCLUSIVE MODE")
            return await checker.check(timeout)

    result, _ = await in_time(blocked, lambda found: found.sqlstate == "57014", 0.5)
    assert (result.result, result.failed_stage, result.sqlstate) == ("timeout", "query", "57014")
    assert result.reused
    assert (await checker.check(30)).is_healthy


async def test_a_peer_that_vanished_is_found_out_in_time_for_a_login(
    make_checker: MakeChecker, database: Database
) -> None:
    """A host without power cannot be made here: that the kernel was told for how long to wait is what is seen."""
    checker = make_checker()
    assert (await checker.check(30)).is_healthy
    session = checker._session
    assert session is not None
    with socket.socket(fileno=os.dup(session.pgconn.socket)) as shared:
        option = shared.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
    assert option == 15_000


async def test_through_pgbouncer_in_transaction_mode(
    make_checker: MakeChecker, make_pgbouncer: Any, database: Database
) -> None:
    with make_pgbouncer(default_pool_size="1", server_check_query="", server_lifetime="3600") as bouncer:
        checkers = [make_checker(port=bouncer.port) for _ in range(4)]
        for _ in range(3):
            results = await asyncio.gather(*(checker.check(30) for checker in checkers))
            assert [r.result for r in results] == ["ok"] * 4, results
        assert {tuple(r.stages) for r in results} == {("query",)}
        end_backends(database)
        with database.connect() as admin:  # the pooler's own, which has another application name by now
            admin.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
                " AND datname = %s AND backend_type = 'client backend'",
                [database.name],
            )
        results = [await checker.check(30) for checker in checkers]
        assert [r.result for r in results] == ["ok"] * 4, results


async def test_over_tls(make_checker: MakeChecker, tls_server: Server) -> None:
    checker = make_checker(
        port=tls_server.port, database="postgres", user="postgres", password=Secret("secret"), sslmode="require"
    )
    first, second = await checker.check(30), await checker.check(30)
    assert list(first.stages) == ["tcp", "tls", "auth", "query"]
    assert list(second.stages) == ["query"]
    assert second.tls_expiry == first.tls_expiry is not None


async def test_nothing_is_left_after_cancellation(make_checker: MakeChecker, database: Database) -> None:
    before = len(os.listdir("/proc/self/fd"))
    checker = make_checker()
    await checker.check(30)
    with database.connect() as blocker:
        blocker.execute("BEGIN; LOCK TABLE pg_catalog.pg_stat_wal_receiver IN ACCESS EXCLUSIVE MODE")
        task = asyncio.create_task(checker.check(30))
        await asyncio.sleep(0.2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert len(os.listdir("/proc/self/fd")) == before


def test_what_is_shown_of_stages() -> None:
    """The login's stages stay with the connection that it made; a failure shows where it came to its end."""

    def checked(reused: bool, **stages: float) -> CheckResult:
        return CheckResult(result="ok", finished_at=1, response_seconds=1, stages=stages, reused=reused)  # type: ignore[arg-type]

    state = ConnectionState(id=1, name="t", host="h", port=1, database="d")
    shown = []
    for result in (
        checked(False, vault=1, dns=1, tcp=1, auth=1, query=1),
        checked(True, vault=2, query=2),
        checked(True, query=3),
        checked(False, tcp=4),
        checked(False, tcp=5, tls=5, auth=5, query=5),
        checked(True, query=6),
    ):
        state = state.after(result)
        shown.append("".join(f"{stage[0:2]}{seconds}" for stage, seconds in state.stages.items()))
    assert shown == [
        "va1dn1tc1au1qu1",
        "dn1tc1au1va2qu2",
        "dn1tc1au1qu3",
        "tc4",
        "tc5tl5au5qu5",
        "tc5tl5au5qu6",
    ]


def test_what_auto_means(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    small, large = tmp_path / "small.pem", tmp_path / "large.pem"
    small.write_bytes(b"x" * LARGE_STORE)
    large.write_bytes(b"x" * (LARGE_STORE + 1))

    def kept(reuse: Any = "auto", interval: float = 15, **target: Any) -> float | None:
        connections = Connections(reuse=reuse, interval=Duration(interval), login_interval=Duration(77))
        return keep_for(Target(name="t", host="h", **target), connections)

    assert kept() == kept(sslrootcert=str(small)) == kept(sslrootcert=str(tmp_path / "none")) == 77
    assert kept(interval=60) is None
    assert kept(sslrootcert=str(large)) is kept(sslrootcert="system") is None
    assert kept(sslrootcert=str(large), sslmode="disable") == 77
    assert kept("always", interval=60, sslrootcert="system") == 77
    assert kept("never") is None
    one = Connections(reuse="never", login_interval=Duration(77))
    assert keep_for(Target(name="t", host="h", reuse="always"), one) == 77
    home = tmp_path / ".postgresql"
    home.mkdir()
    (home / "root.crt").write_bytes(large.read_bytes())
    assert kept() is None
