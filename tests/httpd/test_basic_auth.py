"""Basic authentication over a real listener: who gets in, what it costs, what is remembered, what is said."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path
from unittest import mock

import bcrypt
import pytest
from httpd.conftest import KEPT, told
from support.serving import World, eventually, raw, serving

from exporter.config.model import Web
from exporter.config.secrets import Secret
from exporter.httpd import auth as auth_module
from exporter.httpd.auth import WAITING, BasicAuth
from exporter.httpd.problems import HttpError


def hashed(password: str, cost: int = 4) -> str:
    return bcrypt.hashpw(password.encode()[:72], bcrypt.gensalt(cost)).decode()


def header(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def login(user: str, password: str) -> dict[str, str]:
    return {"Authorization": header(user, password)}


def world(tmp_path: Path, users: dict[str, str], more: str = "") -> World:
    lines = "".join(f"  {name}: {value}\n" for name, value in users.items())
    file = tmp_path / "web.yml"
    file.write_text(f"basic_auth_users:\n{lines}{more}")
    return World(web=Web(listen_address=("127.0.0.1:0",), config_file=str(file)))


@pytest.mark.parametrize("path", ["/metrics", "/", "/health", "/health/live", "/-/healthy", "/config", "/none"])
async def test_everything_on_the_listener_is_covered(tmp_path: Path, path: str) -> None:
    async with serving(world(tmp_path, {"prom": hashed("pw")})) as (_, client):
        async with client.get(path) as answer:
            assert answer.status == 401
            assert answer.headers["WWW-Authenticate"].startswith("Basic ")
            assert await answer.json() == {"error": "unauthorized"}
        async with client.get(path, headers=login("prom", "pw")) as answer:
            assert answer.status == (404 if path == "/none" else 200)


@pytest.mark.parametrize(
    "value",
    [
        header("prom", "wrong"),
        header("nobody", "pw"),
        header("", ""),
        header("prom", ""),
        header("prom", "pw\0"),
        "Basic",
        "Basic !!!",
        "Basic cHJvbQ==",  # no colon
        "Bearer abc",
        "",
    ],
)
async def test_refused(tmp_path: Path, value: str) -> None:
    async with serving(world(tmp_path, {"prom": hashed("pw")})) as (_, client):
        assert (await client.get("/metrics", headers={"Authorization": value})).status == 401


@pytest.mark.parametrize("password", ["p:w", "pässwörd", "x" * 100, " "])
@pytest.mark.parametrize("version", ["2a", "2b", "2y"])
async def test_passwords_that_htpasswd_makes(tmp_path: Path, password: str, version: str) -> None:
    stored = hashed(password).replace("$2b$", f"${version}$")
    async with serving(world(tmp_path, {"prom": stored})) as (_, client):
        assert (await client.get("/metrics", headers={"Authorization": header("prom", password)})).status == 200
        scheme = header("prom", password).replace("Basic", "bASIC")
        assert (await client.get("/metrics", headers={"Authorization": scheme})).status == 200


async def test_a_proven_password_is_not_hashed_again_and_a_wrong_one_is() -> None:
    users = {"prom": Secret(hashed("pw"))}
    checker = BasicAuth()
    with mock.patch.object(auth_module, "_matches", wraps=auth_module._matches) as computed:
        await asyncio.gather(*(checker.check(header("prom", "pw"), users) for _ in range(50)))
        await checker.check(header("prom", "pw"), users)
        assert computed.call_count == 1
        for _ in range(2):
            assert await checker.check(header("prom", "no"), users) is None
        assert computed.call_count == 3
        # another hash: what was proven for the old one is worth nothing
        assert await checker.check(header("prom", "pw"), {"prom": Secret(hashed("new"))}) is None
    checker.close()


async def test_an_unknown_user_costs_the_same_hash() -> None:
    users = {"prom": Secret(hashed("pw", 5))}
    checker = BasicAuth()
    computing = mock.patch.object(auth_module, "_matches", wraps=auth_module._matches)
    with computing as computed:
        assert await checker.check(header("nobody", "pw"), users) is None
    assert computed.call_args.args[0].reveal().startswith("$2b$05$")
    checker.close()


async def test_a_flood_of_guesses_is_bounded_and_the_loop_stays_free() -> None:
    users = {"prom": Secret(hashed("pw", 10))}
    checker = BasicAuth()
    await checker.check(header("prom", "pw"), users)

    async def guess(n: int) -> int:
        try:
            return 200 if await checker.check(header("prom", f"guess{n}"), users) else 401
        except HttpError as exc:
            return exc.status

    flood = asyncio.gather(*(guess(n) for n in range(200)))
    await asyncio.sleep(0)
    await checker.check(header("prom", "pw"), users)  # who is known waits for nobody
    assert not flood.done()  # sixteen hashes take a second
    statuses = await flood
    assert statuses.count(401) == WAITING
    assert statuses.count(503) == 200 - WAITING
    checker.close()


async def test_users_rotate_without_a_restart(tmp_path: Path) -> None:
    place = world(tmp_path, {"prom": hashed("old")})
    file = tmp_path / "web.yml"
    async with serving(place) as (_, client):
        assert (await client.get("/metrics", headers=login("prom", "old"))).status == 200
        file.write_text(f"basic_auth_users:\n  prom: {hashed('new')}\n")

        async def taken_over() -> bool:
            return (await client.get("/metrics", headers=login("prom", "new"))).status == 200

        await eventually(taken_over)
        assert (await client.get("/metrics", headers=login("prom", "old"))).status == 401


@pytest.mark.parametrize("text", ["", "basic_auth_users: {}", "basic_auth_users: [", "basic_auth_users: {a: b}"])
async def test_a_broken_or_emptied_file_opens_nothing(
    tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    async with serving(world(tmp_path, {"prom": hashed("pw")})) as (_, client):
        new = tmp_path / "new.yml"
        new.write_text(text)
        new.replace(tmp_path / "web.yml")  # at once: half of it would be one more to tell of
        said = await told(capsys)
        assert (await client.get("/metrics")).status == 401
        assert (await client.get("/metrics", headers=login("prom", "pw"))).status == 200
    assert (said + capsys.readouterr().out).count(KEPT) == 1


async def test_no_password_in_any_log(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    async with serving(world(tmp_path, {"prom": hashed("s3cretpw")})) as (server, client):
        await client.get("/metrics", headers=login("prom", "s3cretpw"))
        await client.get("/metrics", headers=login("prom", "s3cretpw-wrong"))
        with mock.patch.object(auth_module, "_matches", side_effect=RuntimeError("broken")):
            assert (await client.get("/metrics", headers=login("prom", "s3cretpw-other"))).status == 500
        encoded = header("prom", "s3cretpw").encode()
        await raw(server, b"GET / HTTP/1.1\r\nAuthorization: " + encoded + b"\r\nbad header\r\n\r\n")
    out = "".join(capfd.readouterr())
    assert "broken" in out
    assert "s3cretpw" not in out
    assert header("prom", "s3cretpw").split()[1] not in out
    assert "$2b$" not in out


async def test_rate_limit_covers_all(tmp_path: Path) -> None:
    place = world(tmp_path, {"prom": hashed("pw")}, "rate_limit: {interval: 1h, burst: 2}\n")
    async with serving(place) as (_, client):
        statuses = [(await client.get("/metrics", headers=login("prom", "pw"))).status for _ in range(3)]
        assert statuses == [200, 200, 429]
        async with client.get("/health") as answer:
            assert answer.status == 429
            assert int(answer.headers["Retry-After"]) >= 3500
