"""Vault sealed, gone, silent: what holds goes on, the others fail at once, Vault is spared, and all comes back."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Iterator

import pytest
from support import faulty_servers
from support.polling import until
from support.postgres import Database
from support.vault_server import VaultServer, running_vault
from vault.conftest import config_for, token_auth

from exporter.config.model import Duration, VaultCredential
from exporter.config.model import Vault as Config
from exporter.credentials import CredentialsError
from exporter.vault import Vault, line


def asked(vault: Vault) -> int:
    """How many requests there were, probes included."""
    return sum(vault.requests.values())


async def answers(ask: Callable[[], Awaitable[object]], seconds: float = 20) -> float:
    """Ask until there is an answer; how long that took."""
    began = time.monotonic()
    while True:
        try:
            await ask()
        except CredentialsError:
            assert time.monotonic() - began < seconds, "no answer in time"
            await asyncio.sleep(0.05)
        else:
            return time.monotonic() - began


async def test_sealed_and_unsealed(own_vault_server: VaultServer) -> None:
    server = own_vault_server
    known, new = (server.put(f"secret/data/{name}", password=name) for name in ("known", "new"))
    async with Vault(config_for(server)) as vault:
        await vault.read(known)
        await asyncio.to_thread(server.seal)
        before, began = asked(vault), time.monotonic()
        while time.monotonic() - began < 3:
            assert (await vault.read(known)).fields == {"password": "known"}
            outcomes = await asyncio.gather(*(vault.read(new) for _ in range(100)), return_exceptions=True)
            assert {str(outcome) for outcome in outcomes} == {f"Vault at {server.address} is sealed"}
            await asyncio.sleep(0.05)
        assert vault.state.up is False
        assert asked(vault) - before <= 6, "one probe at a time, with growing pauses"
        assert vault.requests["health", "sealed"] >= 2
        await asyncio.to_thread(server.unseal)
        assert await answers(lambda: vault.read(new)) < 10
        assert vault.state.up is True


async def test_a_lease_that_ends_while_vault_is_sealed(own_vault_server: VaultServer) -> None:
    server = own_vault_server
    path = server.dynamic_role(ttl="3s", max_ttl="1h")
    async with Vault(config_for(server)) as vault:
        source = vault.source(VaultCredential(role=path))
        first = await source.current()
        await asyncio.to_thread(server.seal)
        await asyncio.sleep(4)
        assert await source.current() == first, "a sealed Vault takes nothing back"
        with pytest.raises(CredentialsError, match="is sealed"):
            await source.renewed(first)
        await asyncio.to_thread(server.unseal)
        deadline = time.monotonic() + 20
        while await source.current() == first:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.05)
    assert server.leases(path) == []


async def test_stopped_and_started(own_vault_server: VaultServer) -> None:
    server = own_vault_server
    path = server.put("secret/data/x", password="p")
    config = config_for(server)
    server.kill()
    async with Vault(config) as vault:
        with pytest.raises(CredentialsError, match="cannot be reached: Connection refused"):
            await vault.read(path)
        await asyncio.to_thread(server.start)
        assert await answers(lambda: vault.read(path)) < 10
        server.kill()
        assert (await vault.read(path)).fields
        with pytest.raises(CredentialsError, match="cannot be reached"):
            await vault.read(path, fetched_after=time.monotonic())


async def test_silent(own_vault_server: VaultServer) -> None:
    with faulty_servers.swallows_everything() as port:
        config = Config(
            address=f"http://127.0.0.1:{port}", auth=config_for(own_vault_server).auth, timeout=Duration(0.5)
        )
        async with Vault(config) as vault:
            source = vault.source(VaultCredential(role="database/creds/x"))
            began = time.monotonic()
            outcomes = await asyncio.gather(
                *(vault.read("secret/data/x") for _ in range(50)), source.current(), return_exceptions=True
            )
            assert {str(outcome) for outcome in outcomes} == {f"Vault at {config.address} did not answer in time"}
            assert time.monotonic() - began < 3
            began = time.monotonic()
        assert time.monotonic() - began < 6


@contextlib.contextmanager
def answering(chunks: Callable[[], Iterator[bytes]]) -> Iterator[int]:
    """The port of a server that answers every request with these."""

    def serve(listener: socket.socket) -> None:
        with contextlib.suppress(OSError):  # closed: the end
            while True:
                client, _ = listener.accept()
                threading.Thread(target=answer, args=(client,), daemon=True).start()

    def answer(client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            client.recv(65536)
            client.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 9000000\r\n\r\n")
            for chunk in chunks():
                client.sendall(chunk)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, args=(listener,), daemon=True).start()
        yield listener.getsockname()[1]


def drops() -> Iterator[bytes]:
    while True:
        time.sleep(0.1)
        yield b" "


def floods() -> Iterator[bytes]:
    while True:
        yield b" " * 65536


@pytest.mark.parametrize(("chunks", "text"), [(drops, "did not answer in time"), (floods, "the answer is larger than")])
async def test_an_answer_without_an_end(chunks: Callable[[], Iterator[bytes]], text: str) -> None:
    with answering(chunks) as port:
        config = Config(address=f"http://127.0.0.1:{port}", auth=token_auth("t"), timeout=Duration(0.5))
        async with Vault(config) as vault:
            began = time.monotonic()
            with pytest.raises(CredentialsError, match=text):
                await vault.read("secret/data/x")
            assert time.monotonic() - began < 3


async def test_away_at_the_end(own_vault_server: VaultServer) -> None:
    path = own_vault_server.dynamic_role()
    async with Vault(config_for(own_vault_server)) as vault:
        await vault.source(VaultCredential(role=path)).current()
        own_vault_server.kill()
        began = time.monotonic()
    assert time.monotonic() - began < 6


async def test_moving_to_another_vault(own_vault_server: VaultServer, database: Database) -> None:
    with running_vault() as other:
        other.enable_kv()
        other.enable_database(database.server)
        for server in (own_vault_server, other):
            server.put("secret/data/x", password=str(server.port))
            path = server.dynamic_role("moving")
        async with Vault(config_for(own_vault_server)) as vault:
            source = vault.source(VaultCredential(role=path))
            first = await source.current()
            await vault.read("secret/data/x")
            await vault.apply(config_for(other))
            deadline = time.monotonic() + 20
            while await source.current() == first or (await vault.read("secret/data/x")).fields["password"] != str(
                other.port
            ):
                assert time.monotonic() < deadline
                await asyncio.sleep(0.05)
            assert len(own_vault_server.leases(path)) == 1, "who is connected with it may finish"
            await vault.apply(config_for(other, token_auth(other.new_token(ttl="1h"))))
            assert await answers(source.current) < 10
        # Both drop a role of one database at once; where that gets into each other's way, Vault itself tries again.
        await asyncio.to_thread(until, lambda: own_vault_server.leases(path) == other.leases(path) == [], 60, "revoked")


async def test_many_requests_do_not_hold_the_loop(vault_server: VaultServer) -> None:
    paths = [vault_server.put(f"kv/many/{i}", password="p") for i in range(40)]
    async with Vault(config_for(vault_server, max_concurrent_requests=2)) as vault:
        reading = asyncio.gather(*(vault.read(path) for path in paths))
        worst = 0.0
        while not reading.done():
            began = time.monotonic()
            await asyncio.sleep(0.005)
            worst = max(worst, time.monotonic() - began)
        assert len(await reading) == 40
        assert worst < 0.5


async def test_a_lease_that_comes_too_late_is_revoked(
    vault_server: VaultServer, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = vault_server
    server.enable_database(database.server)
    path = server.dynamic_role("late")
    with slow_proxy(server.port) as (port, delay):
        config = config_for(server, address=f"http://127.0.0.1:{port}", timeout=Duration(5))
        async with Vault(config) as vault:
            source = vault.source(VaultCredential(role=path))
            await vault.read(server.put("secret/data/ready", password="p"))
            monkeypatch.setattr(line, "_LIMIT", 0.1)  # half a second
            delay.append(1.0)
            with pytest.raises(CredentialsError, match="did not answer in time"):
                await source.current()
            assert len(server.leases(path)) == 1
            delay.clear()
            monkeypatch.undo()
            await answers(source.current)
            deadline = time.monotonic() + 20
            while vault.requests.get(("revoke_lease", "success"), 0) == 0:
                assert time.monotonic() < deadline
                await asyncio.sleep(0.1)
            assert len(server.leases(path)) == 1, "the late one is gone"
    assert server.leases(path) == []


async def test_a_lease_that_is_being_made_at_the_end_is_revoked(vault_server: VaultServer, database: Database) -> None:
    server = vault_server
    server.enable_database(database.server)
    path = server.dynamic_role("at-the-end")
    with slow_proxy(server.port) as (port, delay):
        async with Vault(config_for(server, address=f"http://127.0.0.1:{port}")) as vault:
            await vault.read(server.put("secret/data/ready", password="p"))
            delay.append(0.3)
            asking = asyncio.create_task(vault.source(VaultCredential(role=path)).current())
            deadline = time.monotonic() + 20
            while not await asyncio.to_thread(server.leases, path):
                assert time.monotonic() < deadline
            assert not asking.done()
        with pytest.raises(CredentialsError, match="not used any more"):
            await asking
    assert server.leases(path) == []


@contextlib.contextmanager
def slow_proxy(target: int) -> Iterator[tuple[int, list[float]]]:
    """A port that leads to ``target``; what comes back waits for as many seconds as are in the list."""
    delay: list[float] = []

    def back(source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                time.sleep(sum(delay))
                sink.sendall(data)

    def forth(client: socket.socket) -> None:
        with client, socket.create_connection(("127.0.0.1", target)) as server, contextlib.suppress(OSError):
            answering = threading.Thread(target=back, args=(server, client), daemon=True)
            answering.start()
            while data := client.recv(65536):
                server.sendall(data)
            server.shutdown(socket.SHUT_RDWR)
            answering.join()

    def serve(listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=forth, args=(listener.accept()[0],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, args=(listener,), daemon=True).start()
        yield listener.getsockname()[1], delay
