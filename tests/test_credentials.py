"""The guard of an account: how often it logs in with what, seen through a server that counts refusals."""

from __future__ import annotations

import pytest

from exporter.config.secrets import Secret
from exporter.credentials import FIRST_PAUSE, LONGEST_PAUSE, Account, Credentials, Fixed


class Refused(Exception):
    """The server did not take the credentials."""


class Rotating:
    """A source whose known credentials lag behind what its origin has."""

    def __init__(self, password: str) -> None:
        self.known = self.origin = credentials(password)

    async def current(self) -> Credentials:
        return self.known

    async def renewed(self, refused: Credentials) -> Credentials:
        self.known = self.origin
        return self.known


class Server:
    """Takes one password; remembers each login."""

    def __init__(self, password: str) -> None:
        self.password = password
        self.refusals: list[str] = []

    async def login(self, given: Credentials) -> str:
        password = given.password.reveal() if given.password else ""
        if password != self.password:
            self.refusals.append(password)
            raise Refused(password)
        return "session"


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def credentials(password: str) -> Credentials:
    return Credentials("monitor", Secret(password))


def is_refusal(error: Exception) -> bool:
    return isinstance(error, Refused)


async def test_a_rotation_that_is_known_at_the_origin_costs_one_refused_login() -> None:
    source, server = Rotating("old"), Server("new")
    source.origin = credentials("new")
    assert await Account(source, is_refusal).login(server.login) == "session"
    assert server.refusals == ["old"]


async def test_refused_credentials_rest_until_others_are_known() -> None:
    source, server, clock = Rotating("old"), Server("new"), Clock()
    account = Account(source, is_refusal, clock)
    for _ in range(5):
        with pytest.raises(Refused):
            await account.login(server.login)
    assert server.refusals == ["old"]
    source.origin = credentials("new")
    assert await account.login(server.login) == "session"
    assert server.refusals == ["old"]


async def test_what_is_refused_twice_was_two_different_credentials() -> None:
    source, server = Rotating("old"), Server("new")
    source.origin = credentials("between")
    account = Account(source, is_refusal, Clock())
    for _ in range(3):
        with pytest.raises(Refused):
            await account.login(server.login)
    assert server.refusals == ["old", "between"]


async def test_the_pause_doubles_and_has_a_bound() -> None:
    server, clock = Server("new"), Clock()
    account = Account(Fixed(credentials("old")), is_refusal, clock)
    pauses = []
    for _ in range(8):
        with pytest.raises(Refused):
            await account.login(server.login)
        began, tried = clock.now, len(server.refusals)
        while len(server.refusals) == tried:
            clock.now += 10
            with pytest.raises(Refused):
                await account.login(server.login)
        pauses.append(clock.now - began)
    assert pauses[:4] == [FIRST_PAUSE * 2**n for n in range(4)]
    assert max(pauses) == LONGEST_PAUSE


async def test_a_login_that_is_taken_ends_the_pause_and_its_length() -> None:
    server, clock = Server("new"), Clock()
    account = Account(Fixed(credentials("old")), is_refusal, clock)
    with pytest.raises(Refused):
        await account.login(server.login)
    server.password = "old"
    clock.now += FIRST_PAUSE
    assert await account.login(server.login) == "session"
    server.password = "new"
    with pytest.raises(Refused):
        await account.login(server.login)
    clock.now += FIRST_PAUSE
    with pytest.raises(Refused):
        await account.login(server.login)
    assert server.refusals == ["old", "old", "old"]


async def test_somebody_who_asks_is_answered_by_the_server() -> None:
    server = Server("new")
    account = Account(Fixed(credentials("old")), is_refusal, Clock())
    with pytest.raises(Refused):
        await account.login(server.login)
    server.password = "old"
    assert await account.login(server.login, force=True) == "session"


async def test_another_error_is_no_reason_to_ask_for_other_credentials() -> None:
    source = Rotating("old")
    source.origin = credentials("new")

    async def broken(given: Credentials) -> str:
        raise OSError("connection reset")

    with pytest.raises(OSError, match="reset"):
        await Account(source, is_refusal).login(broken)
    assert source.known == credentials("old")
