"""GET /metrics: formats, codings, filters, and when a page counts as served."""

from __future__ import annotations

import asyncio
import gzip

import pytest
from msgspec.structs import replace
from prometheus_client.exposition import choose_encoder
from support.serving import PATIENT, World, serving

from exporter.config.model import Web
from exporter.httpd.negotiate import OPENMETRICS, TEXT, wants_gzip, wants_openmetrics

PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
PROMETHEUS_2 = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
NATIVE = (
    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,"
    "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
TEXT_ONLY = "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"


@pytest.mark.parametrize(
    "accept",
    [
        PROMETHEUS_3,
        PROMETHEUS_2,
        NATIVE,
        TEXT_ONLY,
        "",
        "*/*",
        "text/plain",
        "text/html,application/xhtml+xml,*/*;q=0.8",
        "application/openmetrics-text",
        "application/openmetrics-text; version=0.0.1",
        "application/openmetrics-text; version=1.0.0, text/plain",
        "text/plain;version=0.0.4, application/openmetrics-text;version=1.0.0",
        "application/json",
    ],
)
def test_the_client_library_agrees_on_the_format(accept: str) -> None:
    theirs = choose_encoder(accept)[1].startswith("application/openmetrics-text")
    assert wants_openmetrics(accept) is theirs


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("application/openmetrics-text;version=1.0.0;q=0", False),
        ("application/openmetrics-text;version=1.0.0;q=0.1,text/plain;q=0.9", False),
        ("application/openmetrics-text;version=nonsense", False),
        ("application/openmetrics-text;version=1.0.0;q=nonsense", False),
        ('APPLICATION/OpenMetrics-Text; Version="1.0.0"', True),
        (",;,=;;", False),
    ],
)
def test_odd_accept_headers(accept: str, expected: bool) -> None:
    assert wants_openmetrics(accept) is expected


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", False),
        ("gzip", True),
        ("GZIP;q=1.0", True),
        ("gzip;q=0", False),
        ("gzip; q=0.0, *", False),
        ("*", True),
        ("*;q=0", False),
        ("deflate, br", False),
        ("identity, gzip;q=0.5", False),
        ("identity;q=0.5, gzip", True),
        ("gzip;q=x", False),
        ("gzip;q=nan", False),
        ("xgzip", False),
    ],
)
def test_gzip_is_negotiated(header: str, expected: bool) -> None:
    assert wants_gzip(header) is expected


async def test_text_is_the_default() -> None:
    world = World()
    async with (
        serving(world) as (_, client),
        client.get("/metrics", headers={"Accept-Encoding": ""}) as answer,
    ):
        body = await answer.read()
        assert answer.status == 200
        assert answer.headers["Content-Type"] == TEXT == "text/plain; version=0.0.4; charset=utf-8"
        assert answer.headers["Vary"] == "Accept, Accept-Encoding"
        assert answer.headers["Content-Length"] == str(len(body))
        assert "Content-Encoding" not in answer.headers
        assert body == world.renderer.text


async def test_openmetrics_and_gzip_when_asked() -> None:
    world = World()
    headers = {"Accept": PROMETHEUS_3, "Accept-Encoding": "gzip"}
    async with serving(world) as (_, client), client.get("/metrics", headers=headers) as answer:
        assert answer.headers["Content-Type"] == OPENMETRICS
        assert answer.headers["Content-Encoding"] == "gzip"
        assert gzip.decompress(await answer.read()).endswith(b"# EOF\n")
    assert world.renderer.asked == [{"openmetrics": True, "gzip": True, "names": None}]


async def test_names_filter() -> None:
    world = World()
    async with serving(world) as (_, client):
        await client.get("/metrics?name[]=up&name[]=scheduling_jobs&other=1")
        await client.get("/metrics?name[]=")
    assert [asked["names"] for asked in world.renderer.asked] == [
        frozenset({"up", "scheduling_jobs"}),
        frozenset({""}),
    ]


async def test_head_answers_and_does_not_count_as_served() -> None:
    world = World()
    async with serving(world) as (_, client):
        async with client.head("/metrics", headers={"Accept-Encoding": ""}) as answer:
            assert answer.status == 200
            assert answer.headers["Content-Length"] == str(len(world.renderer.text))
            assert await answer.read() == b""
        await world.observed.wait(1)
        assert world.renderer.done == []
        await client.get("/metrics")
        await world.observed.wait(2)
    assert len(world.renderer.done) == 1
    assert world.observed.requests[0]["response_bytes"] == 0


@pytest.mark.parametrize("leave", [True, False], ids=["hangs-up", "never-reads"])
async def test_a_broken_transfer_does_not_count_as_served(leave: bool) -> None:
    world = World()
    world.renderer.text = b"x" * 64_000_000  # more than the kernel takes in
    async with serving(world, timeouts=replace(PATIENT, write=0.6)) as (server, _):
        host, _, port = server.addresses[0].rpartition(":")
        _, writer = await asyncio.open_connection(host, int(port), limit=1)
        writer.write(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        await asyncio.sleep(0.1)
        if leave:
            writer.close()
        [seen] = await world.observed.wait(1)  # the one that never reads is cut off by the deadline
        writer.close()
    assert world.renderer.done == []
    assert seen["seconds"] < 30


async def test_the_path_is_configurable() -> None:
    world = World(web=Web(listen_address=("127.0.0.1:0",), telemetry_path="/custom"))
    async with serving(world) as (_, client):
        assert (await client.get("/custom")).status == 200
        assert (await client.get("/metrics")).status == 404
        await world.observed.wait(2)
    assert [seen["endpoint"] for seen in world.observed.requests] == ["/custom", "unmatched"]
