"""Health bodies: keys, order, statuses, and no text from a driver."""

from __future__ import annotations

import json
import re

import pytest
from support.serving import World, serving

from exporter.httpd.context import Check

TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


async def test_health_has_exactly_the_specified_keys_in_order() -> None:
    async with serving(World()) as (_, client), client.get("/health") as answer:
        body = json.loads(await answer.read(), object_pairs_hook=list)
        assert answer.status == 200
        assert answer.headers["Content-Type"].startswith("application/json")
        assert answer.headers["Cache-Control"] == "no-store"
    assert [key for key, _ in body] == ["status", "timestamp", "uptime", "version"]
    values = dict(body)
    assert values["status"] == "ok"
    assert TIMESTAMP.fullmatch(values["timestamp"])
    assert 3600 <= values["uptime"] < 3700
    assert isinstance(values["uptime"], int)
    assert values["version"] == "1.2.3"


@pytest.mark.parametrize("path", ["/health/ready", "/health/live"])
@pytest.mark.parametrize(
    ("checks", "status"),
    [
        ([], 200),
        ([Check("event_loop", True), Check("memory", True)], 200),
        ([Check("event_loop", True), Check("store:main", False, required=False)], 200),
        ([Check("event_loop", False), Check("memory", True)], 503),
    ],
)
async def test_probes(path: str, checks: list[Check], status: int) -> None:
    world = World(ready=checks, live=checks)
    async with serving(world) as (_, client), client.get(path) as answer:
        body = await answer.json()
        assert answer.status == status
    assert list(body) == ["status", "timestamp", "checks"]
    assert body["status"] == ("ok" if status == 200 else "fail")
    assert body["checks"] == {c.name: {"status": "ok" if c.ok else "fail"} for c in checks}


async def test_a_detail_is_fixed_words_or_nothing() -> None:
    leak = 'connection to server at "10.0.0.5", port 5432 failed: FATAL: no such role "app"'
    world = World(ready=[Check("a", False, True, "over its limit"), Check("b", False, True, leak)])
    async with serving(world) as (_, client), client.get("/health/ready") as answer:
        body = await answer.json()
    assert body["checks"] == {
        "a": {"status": "fail", "detail": "over its limit"},
        "b": {"status": "fail"},
    }


async def test_probes_answer_head() -> None:
    async with serving(World(live=[Check("memory", False)])) as (_, client):
        assert (await client.head("/health")).status == 200
        assert (await client.head("/health/live")).status == 503
