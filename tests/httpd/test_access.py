"""Who may do what: tokens, users, nobody in particular; and no way round by the spelling of a request."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import bcrypt
import pytest
from aiohttp import encode_basic_auth, web
from support.serving import World, extra, raw, serving

from exporter.config.model import Api, Auth, Config, Environment, ReadRate, Token, Web
from exporter.config.secrets import Secret
from exporter.errors import ConfigError
from exporter.httpd.endpoint import Family
from exporter.httpd.problems import json_response
from exporter.httpd.roles import Role

ANY = "127.0.0.1:0"
VIEWER, ADMIN = "viewer-token-of-a-test", "admin-token-of-a-test"
TOKENS = (
    Token(name="grafana", token=Secret(VIEWER)),
    Token(name="ops", token=Secret(ADMIN), role="admin"),
    Token(name="unset", role="admin"),
)
SECRET = "the secret answer"
JSON = Family(name="json", description="")


async def answer(_: web.Request) -> web.Response:
    return json_response({"secret": SECRET})


FAMILIES = [
    extra("/api/read", answer, family=JSON, role=Role.VIEWER),
    extra("/api/things/{id}", answer, family=JSON, role=Role.VIEWER),
    extra("/api/inside", answer, family=JSON, role=Role.ADMIN),
    extra("/api/act", answer, "POST", family=JSON, role=Role.ADMIN),
]
PATHS = {"/api/read": "GET", "/api/things/7": "GET", "/api/inside": "GET", "/api/act": "POST"}


def config(*, environment: Environment | None = None, listen: str = ANY, **sections: Any) -> Config:
    sections.setdefault("auth", Auth(tokens=TOKENS))
    sections.setdefault("web", Web(listen_address=(listen,)))
    return Config(environment=environment, **sections)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def statuses(world: World, headers: dict[str, str] | None = None) -> list[int]:
    """What the four paths answer."""
    async with serving(world, families=FAMILIES) as (_, client):
        found = []
        for path, method in PATHS.items():
            async with client.request(method, path, headers=headers) as response:
                found.append(response.status)
                assert (SECRET in await response.text()) == (response.status == 200)
        return found


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, [401, 401, 401, 401]),
        (bearer(VIEWER), [200, 200, 403, 403]),
        (bearer(ADMIN), [200, 200, 200, 200]),
        ({"Authorization": f"bearer   {ADMIN}"}, [200, 200, 200, 200]),
        (bearer(ADMIN[:-1]), [401] * 4),
        (bearer(ADMIN + "x"), [401] * 4),
        (bearer(""), [401] * 4),
        (bearer("None"), [401] * 4),
        (bearer("unset"), [401] * 4),
        ({"Authorization": ADMIN}, [401] * 4),
        ({"Authorization": f"Basic {ADMIN}"}, [401] * 4),
        ({"X-Authorization": f"Bearer {ADMIN}"}, [401] * 4),
        ({"Authorization": "Bearer \xff\xfe"}, [401] * 4),
    ],
)
async def test_tokens(headers: dict[str, str], expected: list[int]) -> None:
    assert await statuses(World(config=config()), headers) == expected


@pytest.mark.parametrize(
    "path", ["/metrics", "/health", "/health/ready", "/health/live", "/-/healthy", "/-/ready", "/"]
)
@pytest.mark.parametrize("headers", [{}, bearer("meant-for-somebody-else")])
async def test_scrapers_and_probes_need_nothing(path: str, headers: dict[str, str]) -> None:
    async with serving(World(config=config())) as (_, client), client.get(path, headers=headers) as response:
        assert response.status == 200


async def test_the_configuration_needs_an_admin() -> None:
    async with serving(World(config=config())) as (_, client):
        for headers, status in (({}, 401), (bearer(VIEWER), 403), (bearer(ADMIN), 200)):
            async with client.get("/config", headers=headers) as response:
                assert response.status == status


async def test_what_anyone_may_read_is_not_what_anyone_may_do() -> None:
    world = World(config=config(environment="production", auth=Auth(anonymous_read=True, tokens=TOKENS)))
    assert await statuses(world) == [200, 200, 401, 401]
    assert await statuses(world, bearer(ADMIN)) == [200] * 4
    assert await statuses(world, bearer("wrong")) == [401] * 4


@pytest.mark.parametrize("environment", ["development", "test", None])
async def test_without_any_credential_all_is_read_where_that_may_be_but_nobody_acts(environment: Any) -> None:
    assert await statuses(World(config=config(environment=environment, auth=Auth()))) == [200, 200, 200, 401]


@pytest.mark.parametrize("listen", ["0.0.0.0:0", ":0", "[::]:0"])
async def test_json_is_never_open_to_a_network_unasked(listen: str, capfd: pytest.CaptureFixture[str]) -> None:
    world = World(config=config(auth=Auth(), listen=listen))
    assert await statuses(world) == [401] * 4
    assert "auth.anonymous_read: true" in "".join(capfd.readouterr())
    world.config = config(auth=Auth(), listen=listen, environment="development")
    assert await statuses(world) == [200, 200, 200, 401]


@pytest.mark.parametrize("tokens", [(), TOKENS[2:]])
async def test_production_does_not_start_with_json_open(tokens: Any) -> None:
    world = World(config=config(environment="production", auth=Auth(tokens=tokens)))
    with pytest.raises(ConfigError) as caught:
        await statuses(world)
    (problem,) = caught.value.problems
    assert problem.startswith("auth: ")
    for remedy in ("auth.tokens", "basic_auth_users", "auth.anonymous_read: true"):
        assert remedy in problem


async def test_a_reload_that_would_open_json_is_refused() -> None:
    async with serving(World(config=config(environment="production"))) as (server, _):
        server.check(config(environment="production"))
        with pytest.raises(ConfigError):
            server.check(config(environment="production", auth=Auth()))


async def test_users_are_admins_and_nothing_is_for_others(tmp_path: Path) -> None:
    file = tmp_path / "web.yml"
    hashed = bcrypt.hashpw(b"pw", bcrypt.gensalt(4)).decode()
    file.write_text(f"basic_auth_users:\n  prom: {hashed}\n")
    web_section = Web(listen_address=(ANY,), config_file=str(file))
    world = World(config=config(environment="production", web=web_section))
    login = {"Authorization": encode_basic_auth("prom", "pw")}
    assert await statuses(world) == [401] * 4
    assert await statuses(world, login) == [200] * 4
    assert await statuses(world, bearer(VIEWER)) == [200, 200, 403, 403]
    async with serving(world) as (_, client):
        for headers, status in (({}, 401), (bearer("x"), 401), (bearer(VIEWER), 200), (login, 200)):
            async with client.get("/metrics", headers=headers) as response:
                assert response.status == status
                if status == 401:
                    challenge = response.headers["WWW-Authenticate"]
                    assert challenge.startswith("Bearer ")
                    assert "Basic realm=" in challenge


SPELLINGS = [
    "/api/read", "/api/read/", "//api/read", "/api//read", "/API/READ", "/Api/read", "/api/%72ead", "/api%2fread",
    "/api%2Fread", "/%61pi/read", "/api/./read", "/./api/read", "/x/../api/read", "/api/things/../read", "/api/read%00",
    "/api/read%20", "/api/read?x=1", "/api/read;x", "/api/read#x", "/api/things/7", "/api/things/%2e%2e",
    "/api/things/..", "/api/inside", "/api/inside/.", "http://x/api/inside", "http:///api/inside",
    "/metrics/../api/read",
    "/metrics%2f..%2fapi%2fread", "/health/../api/inside", "/api\\read", "/api/read%0a", "/api/read\t", "*",
    "/api/inside?/metrics",
]  # fmt: skip
METHODS = ["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "TRACE", "get", "Get", "GETT", "CONNECT"]


async def test_no_spelling_of_a_request_leads_round_the_roles() -> None:
    async with serving(World(config=config()), families=FAMILIES) as (server, _):
        for target in SPELLINGS:
            replies = await asyncio.gather(
                *(
                    raw(server, f"{method} {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
                    for method in METHODS
                )
            )
            for method, reply in zip(METHODS, replies, strict=True):
                status = int(reply.split(b" ", 2)[1]) if reply else 0
                assert SECRET.encode() not in reply, (method, target)
                assert status in (0, 400, 401, 404, 405), (method, target, status)


@pytest.mark.parametrize(
    "headers",
    [
        {"X-HTTP-Method-Override": "GET"},
        {"X-Original-URL": "/metrics"},
        {"X-Rewrite-URL": "/metrics"},
        {"X-Forwarded-For": "127.0.0.1"},
        {"X-Forwarded-User": "ops"},
        {"X-Remote-User": "ops"},
        {"Cookie": f"token={ADMIN}"},
        {"Proxy-Authorization": f"Bearer {ADMIN}"},
        {"Host": "localhost"},
    ],
)
async def test_no_other_header_is_a_credential(headers: dict[str, str]) -> None:
    assert await statuses(World(config=config()), headers) == [401] * 4


async def test_a_token_in_the_query_is_none() -> None:
    async with serving(World(config=config()), families=FAMILIES) as (_, client):
        for name in ("token", "access_token", "authorization"):
            assert (await client.get("/api/read", params={name: ADMIN})).status == 401


async def test_two_credentials_are_not_added_up() -> None:
    async with serving(World(config=config()), families=FAMILIES) as (server, _):
        reply = await raw(
            server,
            f"GET /api/inside HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {VIEWER}\r\n"
            f"Authorization: Bearer {ADMIN}\r\n\r\n".encode(),
        )
    assert SECRET.encode() not in reply


async def test_tokens_are_taken_over_by_a_reload() -> None:
    world = World(config=config())
    async with serving(world, families=FAMILIES) as (_, client):
        assert (await client.get("/api/read", headers=bearer(VIEWER))).status == 200
        world.config = config(auth=Auth(tokens=(Token(name="new", token=Secret("another-token")),)))
        assert (await client.get("/api/read", headers=bearer(VIEWER))).status == 401
        assert (await client.get("/api/read", headers=bearer("another-token"))).status == 200


async def test_denied_logins_and_roles_are_written_down() -> None:
    world = World(config=config())
    async with serving(world, families=FAMILIES) as (_, client):
        await client.get("/api/read")  # no credential is no login
        await client.get("/api/read", headers={**bearer("wrong"), "X-Request-Id": "r-1"})
        await client.post("/api/act", headers=bearer(VIEWER))
        await client.post("/api/act", headers={**bearer(ADMIN), "Sec-Fetch-Site": "cross-site"})
    entries = [(one.action, one.actor, one.result, one.target) for one in world.audit.entries]
    assert entries == [
        ("login", "anonymous", "refused", None),
        ("access", "grafana", "refused", "POST /api/act"),
        ("access", "ops", "refused", "POST /api/act"),
    ]
    assert world.audit.entries[0].request_id == "r-1"
    assert world.audit.entries[0].client == "127.0.0.1"


async def test_no_token_in_any_log(capfd: pytest.CaptureFixture[str]) -> None:
    await statuses(World(config=config()), bearer(ADMIN))
    await statuses(World(config=config()), bearer(ADMIN + "-wrong"))
    assert ADMIN not in "".join(capfd.readouterr())
    assert ADMIN not in repr(config())


async def test_json_on_a_port_of_its_own() -> None:
    world = World(config=config(api=Api(listen_address=ANY)))
    async with serving(world, families=FAMILIES) as (server, client):
        assert len(server.addresses) == 2
        on_web, on_api = server.urls
        for path, where in {"/api/read": on_api, "/metrics": on_web, "/config": on_web}.items():
            for url in (on_web, on_api):
                async with client.get(url + path, headers=bearer(ADMIN)) as response:
                    assert response.status == (200 if url == where else 404), (url, path)
        for url in (on_web, on_api):
            for path in ("/health/ready", "/"):
                assert (await client.get(url + path)).status == 200


async def test_a_client_has_a_budget_and_metrics_have_none() -> None:
    api = Api(rate_limit=ReadRate(per_second=0.001, burst=3))
    world = World(config=config(api=api))
    async with serving(world, families=FAMILIES) as (_, client):
        for headers in (bearer(VIEWER), bearer(ADMIN), bearer("wrong")):
            found = [(await client.get("/api/read", headers=headers)).status for _ in range(5)]
            assert found[3:] == [429, 429]
            assert 429 not in found[:3]
        async with client.get("/api/read", headers=bearer(VIEWER)) as response:
            assert 900 <= int(response.headers["Retry-After"]) <= 1000, "less what has passed"
            assert await response.json() == {"error": "too many requests"}
        for path in ("/metrics", "/health/ready", "/health/live", "/-/ready"):
            assert {(await client.get(path)).status for _ in range(20)} == {200}
        found = [(await client.post("/api/act", headers=bearer(ADMIN))).status for _ in range(6)]
        assert found == [200] * 5 + [429]


@pytest.mark.parametrize("path", ["/api/system/stats", "/api/system/none", "/api/jobs/", "/api/logs/x"])
async def test_the_chronos_family_has_its_envelope_whoever_refuses(path: str) -> None:
    async with serving(World(config=config())) as (_, client):
        async with client.post(path) as response:
            body = await response.json()
            assert response.status in (404, 405)
            assert body["success"] is False
        async with client.get("/api/system/stats") as response:
            assert (response.status, await response.json()) == (401, {"error": "unauthorized", "success": False})
