"""What comes from Vault and what leads there is looked for wherever anybody can look: all goes well, then nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from psycopg import sql
from support.polling import until
from support.scheduler import NativeStore
from support.sentinel import MARK, Seen
from support.sidecar import HOST, PATIENT, Sidecar, StartSidecar, run_command, store, target
from support.vault_server import CREATION, VaultServer, running_vault

PASSWORD = f"pw/{MARK}@ ':wörd"
API_TOKEN = f"api-{MARK}-token"
SECRET_ID = f"{MARK}-secret-id"
#: What Vault makes as a password consists of: no word has so many of it.
MADE = "Q"
POLICY = """
path "secret/data/*" { capabilities = ["read"] }
path "engine/creds/*" { capabilities = ["read"] }
path "engine/static-creds/*" { capabilities = ["read"] }
"""
#: How OpenBao's tokens look.
TOKEN = re.compile(r"\b(?:s|b|hvs|hvb)\.[A-Za-z0-9_-]{20,}")


@pytest.fixture
def vault(native: NativeStore) -> Iterator[VaultServer]:
    """An OpenBao with AppRole, secrets with the mark, and a database engine whose passwords are known."""
    with running_vault() as server:
        server.enable_kv()
        client = server.client()
        client.sys.enable_auth_method("approle")
        client.auth.approle.create_or_update_approle("exporter", token_policies=[server.write_policy(policy=POLICY)])
        client.auth.approle.create_custom_secret_id("exporter", SECRET_ID)
        rule = f'length = 24\nrule "charset" {{ charset = "{MADE}" }}'
        client.adapter.post("/v1/sys/policies/password/known", json={"policy": rule})
        server.enable_database(native.database.server, native.database.name, mount="engine")
        client.adapter.post("/v1/engine/config/main", json={"password_policy": "known"})
        yield server


def password_role(native: NativeStore, kind: str, password: str) -> str:
    name = f"{kind}_{native.database.name}"
    with native.database.connect() as admin:
        names = {"role": sql.Identifier(name), "password": sql.Literal(password)}
        admin.execute(sql.SQL("CREATE ROLE {role} LOGIN PASSWORD {password} IN ROLE pg_monitor").format(**names))
        admin.execute(sql.SQL("GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}").format(**names))
    return name


def login(vault: VaultServer, way: str) -> dict[str, Any]:
    """A way to log in to Vault; every value of it is a secret but the method and the role's id."""
    approle = vault.client().auth.approle
    if way == "token":
        return {"method": "token", "token": vault.new_token("exporter", ttl="1h")}
    found = {"method": "approle", "role_id": approle.read_role_id("exporter")["data"]["role_id"]}
    if way == "wrapped":
        wrapped = approle.generate_secret_id("exporter", wrap_ttl="5m")["wrap_info"]["token"]
        return {**found, "secret_id": wrapped, "secret_id_wrapped": True}
    return {**found, "secret_id": SECRET_ID}


def everywhere(native: NativeStore, vault: VaultServer, auth: dict[str, Any]) -> dict[str, Any]:
    """A configuration with every way to a secret in Vault."""
    user = password_role(native, "kept", PASSWORD)
    port, database = native.database.server.port, native.database.name
    vault.put("secret/data/db", username=user, password=PASSWORD, dsn=native.database.dsn_as(user, PASSWORD))
    vault.put("secret/data/api", token=API_TOKEN)
    creation = f'{CREATION}; GRANT SELECT ON ALL TABLES IN SCHEMA public TO "{{{{name}}}}"'
    made = vault.dynamic_role("made", mount="engine", creation=creation)
    turned = vault.static_role("turned", password_role(native, "turned", "first"), mount="engine")
    place = f"host={HOST} port={port} dbname={database}"
    password = "${vault:secret/data/db#password}"
    stores = {
        "key": store(f"{place} user={user}", password=password),
        "whole": store("${vault:secret/data/db#dsn}"),
        "part": store(f"postgresql://{user}:{password}@{HOST}:{port}/{database}"),
        "path": store(place, vault={"path": "secret/data/db"}),
        "made": store(place, vault={"role": made}),
        "turned": store(place, vault={"role": turned}),
    }
    targets = [
        target("ours", port, database=database, user=user, password=password),
        target("path", port, database=database, vault={"path": "secret/data/db"}),
        target("made", port, database=database, vault={"role": made}),
        target("turned", port, database=database, vault={"role": turned}),
    ]
    return {
        "stores": [{**each, "name": name} for name, each in stores.items()],
        "connections": {"interval": "500ms", "targets": targets},
        "vault": {"address": vault.address, "auth": auth, "timeout": PATIENT, "refresh": "1s"},
        "auth": {"tokens": [{"name": "ops", "role": "admin", "token": "${vault:secret/data/api#token}"}]},
        "api": {"rate_limit": {"per_second": 0}},
        "web": {"enable_lifecycle": True},
    }


