"""What is soaked: a sidecar with a store at work, targets with short leases, one target that is down, a dependency."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psycopg
from support.polling import until
from support.ports import free_port
from support.postgres import Database, fresh_database, running_server
from support.scheduler import PASSWORD, monitor
from support.sidecar import NAME, Sidecar, one_store, target
from support.vault_server import VaultServer, running_vault

from exporter.config.dsn import parse_dsn
from exporter.stores.native import ddl
from soak import workload

ADMIN: Final = "the-admin-token-of-the-soak"
#: Of the users that Vault makes: renewed twice, then made anew.
LEASE, LONGEST_LEASE = "20s", "50s"


@dataclass(frozen=True)
class World:
    """Everything that runs. ``configuration`` is the sidecar's, without the target that comes and goes."""

    database: Database
    vault: VaultServer
    sidecar: Sidecar
    configuration: dict[str, Any]
    path: str

    def configure(self, *, more: bool) -> None:
        """Write the configuration, with one target more or without it."""
        section = self.configuration["connections"]
        extra = [target("passing", self.database.server.port, vault={"role": self.path})] if more else []
        targets = {**section, "targets": [*section["targets"], *extra]}
        self.sidecar.configure({**self.configuration, "connections": targets})

    def cut(self) -> int:
        """End every session of the sidecar; returns how many there were."""
        with self.database.connect() as admin:
            found = admin.execute(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE backend_type = 'client backend'"
                " AND usename <> 'postgres'"
            ).fetchone()
        assert found is not None
        return int(found[0])

    def rows(self) -> dict[str, int]:
        """How many rows each table of the state file has."""
        file = self.sidecar.directory / "state" / "ledger.sqlite"
        with contextlib.closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=10)) as state:
            names = [name for (name,) in state.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            return {name: state.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in names}


@contextlib.contextmanager
def soaked(directory: Path, python: str) -> Iterator[World]:
    """A sidecar that has read its store's history, and whose targets are checked; ``python`` runs it."""
    with running_server() as server, fresh_database(server) as database, running_vault() as vault:
        with database.connect() as connection:
            connection.execute(ddl("public").encode())
            workload.fill(connection)
        vault.enable_kv()
        vault.enable_database(server)
        path = vault.dynamic_role(ttl=LEASE, max_ttl=LONGEST_LEASE)
        configuration = _configuration(database, vault, monitor(database), path)
        # Compiled modules are kept: compiling them at each start leaves a megabyte behind.
        sidecar = Sidecar(directory, configuration, environment={"PYTHONDONTWRITEBYTECODE": ""}, python=python)
        try:
            sidecar.start()
            until(lambda: _ready(sidecar), 120, "history is read and targets are checked", every=0.5)
            yield World(database, vault, sidecar, configuration, path)
        finally:
            sidecar.cleanup()


def _ready(sidecar: Sidecar) -> bool:
    metrics = sidecar.metrics()
    up = sum(metrics.series("scheduling_connection_up").values())
    return metrics.value("scheduling_exporter_backfill_ratio", store=NAME) == 1 and up == 4


def _configuration(database: Database, vault: VaultServer, dsn: str, path: str) -> dict[str, Any]:
    port = database.server.port
    user = str(parse_dsn(dsn)["user"])
    secret = vault.put("secret/data/soak", username=user, password=PASSWORD)
    return {
        # Seven times as often as by default.
        **one_store(dsn, interval="2s"),
        "connections": {
            "interval": "2s",
            "targets": [
                target("kept", port, vault={"role": path}),
                target("anew", port, vault={"role": path}, reuse="never"),
                target("secret", port, vault={"path": secret}),
                target("plain", port, user=user, password=PASSWORD),
                target("down", free_port()),
            ],
        },
        "dependencies": [
            {"name": "vault", "kind": "http", "url": f"{vault.address}/v1/sys/health", "interval": "2s"},
            {"name": "away", "kind": "tcp", "host": "127.0.0.1", "port": free_port(), "interval": "2s"},
        ],
        "vault": {
            "address": vault.address,
            "auth": {"method": "token", "token": vault.new_token(ttl="24h")},
        },
        "auth": {"tokens": [{"name": "soak", "role": "admin", "token": ADMIN}]},
        "actions": {"enabled": True},
        "logging": {"level": "info", "format": "json"},
    }


def size(sidecar: Sidecar) -> int:
    """Bytes of the state file and its log."""
    state = sidecar.directory / "state"
    files = (state / "ledger.sqlite", state / "ledger.sqlite-wal")
    return sum(file.stat().st_size for file in files if file.exists())


def connect(database: Database) -> psycopg.Connection[Any]:
    """The scheduler's own connection, which is never cut: it is the superuser's."""
    return database.connect()
