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


async def answers(ask: Callable[[], Awaitable[object]], seconds: float = 30) -> None:
    """Ask until there is an answer: Vault is probed every five seconds, at least."""
    began = time.monotonic()
    while True:
        try:
            await ask()
        except CredentialsError:
            assert time.monotonic() - began < seconds, "no answer in time"
            await asyncio.sleep(0.05)
        else:
            return


async def revoked(*where: tuple[VaultServer, str]) -> None:
    """Wait until none of these roles has a lease: of two one may be in the other's way for a moment."""
    await asyncio.to_thread(until, lambda: not any(server.leases(path) for server, path in where), 60, "revoked")


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
        await answers(lambda: vault.read(new))
        assert vault.state.up is True


async def test_a_lease_that_ends_while_vault_is_sealed(own_vault_server: VaultServer) -> None:
    server = own_vault_server
    path = server.dynamic_role(ttl="3s", max_ttl="1h")
    async with Vault(config_for(server)) as vault:
        source = vault.source(VaultCredential(role=path))
        await source.current()
        await asyncio.to_thread(server.seal)
        first = await source.current()
        await asyncio.sleep(4)
        assert await source.current() == first, "a sealed Vault takes nothing back"
        with pytest.raises(CredentialsError, match="is sealed"):
            await source.renewed(first)
        await asyncio.to_thread(server.unseal)
        deadline = time.monotonic() + 60
        while await source.current() == first:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.05)
    await revoked((server, path))


async def test_stopped_and_started(own_vault_server: VaultServer) -> None:
    server = own_vault_server
    path = server.put("secret/data/x", password="p")
    config = config_for(server)
    server.kill()
    async with Vault(config) as vault:
        with pytest.raises(CredentialsError, match="cannot be reached: Connection refused"):
            await vault.read(path)
        await asyncio.to_thread(server.start)
        await answers(lambda: vault.read(path))
        server.kill()
        assert (await vault.read(path)).fields
        with pytest.raises(CredentialsError, match="cannot be reached"):
            await vault.read(path, fetched_after=time.monotonic())


async def test_silent(own_vault_server: VaultServer, hurried_end: float) -> None:
    with faulty_servers.swallows_everything() as port:
        config = Config(
            address=f"http://127.0.0.1:{port}", auth=config_for(own_vault_server).auth, timeout=Duration(0.5)
        )
        async with Vault(config) as vault:
            source = vault.source(VaultCredential(role="database/creds/x"))
            outcomes = await asyncio.gather(
                *(vault.read("secret/data/x") for _ in range(50)), source.current(), return_exceptions=True
            )
            assert {str(outcome) for outcome in outcomes} == {f"Vault at {config.address} did not answer in time"}
            assert asked(vault) <= 5, "those who wait behind one that was not answered are told the same"
            began = time.monotonic()
        assert time.monotonic() - began < hurried_end + 10


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


@pytest.mark.parametrize(
    ("chunks", "timeout", "text"),
    [(drops, 0.5, "did not answer in time"), (floods, 30, "the answer is larger than")],
)
async def test_an_answer_without_an_end(chunks: Callable[[], Iterator[bytes]], timeout: float, text: str) -> None:
    with answering(chunks) as port:
        config = Config(address=f"http://127.0.0.1:{port}", auth=token_auth("t"), timeout=Duration(timeout))
        async with Vault(config) as vault, asyncio.timeout(20):
            with pytest.raises(CredentialsError, match=text):
                await vault.read("secret/data/x")


async def test_away_at_the_end(own_vault_server: VaultServer, hurried_end: float) -> None:
    path = own_vault_server.dynamic_role()
    async with Vault(config_for(own_vault_server)) as vault:
        await vault.source(VaultCredential(role=path)).current()
        own_vault_server.kill()
        began = time.monotonic()
    assert time.monotonic() - began < hurried_end + 10


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
            deadline = time.monotonic() + 60
            while await source.current() == first or (await vault.read("secret/data/x")).fields["password"] != str(
                other.port
            ):
                assert time.monotonic() < deadline
                await asyncio.sleep(0.05)
            assert len(own_vault_server.leases(path)) == 1, "who is connected with it may finish"
            await vault.apply(config_for(other, token_auth(other.new_token(ttl="1h"))))
            await answers(source.current)
        # Both drop a role of one database at once; where that gets into each other's way, Vault itself tries again.
        await revoked((own_vault_server, path), (other, path))


async def test_many_requests_do_not_hold_the_loop(vault_server: VaultServer) -> None:
    paths = [vault_server.put(f"kv/many/{i}", password="p") for i in range(40)]
    with holding_proxy(vault_server.port) as (port, passing):
        config = config_for(vault_server, address=f"http://127.0.0.1:{port}", max_concurrent_requests=2)
        async with Vault(config) as vault:
            await vault.read(paths[0])
            passing.clear()
            reading = asyncio.gather(*(vault.read(path) for path in paths))
            for _ in range(20):  # where the loop waited for an answer, this would wait too
                await asyncio.sleep(0.01)
            assert not reading.done()
            passing.set()
            assert len(await reading) == 40


async def test_a_lease_that_comes_too_late_is_revoked(
    vault_server: VaultServer, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = vault_server
    server.enable_database(database.server)
    path = server.dynamic_role("late")
    with holding_proxy(server.port) as (port, passing):
        config = config_for(server, address=f"http://127.0.0.1:{port}", timeout=Duration(5))
        async with Vault(config) as vault:
            source = vault.source(VaultCredential(role=path))
            await vault.read(server.put("secret/data/ready", password="p"))
            limit = line._LIMIT
            monkeypatch.setattr(line, "_LIMIT", 0.1)  # half a second
            passing.clear()
            with pytest.raises(CredentialsError, match="did not answer in time"):
                await source.current()
            await asyncio.to_thread(until, lambda: len(server.leases(path)) == 1, 60, "made, though nobody waits")
            monkeypatch.setattr(line, "_LIMIT", limit)
            passing.set()
            await answers(source.current)
            deadline = time.monotonic() + 60
            while vault.requests.get(("revoke_lease", "success"), 0) == 0:
                assert time.monotonic() < deadline
                await asyncio.sleep(0.1)
            assert len(server.leases(path)) == 1, "the late one is gone"
    await revoked((server, path))


async def test_a_lease_that_is_being_made_at_the_end_is_revoked(vault_server: VaultServer, database: Database) -> None:
    server = vault_server
    server.enable_database(database.server)
    path = server.dynamic_role("at-the-end")
    with holding_proxy(server.port) as (port, passing):
        async with Vault(config_for(server, address=f"http://127.0.0.1:{port}")) as vault:
            await vault.read(server.put("secret/data/ready", password="p"))
            passing.clear()
            asking = asyncio.create_task(vault.source(VaultCredential(role=path)).current())
            await asyncio.to_thread(until, lambda: server.leases(path), 60, "it is made")
            assert not asking.done()
            asyncio.get_running_loop().call_later(0.3, passing.set)
        with pytest.raises(CredentialsError, match="not used any more"):
            await asking
    await revoked((server, path))


@contextlib.contextmanager
def holding_proxy(target: int) -> Iterator[tuple[int, threading.Event]]:
    """A port that leads to ``target``; what comes back waits while the event is cleared."""
    passing = threading.Event()
    passing.set()

    def back(source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                passing.wait(60)
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
        yield listener.getsockname()[1], passing
