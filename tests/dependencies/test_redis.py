"""A real Redis: whether it is there, and counters that go on when it begins again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from dependencies.conftest import HOST, QUICK, watching
from support.ports import free_port
from support.redis_server import RedisServer, redis_server

from exporter.config.model import RedisDependency
from exporter.config.references import FileReference
from exporter.config.secrets import Secret
from exporter.dependencies import HITS, MISSES, OPERATIONS

PASSWORD = "sentinel-of-redis"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with redis_server(tmp_path) as server:
        yield server


def config(server: RedisServer, **changes: object) -> RedisDependency:
    return RedisDependency(**{**QUICK, "name": "queue", "kind": "redis", "url": server.url, **changes})  # type: ignore[arg-type]


async def test_hits_and_misses_are_counted_exactly_and_go_on_through_a_restart(server: RedisServer) -> None:
    server.command("SET", "there", "1")
    server.command("GET", "there")
    async with watching(config(server)) as watched:
        state = await watched.checked("queue")
        assert (state.result, state.message) == ("ok", None)
        assert state.counts == {(OPERATIONS,): 0, (HITS,): 0, (MISSES,): 0}  # what was before is history

        for _ in range(3):
            server.command("GET", "there")
        server.command("GET", "away")
        state = await watched.again("queue")
        assert (state.counts[HITS,], state.counts[MISSES,]) == (3, 1)
        operations = state.counts[OPERATIONS,]
        assert operations >= 4

        server.stop()
        state = await watched.until("queue", lambda state: state.result == "refused")
        assert (state.counts[HITS,], state.counts[MISSES,]) == (3, 1)

        server.start()
        # More than before the restart: only its run_id tells that these are all new.
        server.command("SET", "there", "1")
        for _ in range(7):
            server.command("GET", "there")
        state = await watched.until("queue", lambda state: state.is_healthy and state.counts[HITS,] >= 10)
        state = await watched.again("queue")
        assert (state.counts[HITS,], state.counts[MISSES,]) == (10, 1)
        assert state.counts[OPERATIONS,] > operations

        server.command("CONFIG", "RESETSTAT")
        server.command("GET", "there")
        assert (await watched.again("queue")).counts[HITS,] == 11


async def test_a_login_that_is_refused_is_not_tried_again_and_again(tmp_path: Path) -> None:
    with redis_server(tmp_path, password=PASSWORD) as server:
        right, wrong = Secret(PASSWORD), Secret("sentinel-that-is-wrong")
        async with watching(
            config(server, password=right),
            config(server, name="wrong", password=wrong),
            config(server, name="none"),
            config(server, name="database", password=right, url=f"{server.url.removesuffix('/0')}/99"),
        ) as watched:
            assert (await watched.checked("queue")).result == "ok"
            assert (await watched.checked("none")).result == "auth"
            assert (await watched.checked("database")).result == "answer"
            state = await watched.checked("wrong")
            assert state.result == "auth"
            assert "sentinel" not in str(state)
            state = await watched.again("wrong", 3)
            assert state.result == "auth"
            refused = [
                line for line in server.command("INFO", "errorstats").decode().splitlines() if "WRONGPASS" in line
            ]
            assert refused == ["errorstat_WRONGPASS:count=1"]


async def test_a_password_from_a_file_is_read_at_each_login(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text(PASSWORD)
    with redis_server(tmp_path / "redis", password=PASSWORD) as server:
        secret = Secret((FileReference("password", str(file)),))
        async with watching(config(server, password=secret)) as watched:
            assert (await watched.checked("queue")).result == "ok"
            server.command("CONFIG", "SET", "requirepass", PASSWORD + "-2")
            server.password = PASSWORD + "-2"
            file.write_text(PASSWORD + "-2")
            await watched.again("queue")
            state = await watched.until("queue", lambda state: state.is_healthy)
            file.unlink()
            state = await watched.until("queue", lambda state: not state.is_healthy)
            assert state.result == "vault"


async def test_a_user_who_may_not_ask_for_info_gets_no_counters(server: RedisServer) -> None:
    server.command("ACL", "SETUSER", "monitor", "on", f">{PASSWORD}", "+ping")
    async with watching(config(server, username="monitor", password=Secret(PASSWORD), url=server.url[:-2])) as watched:
        state = await watched.checked("queue")
        assert (state.result, state.counts) == ("ok", {})


async def test_tls(tmp_path: Path, authority: trustme.CA, ca_file: str) -> None:
    issued, key = authority.issue_cert(HOST), tmp_path / "server.pem"
    issued.private_key_and_cert_chain_pem.write_to_path(str(key))
    port = free_port()
    options = ["--tls-port", str(port), "--tls-cert-file", str(key), "--tls-key-file", str(key)]
    with redis_server(
        tmp_path, options=[*options, "--tls-auth-clients", "no", "--tls-ca-cert-file", ca_file]
    ) as server:
        async with watching(
            config(server, url=f"rediss://{HOST}:{port}", ca_file=ca_file),
            config(server, name="untrusted", url=f"rediss://{HOST}:{port}"),
            config(server, name="no-file", url=f"rediss://{HOST}:{port}", ca_file="/nowhere"),
        ) as watched:
            assert (await watched.checked("queue")).result == "ok"
            state = await watched.checked("untrusted")
            assert state.result == "tls"
            assert "not trusted" in str(state.message)
            assert (
                await watched.checked("no-file")
            ).message == "ca_file '/nowhere' cannot be used: No such file or directory"
