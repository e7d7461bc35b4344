"""Targets with credentials from Vault: leases that end, passwords that change, Vault sealed, and nobody notices.

``make leases`` runs the first one for three minutes with leases of 20 s, and seals Vault for a minute.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from psycopg import sql
from support.exposition import Metrics
from support.polling import until
from support.postgres import Database
from support.sidecar import PATIENT, Sidecar, StartSidecar, ended, target
from support.undisturbed import undisturbed
from support.vault_server import VaultServer, running_vault

from exporter.demo.postgres import PostgresServer

UP = "scheduling_connection_up"


@dataclass(frozen=True)
class Lease:
    """How long leases last and the test runs, in seconds."""

    ttl: int
    max_ttl: int
    run: int


@pytest.fixture
def lease(request: pytest.FixtureRequest) -> Lease:
    return Lease(20, 50, 180) if request.config.getoption("--leases") else Lease(3, 6, 10)


@pytest.fixture(scope="module")
def openbao(postgres_server: PostgresServer) -> Iterator[VaultServer]:
    """An OpenBao that makes users on the run's PostgreSQL."""
    with running_vault(database=postgres_server) as server:
        yield server


@pytest.fixture
def vault_server(openbao: VaultServer) -> Iterator[VaultServer]:
    """It may be sealed and stopped: afterwards it runs again."""
    yield openbao
    openbao.revive()


def configuration(server: VaultServer, targets: list[dict[str, Any]], interval: str = "1s") -> dict[str, Any]:
    token = server.new_token(ttl="1h")
    return {
        "connections": {"interval": interval, "timeout": PATIENT, "targets": targets},
        "vault": {"address": server.address, "auth": {"method": "token", "token": token}},
        "web": {"enable_lifecycle": True},
    }


def from_vault(name: str, database: Database, **vault: str) -> dict[str, Any]:
    """A target on the run's server."""
    return target(name, database.server.port, database=database.name, vault=vault)


def failures(metrics: Metrics) -> dict[str, float]:
    """Failed checks by result."""
    return metrics.by("result", "scheduling_connection_check_failures_total")


def all_up(sidecar: Sidecar, count: int) -> Metrics:
    """The page once that many targets are up."""

    def up() -> Metrics | None:
        metrics = sidecar.metrics()
        return metrics if sum(metrics.series(UP).values()) == count else None

    found = until(up, 60, f"{count} targets are up")
    assert found is not None
    return found


def test_leases_that_end_are_never_noticed_and_none_is_left(
    lease: Lease, vault_server: VaultServer, database: Database, start_sidecar: StartSidecar
) -> None:
    path = vault_server.dynamic_role(ttl=f"{lease.ttl}s", max_ttl=f"{lease.max_ttl}s")
    targets = [from_vault(f"t{i}", database, role=path) for i in range(5)]

    # A lease of seconds may end before it is seen to where the machine stands still.
    def story() -> None:
        with ended(start_sidecar(configuration(vault_server, targets))) as sidecar:
            watched(lease, vault_server, path, sidecar)
        until(lambda: vault_server.leases(path) == [], 30, "all are given back")

    undisturbed(story, by=0.5)


def watched(lease: Lease, vault_server: VaultServer, path: str, sidecar: Sidecar) -> None:
    """A sidecar with five targets of the role at ``path``, while leases end."""
    all_up(sidecar, 5)
    expiry = "scheduling_vault_lease_expiry_timestamp_seconds"
    until(lambda: len(sidecar.metrics().series(expiry)) == 5, 60, "leases are published")
    end = time.monotonic() + lease.run
    most = 0
    while time.monotonic() < end:
        metrics = sidecar.metrics()
        assert sum(metrics.series(UP).values()) == 5, sidecar.log[-3000:]
        expiries = metrics.series(expiry).values()
        assert len(expiries) == 5
        assert min(expiries) > time.time() - 3, "to the second, and published a moment later"
        most = max(most, len(vault_server.leases(path)))
        time.sleep(0.5)
    assert failures(metrics) == {}
    assert metrics.value("scheduling_vault_up") == 1
    requests = "scheduling_vault_requests_total"
    issued = metrics.value(requests, operation="credentials", result="success")
    assert issued >= lease.run // lease.max_ttl
    assert metrics.value(requests, operation="renew_lease", result="success") >= issued - 1
    assert most <= 3, "one for all targets, and what still overlaps"
    print(f"{lease}: {issued:g} leases made, {most} at once at most")


def user_with(database: Database, kind: str, password: str) -> str:
    """A user of the server, with a password; the database is its own, so that it goes when the user has to."""
    name = f"{kind}_{database.name}"
    with database.connect() as admin:
        names = {"user": sql.Identifier(name), "password": sql.Literal(password)}
        admin.execute(sql.SQL("CREATE ROLE {user} LOGIN PASSWORD {password} IN ROLE pg_monitor").format(**names))
    return name


