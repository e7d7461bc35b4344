"""A login that is refused: asked for anew once, tried once more, then left alone. The server's log counts them."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from support.postgres import Database

from exporter.config.secrets import Secret
from exporter.connections.check import Checker
from exporter.connections.resolve import Resolver
from exporter.connections.target import CheckTarget
from exporter.credentials import FIRST_PAUSE, Credentials


class Vault:
    """Knows the credentials that ``origin`` had when it was asked last."""

    def __init__(self, user: str, password: str) -> None:
        self.user = user
        self.origin = self.known = password
        self.asked = 0

    async def current(self) -> Credentials:
        return Credentials(self.user, Secret(self.known))

    async def renewed(self, refused: Credentials) -> Credentials:
        self.asked += 1
        self.known = self.origin
        return await self.current()


@pytest.fixture
def refusals(database: Database, roles: dict[str, str]) -> Callable[[], int]:
    """Counts the failed logins of the monitor role in the server's log."""
    log: Path = database.server.log

    def count() -> int:
        return log.read_text().count(f'password authentication failed for user "{roles["monitor"]}"')

    return count


@pytest.fixture
def set_password(database: Database, roles: dict[str, str]) -> Callable[[str], None]:
    def change(password: str) -> None:
        with database.connect() as admin:
            admin.execute(f"ALTER ROLE \"{roles['monitor']}\" PASSWORD '{password}'")

    return change


@pytest.mark.parametrize("keep", [None, 300.0])
async def test_a_rotation_costs_one_failed_login_at_most(
    make_target: Any, roles: Any, password: str, refusals: Any, set_password: Any, keep: float | None
) -> None:
    vault = Vault(roles["monitor"], password)
    checker = Checker(CheckTarget.from_config(make_target(), vault), Resolver(), keep=keep)
    assert (await checker.check(30)).is_healthy
    before = refusals()
    for number in range(3):
        set_password(f"rotated {number}")
        vault.origin = f"rotated {number}"
        for force in (False, True, False):
            result = await checker.check(30, force=force)
            assert result.is_healthy, result
        assert refusals() - before <= number + 1
    await checker.close()


async def test_until_the_new_password_is_known_the_server_is_asked_once(
    make_target: Any, roles: Any, password: str, refusals: Any, set_password: Any
) -> None:
    """First the server, then Vault: many checks fall between the two."""
    vault = Vault(roles["monitor"], password)
    checker = Checker(CheckTarget.from_config(make_target(), vault), Resolver())
    before = refusals()
    set_password("rotated")
    results = [await checker.check(30) for _ in range(10)]
    assert {(r.result, r.failed_stage, r.sqlstate) for r in results} == {("auth", "auth", "28P01")}
    assert refusals() - before == 1
    assert vault.asked == 10, "each check asks whether there is something new; how often Vault is asked is its affair"
    vault.origin = "rotated"
    assert (await checker.check(30)).is_healthy
    assert refusals() - before == 1


async def test_a_secret_that_was_changed_twice_costs_two(
    make_target: Any, roles: Any, password: str, refusals: Any, set_password: Any
) -> None:
    vault = Vault(roles["monitor"], password)
    checker = Checker(CheckTarget.from_config(make_target(), vault), Resolver())
    before = refusals()
    set_password("rotated")
    vault.origin = "not yet right"
    for _ in range(5):
        assert (await checker.check(30)).result == "auth"
    assert refusals() - before == 2


async def test_what_a_rest_says(make_target: Any, refusals: Any, free_port: Callable[[], int]) -> None:
    checker = Checker(CheckTarget.from_config(make_target(password=Secret("wrong"))), Resolver())
    before, started = refusals(), time.time()
    first, second, *later = [await checker.check(30) for _ in range(6)]
    ended = time.time()
    assert refusals() - before == 1
    assert "not tried again" not in first.error_message
    assert second.error_message.startswith(first.error_message)
    assert {second.error_message} == {one.error_message for one in later}
    since, until = second.error_message.partition("; refused since ")[2].split(", not tried again before ")
    since_at, until_at = datetime.fromisoformat(since).timestamp(), datetime.fromisoformat(until).timestamp()
    assert started - 1 <= since_at <= ended
    assert until_at - since_at == pytest.approx(FIRST_PAUSE, abs=1)
    # It is seen each time that the server is there, and that is all.
    assert list(second.stages) == ["tcp", "auth"]
    assert min(one.stages["auth"] for one in (second, *later)) < 0.01

    asked = await checker.check(30, force=True)
    assert (asked.result, asked.error_message) == ("auth", first.error_message)
    assert refusals() - before == 2
    again = await checker.check(30)
    assert f"refused since {since}" in again.error_message
    assert refusals() - before == 2


async def test_a_server_that_goes_away_meanwhile_is_told(make_target: Any, database: Database) -> None:
    checker = Checker(CheckTarget.from_config(make_target(password=Secret("wrong"))), Resolver())
    assert (await checker.check(30)).result == "auth"
    database.server.stop("immediate")
    gone = await checker.check(30)
    assert (gone.result, gone.failed_stage) == ("refused", "tcp")
    database.server.start()
    back = await checker.check(30)
    assert (back.result, back.failed_stage) == ("auth", "auth")
    assert "refused since" in back.error_message


async def test_a_role_that_may_not_log_in(make_target: Any, database: Database, roles: Any) -> None:
    with database.connect() as admin:
        admin.execute(f'ALTER ROLE "{roles["monitor"]}" NOLOGIN')
    checker = Checker(CheckTarget.from_config(make_target()), Resolver())
    results = [await checker.check(30) for _ in range(2)]
    assert {(r.result, r.sqlstate) for r in results} == {("auth", "28000")}
    assert "refused since" in results[1].error_message


async def test_the_password_is_not_in_what_a_rest_says(make_target: Any, password: str) -> None:
    checker = Checker(CheckTarget.from_config(make_target(user=password)), Resolver())  # the server names the user
    for _ in range(2):
        result = await checker.check(30)
        assert result.result == "auth"
        assert password not in result.error_message
        assert "<secret>" in result.error_message


async def test_pgbouncers_refusals_rest_too(make_target: Any, make_pgbouncer: Any, database: Database) -> None:
    with make_pgbouncer() as bouncer:
        checker = Checker(CheckTarget.from_config(make_target(port=bouncer.port, password=Secret("wrong"))), Resolver())
        results = [await checker.check(30) for _ in range(4)]
        log = bouncer.log.read_text()
    assert {r.result for r in results} == {"auth"}
    assert "refused since" in results[1].error_message
    assert log.count("password authentication failed") <= 2  # one login, said by the pooler in one line or two
