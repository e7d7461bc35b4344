"""The conventions of Prometheus' servers: healthy, ready, reload, config, and the page's policy."""

from __future__ import annotations

import pytest
from support.serving import World, serving

from exporter.config.model import Web
from exporter.httpd.context import Check, ReloadResult

OPEN = Web(listen_address=("127.0.0.1:0",), enable_lifecycle=True)


async def test_healthy_and_ready() -> None:
    world = World(ready=[Check("store:main", False, required=False)])
    async with serving(world) as (_, client):
        async with client.get("/-/healthy") as answer:
            assert (answer.status, await answer.text()) == (200, "Healthy")
        async with client.get("/-/ready") as answer:
            assert (answer.status, await answer.text()) == (200, "Ready")
        world.ready = [Check("store:main", False)]
        async with client.get("/-/ready") as answer:
            assert (answer.status, await answer.text()) == (503, "Not ready")


@pytest.mark.parametrize("method", ["POST", "PUT"])
async def test_reload_needs_the_flag(method: str) -> None:
    world = World()
    async with serving(world) as (_, client), client.request(method, "/-/reload") as answer:
        assert answer.status == 403
        assert "--web.enable-lifecycle" in await answer.text()
    assert world.reloads == 0


@pytest.mark.parametrize("method", ["POST", "PUT"])
async def test_reload(method: str) -> None:
    world = World(web=OPEN)
    async with serving(world) as (_, client), client.request(method, "/-/reload") as answer:
        assert answer.status == 200
    assert world.reloads == 1


async def test_reload_is_no_get() -> None:
    world = World(web=OPEN)
    async with serving(world) as (_, client), client.get("/-/reload") as answer:
        assert answer.status == 405
        assert set(answer.headers["Allow"].split(",")) == {"POST", "PUT"}
        assert await answer.json() == {"error": "method not allowed"}
    assert world.reloads == 0


async def test_a_refused_configuration_is_told_without_secrets() -> None:
    problems = (
        "c.yaml:3: stores[0].dsn: postgres://app:hunter2@db/x is no DSN",
        "c.yaml:9: password=hunter2 bad",
    )
    world = World(web=OPEN, outcome=ReloadResult(ok=False, problems=problems))
    async with serving(world) as (_, client), client.post("/-/reload") as answer:
        text = await answer.text()
        assert answer.status == 500
        assert answer.content_type == "text/plain"
    assert "c.yaml:3: stores[0].dsn" in text
    assert "c.yaml:9" in text
    assert "hunter2" not in text


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://["}, 403),
        ({"Origin": "http://sidecar:9795", "Host": "sidecar:9795"}, 200),
    ],
)
async def test_no_other_site_reloads(headers: dict[str, str], status: int) -> None:
    world = World(web=OPEN)
    async with serving(world) as (_, client), client.post("/-/reload", headers=headers) as answer:
        assert answer.status == status
    assert world.reloads == (status == 200)


async def test_config_is_yaml_as_text() -> None:
    async with serving(World()) as (_, client), client.get("/config") as answer:
        assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
        assert "telemetry_path" in await answer.text()
