"""Targets that a store lists: added, changed and removed while running; results written where that is allowed."""

from __future__ import annotations

import time
from typing import Any

from support.exposition import Metrics
from support.polling import until
from support.ports import free_port
from support.postgres import Database
from support.scheduler import PASSWORD, NativeStore, backends
from support.sidecar import NAME, PATIENT, Sidecar, StartSidecar, one_store, target
from support.vault_server import running_vault

from exporter.config.dsn import parse_dsn

#: Seconds for what takes an interval of the store and a check.
SOON = 60


def role(native: NativeStore) -> str:
    """The role that the sidecar logs in with, to the store and to targets."""
    return str(parse_dsn(native.dsn)["user"])


def run(native: NativeStore, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
    """A statement of the scheduler's owner."""
    with native.database.connect() as connection:
        cursor = connection.execute(statement.encode(), parameters)
        return cursor.fetchall() if cursor.description else []


def add(native: NativeStore, name: str, *, port: int | None = None, database: str | None = None) -> int:
    """A row of ``connections``, by default the store's own server; its id."""
    server = native.database.server
    rows = run(
        native,
        "INSERT INTO connections (name, host, port, database) VALUES (%s, '127.0.0.1', %s, %s) RETURNING id",
        name,
        port or server.port,
        database or native.database.name,
    )
    return int(rows[0][0])


def configuration(native: NativeStore, *targets: dict[str, Any], **connections: Any) -> dict[str, Any]:
    """One store, checks every second, rows logged in to as the sidecar's role."""
    login = {"user": role(native), "password": PASSWORD, "sslmode": "disable"}
    return {
        **one_store(native.dsn),
        "connections": {
            "interval": "1s",
            "timeout": PATIENT,
            "store_targets": login,
            "targets": list(targets),
            **connections,
        },
        "web": {"enable_lifecycle": True},
    }


def up(metrics: Metrics) -> dict[str, float]:
    """Which targets are up."""
    return metrics.by("connection", "scheduling_connection_up")


def checks(metrics: Metrics, name: str) -> float:
    return metrics.value("scheduling_connection_checks_total", connection=name)


def test_rows_come_change_and_go_while_the_others_are_not_disturbed(
    native: NativeStore, start_sidecar: StartSidecar
) -> None:
    server = native.database.server
    add(native, "first")
    fixed = target("fixed", server.port, user=role(native), password=PASSWORD, database=native.database.name)
    sidecar = start_sidecar(configuration(native, fixed))
    until(lambda: up(sidecar.metrics()) == {"fixed": 1, "first": 1}, SOON)

    add(native, "second", database="no_such_database")
    until(lambda: up(sidecar.metrics()) == {"fixed": 1, "first": 1, "second": 0}, SOON)
    before, began = sidecar.metrics(), time.monotonic()
    run(native, "UPDATE connections SET database = %s WHERE name = 'second'", native.database.name)
    until(lambda: up(sidecar.metrics()) == {"fixed": 1, "first": 1, "second": 1}, SOON)
    run(native, "DELETE FROM connections WHERE name = 'second'")
    until(lambda: up(sidecar.metrics()) == {"fixed": 1, "first": 1}, SOON)
    after, seconds = sidecar.metrics(), time.monotonic() - began
    assert 'connection="second"' not in sidecar.get("/metrics").text
    for name in ("fixed", "first"):  # a target that starts anew is checked at once, and again
        assert checks(after, name) - checks(before, name) <= 3 + seconds
        until(lambda name=name: checks(sidecar.metrics(), name) > checks(before, name), SOON)  # type: ignore[misc]
    assert [event["rows"] for event in sidecar.events("connections of the store changed")] == [1, 2, 2, 1]


def statuses(native: NativeStore) -> dict[str, tuple[Any, ...]]:
    """What the sidecar wrote, by the connection's name."""
    rows = run(
        native,
        "SELECT c.name, s.is_healthy, s.server_version, s.error_message, s.failed_stage, s.response_time_ms,"
        " extract(epoch FROM clock_timestamp() - s.last_check)::float8"
        " FROM connection_status s JOIN connections c ON c.id = s.connection_id",
    )
    return {row[0]: row[1:] for row in rows}


def grant(native: NativeStore) -> None:
    run(native, f'GRANT INSERT, UPDATE ON connection_status, connection_lease TO "{role(native)}"')


def test_results_are_written_where_that_is_on_and_allowed(native: NativeStore, start_sidecar: StartSidecar) -> None:
    add(native, "healthy")
    sick = add(native, "sick", database="no_such_database")
    fixed = target("fixed", native.database.server.port, user=role(native), password=PASSWORD, id=99)
    sidecar = start_sidecar(configuration(native, fixed, write_status=True))

    def refusal() -> list[dict[str, Any]]:
        return [e for e in sidecar.events("collector fails") if e["collector"] == "connection_status"]

    until(refusal, SOON)
    time.sleep(1.5)  # some intervals more
    assert len(refusal()) == 1
    assert f'GRANT INSERT, UPDATE ON "public".connection_status TO "{role(native)}";' in refusal()[0]["error"]
    metrics = sidecar.metrics()
    assert metrics.value("scheduling_store_up", store=NAME) == 1
    assert metrics.value("scheduling_exporter_collector_success", collector="connection_status", source=NAME) == 0
    assert statuses(native) == {}

    grant(native)
    until(lambda: len(statuses(native)) == 2, SOON)
    ((version,),) = run(native, "SHOW server_version")
    assert statuses(native)["healthy"][:4] == (True, version, None, None)
    healthy, _, error, stage, milliseconds, _ = statuses(native)["sick"][0:6]
    assert (healthy, stage) == (False, "auth") and "no_such_database" in error and 0 <= milliseconds < 60_000
    until(lambda: all(row[5] < 3 for row in statuses(native).values()), SOON, "it goes on")

    run(native, "DELETE FROM connections WHERE id = %s", sick)
    run(native, "TRUNCATE connection_status")
    until(lambda: statuses(native).keys() == {"healthy"}, SOON)
    assert sidecar.events("collector works again")
    assert "role may not write" not in sidecar.get("/metrics").text


def holder(native: NativeStore) -> str:
    return "".join(row[0] for row in run(native, "SELECT holder FROM connection_lease"))


def test_of_two_replicas_one_writes_and_the_other_takes_over(native: NativeStore, start_sidecar: StartSidecar) -> None:
    grant(native)
    add(native, "healthy")
    replicas = [start_sidecar(configuration(native, write_status=True)) for _ in range(2)]
    until(lambda: statuses(native).keys() == {"healthy"}, SOON)
    until(lambda: sum(len(r.events("results are written by another replica")) for r in replicas) == 1, SOON)
    [waiting] = [r for r in replicas if r.events("results are written by another replica")]
    [writing] = [r for r in replicas if r is not waiting]
    before = holder(native)
    writing.kill()
    until(lambda: waiting.events("results are written here"), 120, "the lease of a replica that was killed expires")
    until(lambda: statuses(native)["healthy"][5] < 3, SOON, "results are new")
    assert holder(native) != before


def test_nothing_is_written_unless_that_is_on(native: NativeStore, start_sidecar: StartSidecar) -> None:
    add(native, "healthy")
    grant(native)
    sidecar = start_sidecar(configuration(native))
    until(lambda: checks(sidecar.metrics(), "healthy") >= 3, SOON)
    assert statuses(native) == {}


def test_a_store_without_the_table_is_a_store_without_targets(native: NativeStore, start_sidecar: StartSidecar) -> None:
    run(native, "DROP TABLE connection_status, connections, connection_lease")
    sidecar = start_sidecar(configuration(native, write_status=True))
    until(lambda: sidecar.events("store lists no connections to check"), SOON)
    sidecar.settled(since=native.finish(1))
    said = sidecar.events("store lists no connections to check")
    assert [event["reason"] for event in said] == ['there is no table "public".connections']
    assert not sidecar.events("collector fails")
    assert sidecar.metrics().value("scheduling_store_up", store=NAME) == 1
    # The table comes later.
    run(native, "CREATE TABLE connections (id integer PRIMARY KEY, host varchar(50), password text)")
    run(native, f'GRANT SELECT ON connections TO "{role(native)}"')
    run(native, "INSERT INTO connections VALUES (7, '127.0.0.1', 'never-read')")
    until(lambda: "main/7" in up(sidecar.metrics()), SOON)


def test_targets_outlive_their_store(own_native: NativeStore, database: Database, start_sidecar: StartSidecar) -> None:
    run(
        own_native,
        "INSERT INTO connections (name, host, port, \"user\", database) VALUES ('elsewhere', '127.0.0.1', %s, %s, %s)",
        database.server.port,
        "postgres",
        database.name,
    )
    login = {"password": database.server.password, "sslmode": "disable"}
    connections = {"interval": "1s", "timeout": PATIENT, "store_targets": login}
    sidecar = start_sidecar({**one_store(own_native.dsn), "connections": connections})
    until(lambda: up(sidecar.metrics()) == {"elsewhere": 1}, SOON)
    own_native.database.server.stop("immediate")
    until(lambda: sidecar.metrics().value("scheduling_store_up", store=NAME) == 0, SOON)
    before = checks(sidecar.metrics(), "elsewhere")
    until(lambda: checks(sidecar.metrics(), "elsewhere") >= before + 2, SOON)
    assert up(sidecar.metrics()) == {"elsewhere": 1}


def names(sidecar: Sidecar) -> set[str]:
    """The targets that this sidecar has checked."""
    return set(up(sidecar.metrics()))


def test_each_row_is_one_shard_s_which_writes_its_result(native: NativeStore, start_sidecar: StartSidecar) -> None:
    grant(native)
    rows = {f"server {n}" for n in range(12)}
    for name in sorted(rows):
        add(native, name)
    config = configuration(native, target("fixed", free_port(), user="nobody"), write_status=True)
    shards = [start_sidecar(config, f"--shard={n}", "--total-shards=3") for n in range(3)]
    until(lambda: sum(len(names(shard)) for shard in shards) == 13, 2 * SOON)
    shares = [names(shard) for shard in shards]
    assert set().union(*shares) == rows | {"fixed"} and all(shares), shares
    until(lambda: statuses(native).keys() == rows, SOON)
    assert all(healthy for healthy, *_ in statuses(native).values())
    assert [bool(shard.metrics().series("scheduling_store_up")) for shard in shards] == [True, False, False]

    # What one shard lets go of goes on to be written by the others alone.
    mine = next(share for share in shares[1:] if share & rows)
    run(native, "DELETE FROM connections WHERE name = %s", min(mine & rows))
    until(lambda: set().union(*map(names, shards)) == rows - {min(mine & rows)} | {"fixed"}, SOON)


def test_a_shard_that_only_reads_the_list_leaves_no_connection_behind(
    native: NativeStore, start_sidecar: StartSidecar
) -> None:
    for n in range(6):
        add(native, f"refused {n}", port=free_port())
    sidecar = start_sidecar(configuration(native), "--shard=1", "--total-shards=2")
    until(lambda: names(sidecar), SOON)
    share = names(sidecar)
    with native.database.connect() as connection:
        seen: list[list[int]] = []
        began = time.monotonic()
        while time.monotonic() < began + 5:  # two visits or three: every fourth interval of half a second
            seen.append(backends(connection))
            time.sleep(0.01)
    counts = [len(pids) for pids in seen]
    assert max(counts) <= 1 and counts.count(0) > len(counts) / 2
    assert len({pid for pids in seen for pid in pids}) <= 4
    assert names(sidecar) == share


def test_a_reload_turns_the_rows_off_and_on(native: NativeStore, start_sidecar: StartSidecar) -> None:
    add(native, "listed")
    sidecar = start_sidecar(configuration(native, target("fixed", free_port(), user="nobody")))
    until(lambda: names(sidecar) == {"fixed", "listed"}, SOON)
    fixed = target("fixed", free_port(), user="nobody")
    sidecar.configure(configuration(native, fixed, from_stores=False))
    assert sidecar.reload().status == 200
    until(lambda: names(sidecar) == {"fixed"}, SOON)
    sidecar.configure(configuration(native, fixed))
    assert sidecar.reload().status == 200
    until(lambda: names(sidecar) == {"fixed", "listed"}, SOON)
    sidecar.configure(configuration(native, fixed, from_stores=False, write_status=True))
    assert sidecar.reload().status != 200
    assert "connections.write_status: needs from_stores" in sidecar.log


def test_rows_with_one_name_and_rows_that_cannot_be_checked(native: NativeStore, start_sidecar: StartSidecar) -> None:
    first, second = (add(native, name) for name in ("wanted", "odd"))
    run(native, "ALTER TABLE connections DROP CONSTRAINT connections_name_key")
    third = add(native, "wanted")
    run(native, "UPDATE connections SET port = 70000 WHERE id = %s", second)
    covered = add(native, "fixed")
    fixed = target("fixed", native.database.server.port, user=role(native), password=PASSWORD, id=first)
    sidecar = start_sidecar(configuration(native, fixed))
    until(lambda: names(sidecar) == {"fixed", "wanted", f"wanted (main/{third})"}, SOON)
    time.sleep(1)
    said = sidecar.events("connections of the store need a look")
    assert len(said) == 1
    assert said[0]["rows"] == 4 and set(said[0]["byId"]) == {str(n) for n in (first, second, third, covered)}
    assert said[0]["byId"][str(second)].startswith("not checked: port: expected")


def test_rows_take_credentials_from_vault(native: NativeStore, start_sidecar: StartSidecar) -> None:
    server = native.database.server
    with running_vault() as vault:
        vault.enable_kv()
        vault.enable_database(server)
        made = vault.dynamic_role()
        kept = vault.put("secret/data/databases/reports", username=role(native), password=PASSWORD)
        paths = {"made": made, "made too": made, "kept": kept, "forbidden": "secret/data/other"}
        for name, path in paths.items():
            add(native, name)
            run(native, "UPDATE connections SET vault_path = %s WHERE name = %s", path, name)
        config = configuration(native)
        config["connections"]["store_targets"] = {"vault_paths": ["database/creds/*", "secret/data/databases/*"]}
        config["vault"] = {"address": vault.address, "auth": {"method": "token", "token": vault.new_token()}}
        sidecar = start_sidecar(config)
        until(lambda: up(sidecar.metrics()) == {"made": 1, "made too": 1, "kept": 1}, 2 * SOON)
        assert len(vault.leases(made)) == 1, "rows with one role share a lease"

        # The secret rotates; the next check has it.
        run(native, f"ALTER ROLE \"{role(native)}\" PASSWORD 'rotated-password'")
        vault.put(kept, username=role(native), password="rotated-password")
        seen = checks(sidecar.metrics(), "kept")
        until(lambda: checks(sidecar.metrics(), "kept") >= seen + 4, SOON)
        assert up(sidecar.metrics())["kept"] == 1

        run(native, "DELETE FROM connections WHERE name = 'made'")
        until(lambda: "made" not in up(sidecar.metrics()), SOON)
        assert len(vault.leases(made)) == 1
        run(native, "DELETE FROM connections WHERE name = 'made too'")
        until(lambda: not vault.leases(made), SOON, "nobody needs it any more")
        assert "secret/data/other" in sidecar.log and "rotated-password" not in sidecar.log
