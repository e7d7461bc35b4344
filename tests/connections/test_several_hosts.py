"""Several hosts, tried as libpq tries them, and the one that is wanted among them."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from connections.conftest import in_time
from support.faulty_servers import LOCALHOST
from support.postgres import Database
from support.replica import running_replica

from exporter.config.secrets import Secret
from exporter.connections.check import Checker
from exporter.connections.resolve import Resolver
from exporter.connections.target import CheckTarget

PRIMARY, STANDBY = LOCALHOST, "127.0.0.2"


@pytest.fixture(scope="module")
def pair(open_directory: Callable[[str], Path]) -> Iterator[dict[str, Any]]:
    """A primary and its standby, as what a target is made with: hosts, ports, user, password."""
    with running_replica(open_directory("pair")) as (primary, port):
        yield {
            "primary": primary.port,
            "standby": port,
            "login": {"database": "postgres", "user": "postgres", "password": Secret(primary.password)},
            "server": primary,
        }


@pytest.mark.parametrize(
    ("attrs", "order", "role"),
    [
        ("any", "standby,primary", "replica"),
        ("read-write", "standby,primary", "primary"),
        ("primary", "standby,primary", "primary"),
        ("read-only", "primary,standby", "replica"),
        ("standby", "primary,standby", "replica"),
        ("prefer-standby", "primary,standby", "replica"),
        ("prefer-standby", "primary,primary", "primary"),
    ],
)
async def test_the_first_that_is_wanted(check: Any, pair: Any, attrs: str, order: str, role: str) -> None:
    ports = ",".join(str(pair[name]) for name in order.split(","))
    result = await check(host=f"{LOCALHOST},{LOCALHOST}", port=ports, target_session_attrs=attrs, **pair["login"])
    assert result.is_healthy, result
    assert result.facts.role == role


@pytest.mark.parametrize(
    ("attrs", "name", "text"),
    [
        ("primary", "standby", "server is in hot standby mode"),
        ("read-write", "standby", "session is read-only"),
        ("standby", "primary", "server is not in hot standby mode"),
        ("read-only", "primary", "session is not read-only"),
    ],
)
async def test_none_is_wanted(check: Any, pair: Any, attrs: str, name: str, text: str) -> None:
    result = await check(port=pair[name], target_session_attrs=attrs, **pair["login"])
    assert (result.result, result.failed_stage) == ("other", "auth")
    assert text in result.error_message


async def test_what_is_told_is_more_than_a_role_not_wanted(check: Any, pair: Any, free_port: Any) -> None:
    """The primary is down: that the standby is one is no news."""
    ports = f"{free_port()},{pair['standby']}"
    result = await check(host="127.0.0.1,localhost", port=ports, target_session_attrs="primary", **pair["login"])
    assert (result.result, result.failed_stage) == ("refused", "tcp")
    assert "refused" in result.error_message
    assert "localhost: connection to server" in result.error_message


async def test_the_next_host_after_one_without_a_name_an_address_or_an_answer(
    check: Any, database: Database, silent_port: int, free_port: Any
) -> None:
    ports = f"5432,{free_port()},{silent_port},{database.server.port}"
    hosts = f"name.invalid,{LOCALHOST},{LOCALHOST},{LOCALHOST}"
    result, _ = await in_time(
        lambda timeout: check(host=hosts, port=ports, timeout=timeout), lambda found: found.is_healthy, 1.2
    )
    assert result.is_healthy, result
    assert result.stages["auth"] > 0.2  # the silent one had its share of the time


async def test_a_refused_login_is_the_last_word(check: Any, database: Database) -> None:
    before = database.server.log.read_text().count("password authentication failed")
    result = await check(host=f"{LOCALHOST},{LOCALHOST}", port=database.server.port, password=Secret("wrong"))
    assert (result.result, result.failed_stage) == ("auth", "auth")
    assert database.server.log.read_text().count("password authentication failed") == before + 1


async def test_all_are_down(check: Any, black_hole_port: int, free_port: Any) -> None:
    ports = f"1,{free_port()},{black_hole_port}"
    result, _ = await in_time(
        lambda timeout: check(host="a.invalid,127.0.0.1,127.0.0.1", port=ports, timeout=timeout),
        lambda found: found.failed_stage == "tcp",
        0.6,
    )
    assert (result.result, result.failed_stage) == ("timeout", "tcp")
    first = await check(host="127.0.0.1,a.invalid", port=free_port())
    assert (first.result, first.failed_stage) == ("dns", "dns")
    assert "refused" in first.error_message
    assert "a.invalid: " in first.error_message


async def test_a_socket_among_hosts(check: Any, database: Database, tmp_path: Path) -> None:
    assert (await check(host=f"{tmp_path},{LOCALHOST}")).is_healthy
    with socket.create_server((LOCALHOST, 0)):
        assert (await check(host=f"{LOCALHOST},{tmp_path}")).is_healthy


async def test_a_standby_that_is_promoted_is_left(make_target: Any, open_directory: Callable[[str], Path]) -> None:
    """A kept connection does not hold on to a server that has become what was not wanted."""
    with running_replica(open_directory("promoted")) as (primary, port):
        login = {"database": "postgres", "user": "postgres", "password": Secret(primary.password)}
        ports = f"{port},{primary.port}"
        target = make_target(host=f"{LOCALHOST},{LOCALHOST}", port=ports, target_session_attrs="standby", **login)
        checker = Checker(CheckTarget.from_config(target), Resolver(), keep=300)
        try:
            first = await checker.check(30)
            assert first.is_healthy, first
            assert first.facts.role == "replica"  # type: ignore[union-attr]
            with psycopg.connect(primary.dsn().replace(str(primary.port), str(port)), autocommit=True) as session:
                session.execute("SELECT pg_promote()")
            second = await checker.check(30)
            assert (second.result, second.failed_stage) == ("other", "auth"), second
            assert "not in hot standby mode" in second.error_message
        finally:
            await checker.close()