def up(sidecar: Sidecar) -> set[str]:
    """The stores and targets that are up."""
    metrics = sidecar.metrics()
    stores = metrics.by("store", "scheduling_store_up")
    targets = metrics.by("connection", "scheduling_connection_up")
    return {f"store {name}" for name, value in stores.items() if value} | {
        f"target {name}" for name, value in targets.items() if value
    }


def commands(seen: Seen, sidecar: Sidecar, when: str, *forms: str) -> None:
    """What the other commands say."""
    for words in (["profile", "check", *forms], ["targets", "check", *forms]):
        done = run_command(*words, f"--config.file={sidecar.file}", seconds=120)
        seen.texts[f"{' '.join(words)} {when}"] = done.stdout + done.stderr


def reload(seen: Seen, sidecar: Sidecar, when: str, **headers: str) -> None:
    seen.answer(f"reload {when}", sidecar.get("/-/reload", method="POST", headers=headers))


@pytest.mark.parametrize(("log_format", "way"), [("json", "approle"), ("console", "token"), ("logfmt", "wrapped")])
def test_what_vault_knows_is_nowhere(
    log_format: str, way: str, native: NativeStore, vault: VaultServer, make_sidecar: StartSidecar
) -> None:
    auth = login(vault, way)
    sidecar = make_sidecar({**everywhere(native, vault, auth), "logging": {"level": "debug", "format": log_format}})
    sidecar.start()
    until(lambda: len(up(sidecar)) == 10, 90, "every way leads in")
    bearer = {"Authorization": f"Bearer {API_TOKEN}"}
    assert sidecar.get("/config", headers=bearer).status == 200, "the token from Vault lets in"
    assert sidecar.get("/config", headers={"Authorization": f"Bearer {API_TOKEN}x"}).status == 401
    seen = Seen()
    seen.pages(sidecar, **bearer)
    reload(seen, sidecar, "when all is well", **bearer)
    seen.process(sidecar)
    if log_format == "json":
        commands(seen, sidecar, "when all is well")
        assert "ours" in seen.texts["targets check when all is well"]
    config = seen.texts["GET /config as text/plain"]
    assert "<secret>" in config
    assert "${vault:secret/data/db#dsn}" in config
    leases = vault.leases("engine/creds/made")
    assert leases

    # Everything that may be refused is refused, with secrets in hand.
    vault.put("secret/data/db", username=f"kept_{native.database.name}", password=f"{MARK}-other", dsn=f"x {MARK}")
    with native.database.connect() as admin:
        admin.execute(sql.SQL("ALTER ROLE {} PASSWORD 'third'").format(sql.Identifier(f"kept_{native.database.name}")))
        admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename LIKE 'kept_%'")
    until(lambda: not up(sidecar) & {"store key", "store whole", "store part", "store path"}, 90, "stores are down")
    seen.pages(sidecar, **bearer)
    vault.client().sys.create_or_update_policy("exporter", 'path "x" { capabilities = ["read"] }')
    if log_format == "json":
        commands(seen, sidecar, "when nothing is right", "--json")
    reload(seen, sidecar, "when nothing is right", **bearer)
    vault.stop()
    until(lambda: sidecar.metrics().value("scheduling_vault_up") == 0, 60, "Vault is away")
    seen.pages(sidecar, **bearer)
    reload(seen, sidecar, "when Vault is away", **bearer)
    seen.process(sidecar)
    sidecar.stop()
    seen.log(sidecar)

    lease_ids = [lease.rpartition("/")[2] for lease in leases]
    led_there = [auth[name] for name in ("token", "secret_id") if name in auth]
    seen.assert_clean(*led_there, PASSWORD, quote(PASSWORD, safe=""), API_TOKEN, MADE * 8, *lease_ids)
    for where, text in seen.texts.items():
        assert not TOKEN.search(text), f"{where}: a token"
