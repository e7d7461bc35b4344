"""Secrets from a real Vault: both versions of KV, read once for all, read again when they changed."""

from __future__ import annotations

import asyncio
import time

import pytest
from support.vault_server import VaultServer
from vault.conftest import config_for

from exporter.config.model import VaultCredential
from exporter.config.secrets import Secret
from exporter.credentials import Credentials, CredentialsError
from exporter.vault import Vault


async def test_both_versions_are_read(vault_server: VaultServer) -> None:
    one = vault_server.put("kv/both", username="u1", password="p1", port=5432)
    two = vault_server.put("secret/data/both", username="u2", password="p2")
    async with Vault(config_for(vault_server)) as vault:
        assert (await vault.read(one)).fields == {"username": "u1", "password": "p1", "port": "5432"}
        assert (await vault.read(two)).fields == {"username": "u2", "password": "p2"}


async def test_a_thousand_who_ask_cause_one_request(vault_server: VaultServer) -> None:
    path = vault_server.put("secret/data/shared", username="u", password="p")
    async with Vault(config_for(vault_server)) as vault:
        sources = [vault.source(VaultCredential(path=path)) for _ in range(1000)]
        found = await asyncio.gather(*(source.current() for source in sources))
        assert set(found) == {Credentials("u", Secret("p"))}
        assert vault.requests["read", "success"] == 1


async def test_fields_have_names_and_the_user_may_be_known(vault_server: VaultServer) -> None:
    path = vault_server.put("secret/data/named", login="u", pw="p")
    credential = VaultCredential(path=path, user_field="login", password_field="pw")
    async with Vault(config_for(vault_server)) as vault:
        assert await vault.source(credential).current() == Credentials("u", Secret("p"))
        assert await vault.source(credential, user="me").current() == Credentials("me", Secret("p"))
        with pytest.raises(CredentialsError, match=r"secret/data/named in Vault has no field username.*login, pw"):
            await vault.source(VaultCredential(path=path)).current()


async def test_what_was_refused_is_read_again(vault_server: VaultServer) -> None:
    path = vault_server.put("secret/data/rotated", username="u", password="old")
    async with Vault(config_for(vault_server)) as vault:
        source = vault.source(VaultCredential(path=path))
        old = await source.current()
        vault_server.put(path, username="u", password="new")
        assert await source.current() == old
        assert await source.renewed(old) == Credentials("u", Secret("new"))
        assert await source.current() == Credentials("u", Secret("new"))
        assert await source.renewed(old) == Credentials("u", Secret("new"))
        assert vault.requests["read", "success"] == 2


async def test_what_does_not_change_is_asked_for_less_and_less(vault_server: VaultServer) -> None:
    path = vault_server.put("secret/data/wrong", username="u", password="wrong")
    async with Vault(config_for(vault_server)) as vault:
        source = vault.source(VaultCredential(path=path))
        refused = await source.current()
        began = time.monotonic()
        while time.monotonic() < began + 2.5:
            await source.renewed(refused)
            await asyncio.sleep(0.01)
        # After two seconds, four more, eight more: a machine that stood still meanwhile has seen more than the first.
        assert vault.requests["read", "success"] <= (2 if time.monotonic() < began + 5 else 3)


async def test_what_is_wrong_is_told_apart(vault_server: VaultServer) -> None:
    vault_server.put("secret/data/there", username="u", password="p")
    async with Vault(config_for(vault_server)) as vault:
        for path, text in {
            "secret/data/missing": r"^secret/data/missing: Vault at http://[^ ]+ has nothing there \(404\)$",
            "secret/there": r"^secret/there: .* denies this \(403\)$",
            "other/thing": "denies this",
        }.items():
            with pytest.raises(CredentialsError, match=text):
                await vault.read(path)
        assert vault.requests["read", "not_found"] == 1
        assert vault.requests["read", "denied"] == 2


async def test_without_a_section_everybody_is_told() -> None:
    async with Vault(None) as vault:
        with pytest.raises(CredentialsError, match="no section vault"):
            await vault.read("secret/data/x")
        with pytest.raises(CredentialsError, match="no section vault"):
            await vault.source(VaultCredential(path="x")).current()
