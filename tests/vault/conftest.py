"""A Vault for a module's tests, and the exporter's client for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from support.vault_server import VaultServer, running_vault

from exporter.config.model import Vault as Config
from exporter.config.model import VaultAuth
from exporter.config.secrets import Secret
from exporter.demo.postgres import PostgresServer


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


def token_auth(token: str) -> VaultAuth:
    """Log in with a token."""
    return VaultAuth(method="token", token=Secret(token))


def config_for(server: VaultServer, auth: VaultAuth | None = None, **changes: Any) -> Config:
    """The configuration with a token that may read, unless there is another way to log in."""
    auth = auth or token_auth(server.new_token(ttl="1h"))
    ca_cert = str(server.ca_cert) if server.ca_cert else None
    return Config(**{"address": server.address, "auth": auth, "ca_cert": ca_cert, **changes})
