"""What must not be seen is not: in no log, of ours, hvac's or urllib3's, and in no object's repr."""

from __future__ import annotations

import logging
import traceback

import pytest
from support.vault_server import VaultServer
from vault.conftest import config_for

from exporter.config.model import VaultAuth, VaultCredential
from exporter.config.secrets import Secret
from exporter.credentials import CredentialsError
from exporter.demo.postgres import PostgresServer
from exporter.vault import Vault

PASSWORD = "Sentinel9zK-password"


async def test_secrets_are_in_no_log_and_no_repr(
    vault_server: VaultServer,
    postgres_server: PostgresServer,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    server = vault_server
    server.enable_database(postgres_server)
    role = server.dynamic_role("hidden")
    kept = server.put("secret/data/hidden", username="u", password=PASSWORD)
    client = server.client()
    client.sys.enable_auth_method("approle")
    client.auth.approle.create_or_update_approle("hidden", token_policies=[server.write_policy()])
    role_id = client.auth.approle.read_role_id("hidden")["data"]["role_id"]
    wrapping = client.auth.approle.generate_secret_id("hidden", wrap_ttl="60s")["wrap_info"]["token"]
    auth = VaultAuth(method="approle", role_id=role_id, secret_id=Secret(wrapping), secret_id_wrapped=True)
    caplog.clear()

    shown: list[str] = []
    async with Vault(config_for(server, auth)) as vault:
        sources = [vault.source(VaultCredential(role=role)), vault.source(VaultCredential(path=kept))]
        credentials = [await source.current() for source in sources]
        fetched = await vault.read(kept)
        for path in ("secret/data/none", "sys/mounts"):
            with pytest.raises(CredentialsError) as caught:
                await vault.read(path)
            shown += traceback.format_exception(caught.value)
        (lease_id,) = server.leases(role)
        hidden = [wrapping, lease_id, PASSWORD]
        hidden += [each.password.reveal() for each in credentials if each.password is not None]
        session = vault._session
        assert session is not None
        token = await session.token()
        hidden += [token.value.reveal(), *(value.reveal() for value in vault._unwrapped.values())]
        keepers = [vars(each) for each in (vault, session, *vault._roles.values())]
        shown.append(repr([keepers, sources, credentials, fetched, token]))
    records = [f"{record.name} {record.getMessage()} {record.exc_text}" for record in caplog.records]
    assert any(record.startswith("urllib3") for record in records), "they do log at this level"
    shown += [*records, *capsys.readouterr()]
    assert len(set(hidden)) == 6
    for secret in hidden:
        for text in shown:
            assert secret not in text


async def test_a_secret_id_that_is_refused_is_not_repeated(vault_server: VaultServer) -> None:
    client = vault_server.client()
    if "approle/" not in client.sys.list_auth_methods()["data"]:
        client.sys.enable_auth_method("approle")
    auth = VaultAuth(method="approle", role_id="Sentinel9zK-role", secret_id=Secret("Sentinel9zK-secret-id"))
    async with Vault(config_for(vault_server, auth)) as vault:
        with pytest.raises(CredentialsError, match="logging in by approle failed") as caught:
            await vault.read("secret/data/x")
        assert "Sentinel9zK" not in "".join(traceback.format_exception(caught.value))
