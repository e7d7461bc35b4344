"""A Vault for a module's tests, and the exporter's client for it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from support.vault_server import VaultServer, running_vault

from exporter.config.model import Duration, VaultAuth
from exporter.config.model import Vault as Config
from exporter.config.secrets import Secret
from exporter.credentials import CredentialsError
from exporter.demo.postgres import PostgresServer
from exporter.vault import client

#: How long the end may take in production.
REVOKING, LOGGING_OUT = client.REVOKING, client.LOGGING_OUT


@pytest.fixture(scope="session")
def vault_server() -> Iterator[VaultServer]:
    """One OpenBao with both KV engines. A test that seals or stops it takes ``own_vault_server``."""
    with running_vault() as server:
        server.enable_kv(version=1)
        server.enable_kv(version=2)
        yield server


@pytest.fixture(scope="module")
def troubled_server(postgres_server: PostgresServer) -> Iterator[VaultServer]:
    """An OpenBao for a module's tests that seal and stop it, with KV version 2 and a database engine."""
    with running_vault(database=postgres_server) as server:
        yield server


@pytest.fixture
def own_vault_server(troubled_server: VaultServer) -> Iterator[VaultServer]:
    """The same, running and unsealed whatever the test before did."""
    yield troubled_server
    troubled_server.revive()


@pytest.fixture(autouse=True)
def patient_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is revoked at the end is, however slow the machine: how long that may take is ``hurried_end``'s."""
    monkeypatch.setattr(client, "REVOKING", 60.0)
    monkeypatch.setattr(client, "LOGGING_OUT", 60.0)


@pytest.fixture
def hurried_end(patient_end: None, monkeypatch: pytest.MonkeyPatch) -> float:
    """The end takes no longer than in production: seconds."""
    monkeypatch.setattr(client, "REVOKING", REVOKING)
    monkeypatch.setattr(client, "LOGGING_OUT", LOGGING_OUT)
    return REVOKING + LOGGING_OUT


async def at_some_pace(story: Callable[[int], Awaitable[None]], *ttls: int) -> None:
    """Tell ``story`` with a ttl (s), and where it fails with a longer one: a machine may stand still for that long.

    What fails with the longest fails.
    """
    for ttl in ttls[:-1]:
        try:
            await story(ttl)
        except (AssertionError, CredentialsError) as error:
            print(f"again, slower than with a ttl of {ttl} s: {error}")
        else:
            return
    await story(ttls[-1])


def token_auth(token: str) -> VaultAuth:
    """Log in with a token."""
    return VaultAuth(method="token", token=Secret(token))


def config_for(server: VaultServer, auth: VaultAuth | None = None, **changes: Any) -> Config:
    """The configuration with a token that may read, unless there is another way to log in; no deadline is short."""
    auth = auth or token_auth(server.new_token(ttl="1h"))
    ca_cert = str(server.ca_cert) if server.ca_cert else None
    values = {"address": server.address, "auth": auth, "ca_cert": ca_cert, "timeout": Duration(30)}
    return Config(**{**values, **changes})
