"""Passwords of stores rotate under a running sidecar: in a file, in Vault, by a role of Vault's; never a lock-out."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from psycopg import sql
from support.polling import until
from support.scheduler import PASSWORD, NativeStore
from support.sidecar import HOST, NAME, PATIENT, Sidecar, StartSidecar, ended, one_store, run_command, store, target
from support.undisturbed import undisturbed
from support.vault_server import CREATION, VaultServer, running_vault

READS = "GRANT SELECT ON ALL TABLES IN SCHEMA public TO"
PATH = "secret/data/scheduler"
AWKWARD = "nëw p@ss/w'rd\\ #1?&%"


@pytest.fixture(scope="module")
def vault() -> Iterator[VaultServer]:
    """An OpenBao with KV of version 2."""
    with running_vault() as server:
        server.enable_kv()
        yield server


@pytest.fixture
def stoppable_vault() -> Iterator[VaultServer]:
    """An OpenBao that a test may stop."""
    with running_vault() as server:
        server.enable_kv()
        yield server


def section(server: VaultServer, **more: Any) -> dict[str, Any]:
    """The configuration's section ``vault``."""
    token = server.new_token(ttl="1h")
    return {"address": server.address, "auth": {"method": "token", "token": token}, "timeout": PATIENT, **more}


def role_of(native: NativeStore) -> str:
    return f"monitor_{native.database.name}"


def place(native: NativeStore) -> str:
    """The DSN without a login."""
    return f"host={HOST} port={native.database.server.port} dbname={native.database.name}"


def set_password(native: NativeStore, password: str) -> None:
    with native.database.connect() as admin:
        names = (sql.Identifier(role_of(native)), sql.Literal(password))
        admin.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(*names))


def end_sessions(native: NativeStore, like: str) -> None:
    """As a server that restarts, or a pooler that ends idle connections."""
    with native.database.connect() as admin:
        admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename LIKE %s", [like])


def failed_logins(native: NativeStore) -> int:
    """How often the server has refused the store's role, from its log."""
    log = native.database.server.log.read_text()
    return log.count(f'password authentication failed for user "{role_of(native)}"')


def counted(sidecar: Sidecar, native: NativeStore) -> None:
    """The store is polled: what finishes now is counted."""
    sidecar.settled(native.finish(1))
    assert sidecar.metrics().value("scheduling_store_up", store=NAME) == 1


def rotates(sidecar: Sidecar, native: NativeStore, write: Callable[[str], object], password: str) -> None:
    """A rotation whose two halves are some polls apart, and what it costs."""
    pid, before = sidecar.process.pid, failed_logins(native)
    set_password(native, password)
    end_sessions(native, role_of(native))
    until(lambda: sidecar.metrics().value("scheduling_store_up", store=NAME) == 0, 60, "the old password is refused")
    until(lambda: failed_logins(native) > before, 60)
    write(password)
    until(lambda: sidecar.metrics().value("scheduling_store_up", store=NAME) == 1, 60, "the new password is taken")
    counted(sidecar, native)
    assert failed_logins(native) - before <= 2
    assert sidecar.process.pid == pid
    assert sidecar.process.poll() is None


def test_a_password_in_vault(vault: VaultServer, native: NativeStore, start_sidecar: StartSidecar) -> None:
    vault.put(PATH, password=PASSWORD)
    dsn = f"{place(native)} user={role_of(native)}"
    config = {**one_store(dsn, password=f"${{vault:{PATH}#password}}"), "vault": section(vault)}
    sidecar = start_sidecar(config)
    counted(sidecar, native)
    rotates(sidecar, native, lambda password: vault.put(PATH, password=password), AWKWARD)
    # The other order: the secret is there first, and nothing is refused that Vault does not know yet.
    before = failed_logins(native)
    vault.put(PATH, password="third")
    set_password(native, "third")
    end_sessions(native, role_of(native))
    counted(sidecar, native)
    assert failed_logins(native) - before <= 2


