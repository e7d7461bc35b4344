"""Roles of a database engine: leases made once for all, renewed, replaced in time, revoked; static ones followed."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterator

import psycopg
import pytest
from psycopg import sql
from support.postgres import Database
from support.vault_server import VaultServer
from vault.conftest import at_some_pace, config_for, token_auth

from exporter.config.model import VaultCredential
from exporter.credentials import Credentials, CredentialsError, CredentialSource
from exporter.demo.postgres import PostgresServer
from exporter.vault import Vault, client

SECONDS = 60.0


async def eventually(check: Callable[[], bool], what: str, seconds: float = SECONDS) -> None:
    """Wait without holding the loop."""
    deadline = time.monotonic() + seconds
    while not await asyncio.to_thread(check):
        assert time.monotonic() < deadline, what
        await asyncio.sleep(0.1)


def logs_in(server: PostgresServer, credentials: Credentials, dbname: str = "postgres") -> bool:
    """Whether the server takes them."""
    assert credentials.user is not None
    assert credentials.password is not None
    try:
        psycopg.connect(server.dsn(dbname, credentials.user, credentials.password.reveal())).close()
    except psycopg.OperationalError:
        return False
    return True


@pytest.fixture(scope="module")
def engine(vault_server: VaultServer, postgres_server: PostgresServer) -> VaultServer:
    """The server with a database engine."""
    vault_server.enable_database(postgres_server)
    return vault_server


@contextlib.asynccontextmanager
async def opened(server: VaultServer, path: str) -> AsyncIterator[tuple[Vault, CredentialSource]]:
    async with Vault(config_for(server)) as vault:
        yield vault, vault.source(VaultCredential(role=path), connection="target")


async def test_a_thousand_share_one_lease_that_is_revoked_in_the_end(
    engine: VaultServer, postgres_server: PostgresServer
) -> None:
    path = engine.dynamic_role("shared")
    async with Vault(config_for(engine)) as vault:
        sources = [vault.source(VaultCredential(role=path), connection=f"t{i}") for i in range(1000)]
        found = await asyncio.gather(*(source.current() for source in sources))
        assert len(set(found)) == 1
        assert len(engine.leases(path)) == 1
        assert vault.requests["credentials", "success"] == 1
        assert logs_in(postgres_server, found[0])
        assert len(vault.state.leases) == 1000
        assert abs(vault.state.leases["t0"] - time.time() - 3600) < 60
    await eventually(lambda: engine.leases(path) == [], "revoked")
    assert not logs_in(postgres_server, found[0])
    assert vault.requests["revoke_lease", "success"] == 1


async def test_a_lease_is_renewed_before_it_ends(engine: VaultServer, postgres_server: PostgresServer) -> None:
    async def story(ttl: int) -> None:
        path = engine.dynamic_role("renewed", ttl=f"{ttl}s", max_ttl="1h")
        async with opened(engine, path) as (vault, source):
            first = await source.current()
            await eventually(lambda: vault.requests.get(("renew_lease", "success"), 0) >= 2, "renewed", 3 * ttl)
            assert await source.current() == first
            assert logs_in(postgres_server, first)
            assert vault.requests["credentials", "success"] == 1
        await eventually(lambda: engine.leases(path) == [], "revoked")

    await at_some_pace(story, 2, 8, 30)


async def test_near_its_end_a_lease_is_replaced_while_it_still_holds(
    engine: VaultServer, postgres_server: PostgresServer
) -> None:
    async def story(ttl: int) -> None:
        path = engine.dynamic_role("replaced", ttl=f"{ttl}s", max_ttl=f"{3 * ttl // 2}s")
        async with opened(engine, path) as (_, source):
            seen: list[Credentials] = []
            until = time.monotonic() + 2.75 * ttl
            while time.monotonic() < until:
                credentials = await source.current()
                if credentials not in seen:
                    if seen:  # those that were in use a moment ago still hold
                        assert await asyncio.to_thread(logs_in, postgres_server, seen[-1])
                    seen.append(credentials)
                assert await asyncio.to_thread(logs_in, postgres_server, credentials)
                await asyncio.sleep(0.1)
            assert len(seen) >= 2
        # One that Vault ended itself it may still be about to remove.
        await eventually(lambda: engine.leases(path) == [], "revoked")

    await at_some_pace(story, 2, 8, 30)


async def test_what_nobody_uses_any_more_is_revoked(engine: VaultServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "LINGER", 0.3)
    path = engine.dynamic_role("released")
    async with Vault(config_for(engine)) as vault:
        one, two = (vault.source(VaultCredential(role=path)) for _ in range(2))
        assert await one.current() == await two.current()
        await vault.release(one)
        await vault.release(one)
        await asyncio.sleep(0.6)
        assert len(engine.leases(path)) == 1
        await vault.release(two)
        # A reload gives targets up and takes them again: that costs nothing.
        three = vault.source(VaultCredential(role=path))
        await asyncio.sleep(0.6)
        await three.current()
        assert vault.requests["credentials", "success"] == 1
        await vault.release(three)
        await eventually(lambda: engine.leases(path) == [], "revoked")


async def test_a_user_that_was_dropped_is_replaced(engine: VaultServer, postgres_server: PostgresServer) -> None:
    path = engine.dynamic_role("dropped")
    async with opened(engine, path) as (vault, source):
        first = await source.current()
        with psycopg.connect(postgres_server.dsn(), autocommit=True) as admin:
            admin.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(first.user or "")))
        fresh = await asyncio.gather(*(source.renewed(first) for _ in range(50)))
        assert len(set(fresh)) == 1
        assert fresh[0] != first
        assert logs_in(postgres_server, fresh[0])
        assert vault.requests["credentials", "success"] == 2


async def test_a_lease_revoked_behind_our_back_is_replaced(engine: VaultServer) -> None:
    path = engine.dynamic_role("revoked", ttl="3s", max_ttl="1h")
    async with opened(engine, path) as (_, source):
        first = await source.current()
        engine.client().sys.revoke_lease(engine.leases(path)[0])
        deadline = time.monotonic() + SECONDS
        while await source.current() == first:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.1)


async def test_without_the_right_to_renew_leases_are_replaced(
    engine: VaultServer, postgres_server: PostgresServer
) -> None:
    async def story(ttl: int) -> None:
        path = engine.dynamic_role("unrenewed", ttl=f"{ttl}s", max_ttl="1h")
        engine.write_policy("no-renewal", f'path "{path}" {{ capabilities = ["read"] }}')
        engine.write_policy("self", 'path "auth/token/lookup-self" { capabilities = ["read"] }')
        token = engine.new_token("no-renewal", "self", no_default_policy=True, ttl="1h")
        async with Vault(config_for(engine, token_auth(token))) as vault:
            source = vault.source(VaultCredential(role=path))
            until = time.monotonic() + 1.5 * ttl
            while time.monotonic() < until:
                assert await asyncio.to_thread(logs_in, postgres_server, await source.current())
                await asyncio.sleep(0.2)
            assert vault.requests["renew_lease", "denied"] == 1
            assert vault.requests["credentials", "success"] >= 2

    await at_some_pace(story, 2, 8, 30)


@pytest.fixture
def static_user(database: Database) -> Iterator[str]:
    """A user whose password the engine changes."""
    name = f"static_{database.name}"
    with database.connect() as admin:
        admin.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'first'").format(sql.Identifier(name)))
    yield name
    with database.connect() as admin:
        admin.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))


async def test_a_static_role_is_followed_as_it_rotates(
    engine: VaultServer, postgres_server: PostgresServer, static_user: str
) -> None:
    async def story(rotation: int) -> None:
        path = engine.static_role(f"static-{rotation}", static_user, rotation=rotation)
        try:
            async with opened(engine, path) as (vault, source):
                first = await source.current()
                assert first.user == static_user
                assert logs_in(postgres_server, first)
                deadline = time.monotonic() + 4 * rotation
                while (second := await source.current()) == first:
                    assert time.monotonic() < deadline
                    await asyncio.sleep(0.1)
                assert logs_in(postgres_server, second)
                assert vault.requests["credentials", "success"] <= 8
                assert vault.state.leases == {}
        finally:
            engine.client().secrets.database.delete_static_role(name=f"static-{rotation}")

    await at_some_pace(story, 5, 20, 40)


async def test_a_static_role_rotated_by_hand_is_read_again_when_refused(
    engine: VaultServer, postgres_server: PostgresServer, static_user: str
) -> None:
    path = engine.static_role("by-hand", static_user)
    async with opened(engine, path) as (_, source):
        first = await source.current()
        engine.rotate_static("by-hand")
        assert not logs_in(postgres_server, first)
        second = await source.renewed(first)
        assert second != first
        assert logs_in(postgres_server, second)
    engine.client().secrets.database.delete_static_role(name="by-hand")


async def test_a_role_taken_for_a_secret_leaves_no_lease(engine: VaultServer) -> None:
    path = engine.dynamic_role("taken")
    async with Vault(config_for(engine)) as vault:
        with pytest.raises(CredentialsError, match="write role: database/creds/taken in place of path"):
            await vault.source(VaultCredential(path=path)).current()
        await eventually(lambda: engine.leases(path) == [], "revoked")


async def test_a_role_that_is_wrong_is_told_to_all_and_asked_for_seldom(engine: VaultServer) -> None:
    async with Vault(config_for(engine)) as vault:
        source = vault.source(VaultCredential(role="database/creds/nothing"))
        until = time.monotonic() + 1.5
        while time.monotonic() < until:
            with pytest.raises(CredentialsError, match=r"Vault at http.*nothing"):
                await source.current()
            await asyncio.sleep(0.01)
        assert sum(n for (what, _), n in vault.requests.items() if what == "credentials") <= 3
