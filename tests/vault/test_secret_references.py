"""What references stand for: literal texts, files, fields in a real Vault; what is told when it is nothing."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest
from support.vault_server import VaultServer
from vault.conftest import config_for

from exporter.config.model import Dsn
from exporter.config.references import FileReference, VaultReference
from exporter.config.secrets import Secret
from exporter.credentials import Credentials, CredentialsError
from exporter.logs import MOST_FETCHED, Scrubber, scrubber
from exporter.vault import Vault
from exporter.vault.references import Secrets

PATH = "secret/data/referred"
PASSWORD = VaultReference(PATH, "password")


def from_file(path: Path) -> FileReference:
    return FileReference(path.name, str(path))


async def told(secrets: Secrets, reference: FileReference | VaultReference) -> str:
    with pytest.raises(CredentialsError) as caught:
        await secrets.value(Secret((reference,)))
    return str(caught.value)


async def test_values_are_those_of_now(vault_server: VaultServer, tmp_path: Path) -> None:
    file = tmp_path / "part"
    file.write_text("from-a-file\n")
    vault_server.put(PATH, password="from-vault", pin=1234)
    async with Vault(config_for(vault_server)) as vault:
        secrets = Secrets(vault)
        assert await secrets.value(Secret("literal")) == "literal"
        mixed = Secret(("a ", from_file(file), " ", PASSWORD, " ", VaultReference(PATH, "pin")))
        assert await secrets.value(mixed) == "a from-a-file from-vault 1234"
        assert scrubber.text("x from-a-file y from-vault z") == "x <secret> y <secret> z"
        file.write_text("another")
        vault_server.put(PATH, password="newer", pin=1)
        assert await secrets.value(mixed, newer_than=time.monotonic()) == "a another newer 1"
        dsn = Dsn(("postgresql://u:", PASSWORD, "@h/d"))
        assert (await secrets.parameters(dsn))["password"] == "newer"
        assert await secrets.parameters(Dsn("host=h")) == {"host": "h"}


async def test_what_stands_for_nothing_is_named(vault_server: VaultServer, tmp_path: Path) -> None:
    vault_server.put(PATH, password="x", empty="")
    async with Vault(config_for(vault_server)) as vault:
        secrets = Secrets(vault)
        reference = VaultReference(PATH, "pasword")
        text = await told(secrets, reference)
        assert text == f'{reference}: no such field; did you mean "password"? (fields: empty, password)'
        assert await told(secrets, VaultReference(PATH, "empty")) == f"${{vault:{PATH}#empty}}: the field is empty"
        missing = await told(secrets, VaultReference("secret/data/nothing", "x"))
        assert missing.startswith("${vault:secret/data/nothing#x}: ")
        assert "404" in missing
    assert await told(secrets, from_file(tmp_path / "gone")) == "${file:gone}: No such file or directory"
    assert await told(Secrets(), PASSWORD) == f"{PASSWORD}: no vault is configured"
    async with Vault(None) as nothing:
        assert "no section vault" in await told(Secrets(nothing), PASSWORD)


async def test_a_login_follows_its_password(vault_server: VaultServer) -> None:
    vault_server.put(PATH, password="old")
    async with Vault(config_for(vault_server)) as vault:
        secrets = Secrets(vault)
        assert secrets.login("u", Secret("literal")) is None
        assert secrets.login("u", None) is None
        source = secrets.login("u", Secret((PASSWORD,)))
        assert source is not None
        old = await source.current()
        assert old == Credentials("u", Secret("old"))
        assert await source.renewed(old) == old
        vault_server.put(PATH, password="new")
        assert await source.current() == old, "remembered"
        for _ in range(100):  # the same answer twice is not asked for at once again
            if (new := await source.renewed(old)) != old:
                break
            await asyncio.sleep(0.1)
        assert new == Credentials("u", Secret("new"))
        before = sum(vault.requests.values())
        assert await source.renewed(old) == new, "others are known already"
        assert sum(vault.requests.values()) == before


def test_secrets_that_rotate_do_not_pile_up() -> None:
    known = Scrubber()
    known.add("first-secret", "p@ss/word", "abc")
    assert known.text("first-secret p@ss/word p%40ss%2Fword abc") == "<secret> <secret> <secret> abc"
    for number in range(MOST_FETCHED):
        known.add(f"secret-{number:06}")
        if number == MOST_FETCHED // 2:
            known.add("first-secret")  # in use still
    text = "first-secret secret-004999 p@ss/word secret-000000"
    assert known.text(text) == "<secret> <secret> p@ss/word secret-000000"