def test_a_password_in_a_file(native: NativeStore, make_sidecar: StartSidecar) -> None:
    config = one_store(f"{place(native)} user={role_of(native)}", password="${file:password}")
    sidecar = make_sidecar({**config, "web": {"enable_lifecycle": True}})
    file = sidecar.directory / "password"
    file.write_text(f"{PASSWORD}\n")
    sidecar.start()
    counted(sidecar, native)
    rotates(sidecar, native, lambda password: file.write_text(f"{password}\n"), AWKWARD)
    assert run_command("profile", "check", f"--config.file={sidecar.file}").returncode == 0
    opened = len(sidecar.events("store opened"))
    file.write_text("wrong\n")
    assert sidecar.reload().status == 200
    counted(sidecar, native)
    assert len(sidecar.events("store opened")) == opened, "another secret is no other store"
    assert sidecar.metrics().value("scheduling_exporter_config_last_reload_successful") == 1
    file.unlink()
    checked = run_command("serve", f"--config.file={sidecar.file}", "--config.check")
    assert checked.returncode == 1
    assert "stores[0].password: ${file:password}: No such file or directory" in checked.stderr


def test_a_bearer_token(vault: VaultServer, native: NativeStore, make_sidecar: StartSidecar) -> None:
    vault.put("secret/data/api", token="one")
    tokens = [
        {"name": "kept", "role": "admin", "token": "${vault:secret/data/api#token}"},
        {"name": "written", "role": "viewer", "token": "${file:token}"},
        {"name": "lost", "role": "viewer", "token": "${vault:secret/data/nothing#token}"},
    ]
    config = {**one_store(native.dsn), "vault": section(vault, refresh="500ms"), "auth": {"tokens": tokens}}
    sidecar = make_sidecar(config)
    file = sidecar.directory / "token"
    file.write_text("first\n")
    sidecar.start()

    def status(token: str, path: str = "/api/scheduler-monitoring/status") -> int:
        return sidecar.get(path, headers={"Authorization": f"Bearer {token}"}).status

    assert (status("first"), status("second"), status("one", "/config")) == (200, 401, 200)
    file.write_text("second\n")
    assert (status("first"), status("second")) == (401, 200)
    vault.put("secret/data/api", token="two")
    until(lambda: status("two", "/config") == 200, 60, "the new token is known")
    assert status("one", "/config") == 401
    (event,) = sidecar.events("a token cannot be had")
    assert "${vault:secret/data/nothing#token}" in event["error"]


def test_the_whole_dsn_in_vault(vault: VaultServer, native: NativeStore, start_sidecar: StartSidecar) -> None:
    path = "secret/data/dsn"

    def write(password: str) -> None:
        vault.put(path, dsn=native.database.dsn_as(role_of(native), password), password=password)

    write(PASSWORD)
    uri = f"postgresql://{role_of(native)}:${{vault:{path}#password}}@{HOST}:{native.database.server.port}"
    stores = [store(f"${{vault:{path}#dsn}}"), store(f"{uri}/{native.database.name}", name="part")]
    sidecar = start_sidecar({"stores": stores, "vault": section(vault)})
    counted(sidecar, native)
    assert until(lambda: sidecar.metrics().value("scheduling_store_up", store="part") == 1, 60)
    set_password(native, AWKWARD)
    write(AWKWARD)
    end_sessions(native, role_of(native))
    for name in (NAME, "part"):
        sidecar.settled(native.finish(1), store=name)
    checked = run_command("profile", "check", "--json", f"--config.file={sidecar.file}")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert json.loads(checked.stdout)["ok"], "nothing but the report"


