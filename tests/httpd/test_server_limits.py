"""Clients that are slow, large, broken or many: bounded, answered in our form, and never a traceback."""

from __future__ import annotations

import asyncio
import contextlib
import time

import aiohttp
import pytest
from aiohttp import web
from msgspec.structs import replace
from support.serving import PATIENT, World, eventually, extra, raw, serving

from exporter.httpd import protocol
from exporter.httpd.server import Server


async def echo(request: web.Request) -> web.Response:
    return web.Response(body=await request.read())


ECHO = extra("/echo", echo, "POST")
POST = b"POST /echo HTTP/1.1\r\nHost: x\r\n"


async def taken_up() -> None:
    """Let the server see what has arrived: it shares the loop, which may have stood still."""
    for _ in range(100):
        await asyncio.sleep(0)


@pytest.mark.parametrize(
    "data",
    [
        b"nonsense\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9.9\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # a TLS client that took the port for another
        b"GET /metrics HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n",
        b"GET /metrics HTTP/1.1\r\nHost: x\r\nX-A: " + b"a" * 9000 + b"\r\n\r\n",
        b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"GET /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
    ],
    ids=lambda data: data[:30].decode("latin-1"),
)
async def test_what_is_no_request_is_a_400_in_our_form(data: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    world = World()
    async with serving(world) as (server, _):
        answer = await raw(server, data)
        [seen] = await world.observed.wait(1)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400") or head.startswith(b"HTTP/1.0 400")
    assert body == b'{"error":"bad request"}'
    assert b"aiohttp" not in answer
    assert b"Python" not in answer
    assert b"X-Content-Type-Options: nosniff" in head
    assert (seen["status"], seen["endpoint"]) == (400, "unmatched")
    logged = "".join(capfd.readouterr())
    assert "Traceback" not in logged
    assert "error" not in logged


async def test_an_unknown_expectation_is_refused_in_our_form() -> None:
    async with serving(World()) as (server, _):
        answer = await raw(server, b"GET /none HTTP/1.1\r\nHost: x\r\nExpect: tea\r\nConnection: close\r\n\r\n")
    assert b"417 Expectation Failed" in answer
    assert answer.endswith(b'{"error":"expectation failed"}')
    assert b"aiohttp" not in answer


@pytest.mark.parametrize("data", [b"", b"GET /metr", b"GET /metrics HTTP/1.1\r\nHost: x\r\n"])
async def test_a_client_that_never_asks_is_let_go(data: bytes) -> None:
    async with serving(World(), timeouts=replace(PATIENT, headers=0.4)) as (server, _):
        assert await raw(server, data) == b""


async def test_a_client_that_drips_headers_is_let_go() -> None:
    async with serving(World(), timeouts=replace(PATIENT, headers=0.4)) as (server, _):
        _, port = server.addresses[0].split(":")
        reader, writer = await asyncio.open_connection("127.0.0.1", int(port))
        writer.write(b"GET / HTTP/1.1\r\n")
        with contextlib.suppress(ConnectionError):
            async with asyncio.timeout(30):
                while not reader.at_eof():
                    writer.write(b"X-A: a\r\n")
                    await asyncio.sleep(0.05)
        writer.close()


async def test_an_idle_connection_is_closed() -> None:
    timeouts = replace(PATIENT, headers=1.0)
    async with serving(World(), timeouts=timeouts) as (server, _):
        started = time.monotonic()
        answer = await raw(server, b"GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n")
        assert answer.endswith(b"Healthy")
        assert timeouts.headers < time.monotonic() - started, "a request has come"


async def test_a_slow_body_is_a_408() -> None:
    async with serving(World(), families=[ECHO], timeouts=replace(PATIENT, body=0.4)) as (server, _):
        answer = await raw(server, POST + b"Content-Length: 10\r\n\r\nabc")
    assert b" 408 " in answer.splitlines()[0]
    assert b'{"error":"request body took too long"}' in answer


async def test_a_slow_client_delays_nobody() -> None:
    async with serving(World(), families=[ECHO]) as (server, client):
        slow = [asyncio.create_task(raw(server, POST + b"Content-Length: 9\r\n\r\n")) for _ in range(50)]
        await asyncio.sleep(0.1)
        assert (await client.get("/metrics")).status == 200
        assert not any(one.done() for one in slow)
        for one in slow:
            one.cancel()
        await asyncio.gather(*slow, return_exceptions=True)


async def test_a_large_body_is_a_413() -> None:
    async with serving(World(), families=[ECHO]) as (server, client):
        async with client.post("/echo", data=b"x" * 65535) as answer:
            assert (answer.status, len(await answer.read())) == (200, 65535)
        async with client.post("/echo", data=b"x" * 65537) as answer:
            assert (answer.status, await answer.json()) == (413, {"error": "request body too large"})
        chunks = b"10000\r\n" + b"x" * 65536 + b"\r\n1\r\nx\r\n0\r\n\r\n"
        answer = await raw(server, POST + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks)
        assert b" 413 " in answer.splitlines()[0]
        # Answered at once, however much is announced.
        answer = await raw(server, POST + b"Connection: close\r\nContent-Length: 999999999999\r\n\r\n")
        assert b" 413 " in answer.splitlines()[0]


async def test_a_broken_body_is_a_400() -> None:
    async with serving(World(), families=[ECHO]) as (server, _):
        answer = await raw(server, POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n")
        assert b" 400 " in answer.splitlines()[0]


@pytest.mark.parametrize("coding", ["gzip", "deflate", "GZIP", "identity, gzip"])
async def test_a_packed_body_is_a_415_and_is_not_unpacked(coding: str, capfd: pytest.CaptureFixture[str]) -> None:
    """A few hundred kilobytes unpack to hundreds of megabytes; what is none would be an error while it is."""
    async with serving(World(), families=[ECHO]) as (server, client):
        for head in (POST, b"POST /nothing HTTP/1.1\r\nHost: x\r\n"):
            asked = f"Content-Encoding: {coding}\r\nContent-Length: 4\r\nConnection: close\r\n\r\nabcd".encode()
            answer = await raw(server, head + asked)
            assert b" 415 " in answer.splitlines()[0]
            assert answer.endswith(b'{"error":"Content-Encoding: expected none; send the body unpacked"}')
        async with client.post("/echo", data=b"abc", headers={"Content-Encoding": "identity"}) as echoed:
            assert await echoed.read() == b"abc"
    assert "Traceback" not in "".join(capfd.readouterr())


async def test_a_client_that_leaves_in_the_middle_is_no_error(capfd: pytest.CaptureFixture[str]) -> None:
    world = World()
    async with serving(world, families=[ECHO]) as (server, _):
        _, port = server.addresses[0].split(":")
        _, writer = await asyncio.open_connection("127.0.0.1", int(port))
        writer.write(POST + b"Content-Length: 10\r\n\r\nabc")
        await asyncio.sleep(0.05)
        await taken_up()
        writer.transport.abort()
        await world.observed.wait(1)
    logged = "".join(capfd.readouterr())
    assert "Traceback" not in logged
    assert "error" not in logged


async def test_connections_are_bounded_and_places_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "MAX_CONNECTIONS", 5)
    async with serving(World()) as (server, client):
        _, port = server.addresses[0].split(":")
        idle = [await asyncio.open_connection("127.0.0.1", int(port)) for _ in range(5)]
        await asyncio.sleep(0.05)
        with pytest.raises(aiohttp.ClientError):
            await client.post("/-/reload")  # a GET would be sent again by the client
        for _, writer in idle:
            writer.close()

        async def answered() -> bool:
            with contextlib.suppress(aiohttp.ClientError):
                return (await client.get("/-/healthy")).status == 200
            return False

        await eventually(answered)


async def test_the_end_waits_for_an_answer_and_not_for_ever() -> None:
    begun: list[str] = []
    done: list[str] = []

    async def slow(request: web.Request) -> web.Response:
        seconds = float(request.query["s"])
        begun.append(request.query["s"])
        await asyncio.sleep(seconds)
        done.append(request.query["s"])
        return web.Response(text="done")

    server = Server(World().context, [extra("/slow", slow)], timeouts=replace(PATIENT, shutdown=2.0))
    async with server:
        quick = asyncio.create_task(raw(server, b"GET /slow?s=0.2 HTTP/1.1\r\nHost: x\r\n\r\n"))
        stuck = asyncio.create_task(raw(server, b"GET /slow?s=60 HTTP/1.1\r\nHost: x\r\n\r\n"))
        async with asyncio.timeout(30):
            while len(begun) < 2:  # noqa: ASYNC110 - a request has no event
                await asyncio.sleep(0.01)
        started = time.monotonic()
    assert time.monotonic() - started < 30
    assert (await quick).endswith(b"done")
    await stuck
    assert done == ["0.2"]
