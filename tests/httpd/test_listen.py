"""Addresses: what is bound for each form, and what a refusal says."""

from __future__ import annotations

import socket

import aiohttp
import pytest
from support.ports import free_port
from support.serving import World, serving

from exporter.config.model import Web
from exporter.errors import ConfigError
from exporter.httpd.listen import open_sockets

NEEDS_IPV6 = pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="no IPv6 here")


@pytest.mark.parametrize(
    ("address", "reached"),
    [
        ("127.0.0.1:0", ["127.0.0.1"]),
        ("localhost:0", ["127.0.0.1"]),
        pytest.param(":0", ["127.0.0.1", "[::1]"], marks=NEEDS_IPV6),
        pytest.param("[::1]:0", ["[::1]"], marks=NEEDS_IPV6),
        pytest.param("[::]:0", ["127.0.0.1", "[::1]"], marks=NEEDS_IPV6),
        ("0.0.0.0:0", ["127.0.0.1"]),
    ],
)
async def test_forms(address: str, reached: list[str]) -> None:
    world = World(web=Web(listen_address=(address,)))
    async with serving(world) as (server, _), aiohttp.ClientSession() as client:
        port = server.addresses[0].rpartition(":")[2]
        assert int(port) > 0
        for host in reached:
            assert (await client.get(f"http://{host}:{port}/-/healthy")).status == 200
        assert (await client.get(f"{server.urls[0]}/-/healthy")).status == 200


async def test_several_listeners() -> None:
    world = World(web=Web(listen_address=("127.0.0.1:0", "127.0.0.1:0")))
    async with serving(world) as (server, _), aiohttp.ClientSession() as client:
        assert len(set(server.addresses)) == 2
        for url in server.urls:
            assert (await client.get(f"{url}/-/healthy")).status == 200
    async with aiohttp.ClientSession() as client:
        for url in server.urls:
            with pytest.raises(aiohttp.ClientConnectionError):
                await client.get(f"{url}/-/healthy")


async def test_a_taken_port_is_named_and_nothing_stays_bound() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port, free = taken.getsockname()[1], free_port()
        world = World(web=Web(listen_address=(f"127.0.0.1:{free}", f"127.0.0.1:{port}")))
        with pytest.raises(ConfigError, match=f"cannot listen on 127.0.0.1:{port}: Address already in use"):
            async with serving(world):
                pass
        socket.create_server(("127.0.0.1", free)).close()


async def test_an_unknown_host_is_named() -> None:
    with pytest.raises(ConfigError, match=r"cannot listen on no\.such\.host\.invalid:0: "):
        await open_sockets(["no.such.host.invalid:0"])