def test_passwords_that_change_are_followed(
    vault_server: VaultServer, database: Database, start_sidecar: StartSidecar
) -> None:
    kept, static = user_with(database, "kept", "old"), user_with(database, "static", "any")
    secret = vault_server.put("secret/data/kept", login=kept, pw="old")
    vault_server.static_role("static", static)
    targets = [
        from_vault("kept", database, path=secret, user_field="login", password_field="pw"),
        from_vault("static", database, role="database/static-creds/static"),
    ]
    sidecar = start_sidecar(configuration(vault_server, targets))
    all_up(sidecar, 2)
    with database.connect() as admin:
        admin.execute(sql.SQL("ALTER ROLE {} PASSWORD 'new'").format(sql.Identifier(kept)))
    vault_server.put(secret, login=kept, pw="new")
    vault_server.rotate_static("static")
    # Whoever is still connected stays so: only a new login shows which password is in use.
    with database.connect() as admin:
        admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = ANY(%s)", [[kept, static]]
        )
    checks = sidecar.metrics().by("connection", "scheduling_connection_checks_total")

    def checked_again() -> bool:
        now = sidecar.metrics().by("connection", "scheduling_connection_checks_total")
        return all(now[name] >= checks[name] + 3 for name in ("kept", "static"))

    until(checked_again, 90, "three more checks of each")
    metrics = sidecar.metrics()
    assert metrics.by("connection", UP) == {"kept": 1, "static": 1}
    assert failures(metrics) == {}, sidecar.log[-3000:]
    vault_server.client().secrets.database.delete_static_role(name="static")


def test_a_sealed_vault_takes_nobody_down(
    vault_server: VaultServer, database: Database, start_sidecar: StartSidecar, request: pytest.FixtureRequest
) -> None:
    interval, sealed_for = (15, 60) if request.config.getoption("--leases") else (1, 5)
    path = vault_server.dynamic_role()
    user = user_with(database, "sealed", "p")
    secret = vault_server.put("secret/data/sealed", username=user, password="p")
    targets = [from_vault("leased", database, role=path), from_vault("kept", database, path=secret)]
    config = configuration(vault_server, targets, f"{interval}s")
    sidecar = start_sidecar(config)
    all_up(sidecar, 2)
    other = vault_server.put("secret/data/other", username=user, password="p")
    vault_server.seal()
    config["connections"]["targets"].append(from_vault("new", database, path=other))
    sidecar.configure(config)
    assert sidecar.reload().status == 200
    until(lambda: sidecar.metrics().value(UP, connection="new") == 0, 60, "the new target is down")
    until(lambda: sidecar.metrics().value("scheduling_vault_up") == 0, 60, "Vault is known to be away")
    end = time.monotonic() + sealed_for
    while time.monotonic() < end:
        metrics = sidecar.metrics()
        assert metrics.by("connection", UP) == {"leased": 1, "kept": 1, "new": 0}
        assert set(failures(metrics)) == {"vault"}
        stages = metrics.by("stage", "scheduling_connection_check_stage_seconds", connection="new")
        assert set(stages) == {"vault"}
        time.sleep(0.2)
    assert sidecar.events("target is down")[-1]["error"] == f"Vault at {vault_server.address} is sealed"
    assert len(sidecar.events("Vault is away")) == 1
    vault_server.unseal()
    began = time.monotonic()
    all_up(sidecar, 3)
    seconds = time.monotonic() - began
    assert seconds < max(interval, 20), "within one interval, and on a busy machine"
    print(f"all well {seconds:.1f} s after {sealed_for} s sealed, checked every {interval} s")
    assert len(sidecar.events("Vault is back")) == 1
    config["connections"]["targets"].pop(0)
    sidecar.configure(config)
    assert sidecar.reload().status == 200
    until(lambda: vault_server.leases(path) == [], 60, "what left the configuration is revoked")


def test_it_ends_in_seconds_when_vault_is_gone(
    vault_server: VaultServer, database: Database, start_sidecar: StartSidecar
) -> None:
    path = vault_server.dynamic_role()
    sidecar = start_sidecar(configuration(vault_server, [from_vault("leased", database, role=path)]))
    all_up(sidecar, 1)
    vault_server.kill()
    assert sidecar.stop(seconds=15) == 0
    assert sidecar.events("leases not revoked; they end by themselves")


def test_it_starts_without_vault_and_comes_up_with_it(
    vault_server: VaultServer, database: Database, start_sidecar: StartSidecar
) -> None:
    path = vault_server.dynamic_role()
    config = configuration(vault_server, [from_vault("leased", database, role=path)])
    vault_server.kill()
    sidecar = start_sidecar(config)
    until(lambda: sidecar.metrics().value(UP, connection="leased") == 0, 60, "checked")
    vault_server.start()
    all_up(sidecar, 1)