def test_vault_down_at_the_start(
    stoppable_vault: VaultServer, native: NativeStore, start_sidecar: StartSidecar
) -> None:
    vault = stoppable_vault
    vault.put(PATH, password=PASSWORD)
    login = {"user": role_of(native), "database": native.database.name, "password": f"${{vault:{PATH}#password}}"}
    config = {
        **one_store(f"{place(native)} user={role_of(native)}", password=f"${{vault:{PATH}#password}}"),
        "connections": {"interval": "500ms", "targets": [target("ours", native.database.server.port, **login)]},
        "vault": section(vault),
    }
    vault.stop()
    sidecar = start_sidecar(config)
    assert sidecar.get("/health/live").status == 200
    assert sidecar.get("/health/ready").status == 200
    until(lambda: sidecar.metrics().value("scheduling_store_up", store=NAME) == 0, 60)
    until(lambda: sidecar.metrics().value("scheduling_connection_up", connection="ours") == 0, 60)
    said = [event for event in sidecar.events() if f"${{vault:{PATH}#password}}" in str(event)]
    assert said, "the reference that cannot be followed is named"
    vault.start()
    until(lambda: sidecar.metrics().value("scheduling_store_up", store=NAME) == 1, 60, "Vault is back")
    until(lambda: sidecar.metrics().value("scheduling_connection_up", connection="ours") == 1, 60)
    counted(sidecar, native)
    vault.stop()
    end_sessions(native, role_of(native))
    counted(sidecar, native)  # what holds is kept
    assert failed_logins(native) == 0


def test_a_role_of_the_stores_own(vault: VaultServer, native: NativeStore, start_sidecar: StartSidecar) -> None:
    vault.enable_database(native.database.server, native.database.name, name="store", mount="stores")
    creation = f'{CREATION}; {READS} "{{{{name}}}}"'
    role = vault.dynamic_role("store", ttl="4s", max_ttl="6s", name="store", mount="stores", creation=creation)
    policy = f'path "{role}" {{ capabilities = ["read"] }} path "sys/leases/*" {{ capabilities = ["update"] }}'
    vault.write_policy("stores", policy)
    token = vault.new_token("stores", ttl="1h")
    config = {
        "stores": [store(place(native), vault={"role": role})],
        "vault": {"address": vault.address, "auth": {"method": "token", "token": token}},
    }

    def story() -> None:
        users = set()

        def several() -> bool:
            with native.database.connect() as admin:
                users.update(admin.execute("SELECT usename FROM pg_stat_activity WHERE usename LIKE 'v-%'").fetchall())
            return len(users) >= 2

        with ended(start_sidecar(config)) as sidecar:
            counted(sidecar, native)
            until(several, 60, "the second user")
            counted(sidecar, native)
            told = [event for event in sidecar.events() if event.get("level") in ("WARN", "ERROR")]
            assert [event for event in told if event.get("source")] == [], "no poll failed"
        assert until(lambda: vault.leases(role) == [], 60, "given back") is True

    undisturbed(story, by=0.7)  # a lease of seconds may end before it is seen to


def test_what_is_needed_to_read_the_file(
    stoppable_vault: VaultServer, native: NativeStore, make_sidecar: StartSidecar
) -> None:
    vault = stoppable_vault
    vault.put("secret/data/names", store="from-vault", interval="500ms")
    name, interval = "${vault:secret/data/names#store}", "${vault:secret/data/names#interval}"
    config = {
        "stores": [store(native.dsn, name=name, interval=interval)],
        "vault": section(vault),
        "web": {"enable_lifecycle": True},
    }
    sidecar = make_sidecar(config)
    sidecar.start()
    until(lambda: sidecar.metrics().value("scheduling_store_up", store="from-vault") == 1, 60)
    assert sidecar.reload().status == 200
    vault.put("secret/data/names", store="from-vault", interval="soon")
    check = run_command("serve", f"--config.file={sidecar.file}", "--config.check")
    assert check.returncode == 0, "the check does not ask Vault"
    started = run_command("serve", f"--config.file={sidecar.file}")
    assert started.returncode == 1
    assert f'stores[0].interval: expected a duration such as 15s, 5m, 2h, 35d; got "{interval}"' in started.stderr
    assert "soon" not in started.stderr
    vault.stop()
    for refused in (sidecar.reload(), run_command("serve", f"--config.file={sidecar.file}")):
        text = refused.stderr if hasattr(refused, "stderr") else refused.text
        assert f"stores[0].name: {name}: Vault at {vault.address} cannot be reached" in text
        assert "only passwords, tokens and DSNs can wait for Vault" in text
    assert sidecar.metrics().value("scheduling_store_up", store="from-vault") == 1
    sidecar.stop()
    assert len(sidecar.events()) == len(sidecar.log.splitlines()), "every line is JSON, the first ones too"
