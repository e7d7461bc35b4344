"""Dependencies whose credentials a real Vault keeps or makes: rotation reaches the next login, a lease ends with it."""

from __future__ import annotations

from pathlib import Path

from dependencies.conftest import HOST, QUICK, watching
from support.postgres import Database
from support.redis_server import redis_server
from support.serving import eventually
from support.vault_server import running_vault
from vault.conftest import config_for

from exporter.config.model import PostgresDependency, RedisDependency, VaultCredential
from exporter.config.references import VaultReference
from exporter.config.secrets import Secret
from exporter.vault import Vault
from exporter.vault.references import Secrets

PATH = "secret/data/queue"


async def test_a_password_that_rotates_and_a_user_that_is_made(database: Database, tmp_path: Path) -> None:
    with running_vault() as server, redis_server(tmp_path, password="first-of-redis") as redis:
        server.enable_kv()
        server.put(PATH, password="first-of-redis")
        server.enable_database(database.server)
        role = server.dynamic_role("monitor", ttl="1h")
        queue = RedisDependency(
            name="queue", kind="redis", url=redis.url, password=Secret((VaultReference(PATH, "password"),)), **QUICK
        )
        archive = PostgresDependency(
            name="archive",
            kind="postgres",
            host=HOST,
            port=database.server.port,
            database=database.name,
            sslmode="disable",
            vault=VaultCredential(role=role),
            **QUICK,
        )
        async with Vault(config_for(server)) as vault, watching(queue, archive, secrets=Secrets(vault)) as watched:
            for name in ("queue", "archive"):
                state = await watched.checked(name)
                assert (state.result, state.message) == ("ok", None), name
            assert len(server.leases(role)) == 1

            # What is known is older than the refusal: it is asked for anew at once, and nothing rests.
            server.put(PATH, password="second-of-redis")
            redis.command("CONFIG", "SET", "requirepass", "second-of-redis")
            assert (await watched.again("queue", 3)).result == "ok"

            await watched.dependencies.configure([queue])

            async def ended() -> bool:
                return server.leases(role) == []

            await eventually(ended, 60)
