"""What is true of every answer: id, headers, error envelope, and a metric under the route's template."""

from __future__ import annotations

import asyncio
import re

import pytest
from aiohttp import web
from support.serving import World, extra, raw, serving

from exporter.httpd.problems import HttpError


async def fail(_: web.Request) -> web.Response:
    raise RuntimeError("the detail of it")


async def refuse(_: web.Request) -> web.Response:
    raise HttpError(409, "it is so already", {"Retry-After": "3"})


async def move(_: web.Request) -> web.Response:
    raise web.HTTPPermanentRedirect("/elsewhere")


async def break_off(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    await response.write(b"half")
    raise RuntimeError("in the middle")


async def test_a_request_id_is_taken_over_or_made() -> None:
    async with serving(World()) as (_, client):
        async with client.get("/health", headers={"X-Request-Id": "abc-1.2_3"}) as answer:
            assert answer.headers["X-Request-Id"] == "abc-1.2_3"
        for unfit in ("", "a" * 65, "a b", "ä", 'a"b'):
            async with client.get("/health", headers={"X-Request-Id": unfit}) as answer:
                assert re.fullmatch("[0-9a-f]{16}", answer.headers["X-Request-Id"])


async def test_a_500_says_nothing_but_the_id_that_the_log_has(capfd: pytest.CaptureFixture[str]) -> None:
    world = World()
    async with serving(world, families=[extra("/fail/{id}", fail)]) as (_, client), client.get("/fail/7") as answer:
        body = await answer.json()
        assert answer.status == 500
        [seen] = await world.observed.wait(1)
    assert body == {"error": "internal error", "request_id": answer.headers["X-Request-Id"]}
    logged = "".join(capfd.readouterr())
    assert body["request_id"] in logged
    assert "RuntimeError: the detail of it" in logged
    assert seen["endpoint"] == "/fail/{id}"


async def test_errors_have_one_envelope() -> None:
    families = [extra("/refuse", refuse), extra("/move", move)]
    async with serving(World(), families=families) as (_, client):
        async with client.get("/none") as answer:
            assert (answer.status, await answer.json()) == (404, {"error": "not found"})
        async with client.delete("/health") as answer:
            assert (answer.status, await answer.json()) == (405, {"error": "method not allowed"})
            assert set(answer.headers["Allow"].split(",")) == {"GET", "HEAD"}
        async with client.get("/refuse") as answer:
            assert (answer.status, await answer.json()) == (409, {"error": "it is so already"})
            assert answer.headers["Retry-After"] == "3"
        async with client.get("/move", allow_redirects=False) as answer:
            assert (answer.status, answer.headers["Location"]) == (308, "/elsewhere")


async def test_a_stream_that_breaks_does_not_look_whole(capfd: pytest.CaptureFixture[str]) -> None:
    async with serving(World(), families=[extra("/stream", break_off)]) as (server, _):
        try:
            answer = await raw(server, b"GET /stream HTTP/1.1\r\nHost: x\r\n\r\n")
        except ConnectionResetError:
            answer = b""
    assert not answer.endswith(b"0\r\n\r\n")
    assert "in the middle" in "".join(capfd.readouterr())


async def test_headers_of_every_answer() -> None:
    async with serving(World(), families=[extra("/fail", fail)]) as (_, client):
        for path in ("/health", "/metrics", "/none", "/fail", "/"):
            async with client.get(path) as answer:
                headers = answer.headers
                assert headers["X-Content-Type-Options"] == "nosniff"
                assert headers["X-Frame-Options"] == "deny"
                assert headers["Content-Security-Policy"].startswith("default-src 'none'")
                # A page's forms have to say where they come from, to us alone.
                assert headers["Referrer-Policy"] == ("no-referrer" if path != "/" else "same-origin")
                assert headers["Cache-Control"] == "no-store"
                assert headers["Server"] == "scheduler-exporter"
                assert headers.getall("Server") == ["scheduler-exporter"]


async def test_every_request_is_observed_under_its_template() -> None:
    world = World()
    async with serving(world, families=[extra("/fail", fail)]) as (server, client):
        await client.get("/health/ready?x=1")
        await client.get("/no/such/path")
        await client.get("/fail")
        await client.post("/-/reload", data=b"12345")
        await client.head("/metrics")
        await raw(server, b"PROPFIND /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        seen = await world.observed.wait(6)
    assert [(one["method"], one["endpoint"], one["status"]) for one in seen] == [
        ("GET", "/health/ready", 200),
        ("GET", "unmatched", 404),
        ("GET", "/fail", 500),
        ("POST", "/-/reload", 403),
        ("HEAD", "/metrics", 200),
        ("other", "unmatched", 405),
    ]
    assert seen[3]["request_bytes"] == 5
    assert seen[1]["response_bytes"] == len('{"error":"not found"}')
    assert all(0 <= one["seconds"] < 60 for one in seen)


async def test_a_storm_of_requests_is_answered() -> None:
    world = World()
    async with serving(world) as (_, client):
        answers = await asyncio.gather(*(client.get("/metrics") for _ in range(300)))
        assert {answer.status for answer in answers} == {200}
        await world.observed.wait(300)
    assert len(world.renderer.done) == 300
