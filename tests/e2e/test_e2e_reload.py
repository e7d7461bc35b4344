"""A new configuration while it runs: what did not change is not disturbed, a bad one changes nothing."""

from __future__ import annotations

import signal
import time
from collections.abc import Mapping
from typing import Any

import pytest
from support.exposition import Metrics
from support.polling import until
from support.postgres import Database, fresh_database, running_server
from support.scheduler import APPLICATION, NativeStore, backends, native_store
from support.sidecar import NAME, PATIENT, Sidecar, StartSidecar, one_store, store, target

from exporter.demo.postgres import PostgresServer

#: Between two polls of a store; a new configuration is in force at once.
INTERVAL = 0.5
COLLECTORS = ("executions", "running", "queues", "jobs", "workers", "schedules", "operations")


def whole(native: NativeStore, *targets: str, **options: Any) -> dict[str, Any]:
    """A configuration with one store and targets of these names."""
    port = native.database.server.port
    listed = [target(name, port, user="postgres", password=native.database.server.password) for name in targets]
    connections = {"interval": "1s", "timeout": PATIENT, "targets": listed}
    return {**one_store(native.dsn, **options), "connections": connections, "web": {"enable_lifecycle": True}}


@pytest.fixture
def sidecar(native: NativeStore, start_sidecar: StartSidecar) -> Sidecar:
    """A sidecar with a store that counted something and the targets ``stays`` and ``goes``."""
    sidecar = start_sidecar(whole(native, "stays", "goes"))
    sidecar.settled(since=0)
    sidecar.settled(since=native.finish(4, status="FAILED"))
    until(lambda: connections(sidecar.metrics()) == {"stays", "goes"}, 60)
    until(lambda: all(successes(sidecar.metrics(), collector) for collector in COLLECTORS), 60, "all has been asked")
    return sidecar


def connections(metrics: Metrics) -> set[str]:
    """The targets that are on the page, whatever the metric."""
    return {label for _, labels in metrics for name, label in labels if name == "connection"}


def failed(native: NativeStore, metrics: Metrics) -> tuple[float, float]:
    """Failed executions: on the page, and in truth."""
    return metrics.by("status", "scheduling_executions_total")["failed"], native.truth()["failed"]


def sessions(native: NativeStore) -> list[int]:
    """The server processes of the sidecar's store; targets keep connections too, as another role."""
    with native.database.connect() as connection:
        found = backends(connection, role=f"monitor_{native.database.name}")
    assert 1 <= len(found) <= 2
    return found


def reloaded(metrics: Metrics) -> float:
    return metrics.value("scheduling_exporter_config_last_reload_successful")


@pytest.mark.parametrize("way", ["SIGHUP", "POST"])
def test_what_did_not_change_is_not_disturbed(way: str, native: NativeStore, sidecar: Sidecar) -> None:
    before, reloaded_at = sessions(native), "scheduling_exporter_config_last_reload_success_timestamp_seconds"
    checks = sidecar.metrics().value("scheduling_connection_checks_total", connection="stays")
    at = sidecar.metrics().value(reloaded_at)
    sidecar.configure(whole(native, "stays", "new"))
    if way == "POST":
        answer = sidecar.reload()
        assert answer.status == 200, answer.text
    else:
        sidecar.process.send_signal(signal.SIGHUP)
    until(lambda: sidecar.events("configuration reloaded"), 60)
    assert "goes" not in connections(sidecar.metrics())
    until(lambda: connections(sidecar.metrics()) == {"stays", "new"}, 60, "the new target is checked")
    metrics = sidecar.settled(since=native.finish(2, status="FAILED"))
    assert failed(native, metrics) == (6, 6)
    assert sessions(native) == before, "the same connections as before"
    assert metrics.value("scheduling_connection_checks_total", connection="stays") >= checks
    assert reloaded(metrics) == 1
    assert metrics.value(reloaded_at) > at


BAD: Mapping[str, tuple[Mapping[str, Any], str]] = {
    "unknown key": ({"stors": []}, 'did you mean "stores"?'),
    "wrong type": ({"connections": {"interval": 5}}, "connections.interval"),
    "unknown profile": (
        {"stores": [{"name": "main", "dsn": "postgresql:///x", "profile": "nativ"}]},
        "stores[0].profile: no profile is named 'nativ'",
    ),
    "what cannot change": ({"state": {"path": "elsewhere"}}, "state.path: cannot change while running"),
}


def test_a_bad_file_leaves_the_last_good_one_in_force(native: NativeStore, sidecar: Sidecar) -> None:
    for number, kind in enumerate(BAD, 1):
        a_bad_file_leaves_the_last_good_one_in_force(kind, number, native, sidecar)


def a_bad_file_leaves_the_last_good_one_in_force(kind: str, number: int, native: NativeStore, sidecar: Sidecar) -> None:
    """The ``number``-th bad file that this sidecar is given; it has a good one again at the end."""
    change, complaint = BAD[kind]
    before = sessions(native)
    sidecar.configure({**whole(native, "new"), **change})
    answer = sidecar.reload()
    assert answer.status == 500, kind
    assert complaint in answer.text, kind
    *others, refused = sidecar.events("configuration refused; the last good one stays in force")
    assert (len(others), refused["level"]) == (2 * number - 2, "ERROR"), kind
    assert any(complaint in problem for problem in refused["problems"]), kind
    sidecar.process.send_signal(signal.SIGHUP)
    until(lambda: len(sidecar.events(refused["message"])) == 2 * number, 60, "SIGHUP is refused too")

    metrics = sidecar.settled(since=native.finish(1, status="FAILED"))
    assert reloaded(metrics) == 0
    assert failed(native, metrics) == (4 + number, 4 + number)
    assert connections(metrics) == {"stays", "goes"}, kind
    assert sessions(native) == before, kind

    sidecar.configure(whole(native, "stays", "goes"))
    assert sidecar.reload().status == 200
    assert reloaded(sidecar.metrics()) == 1
    assert sessions(native) == before


def test_no_file_at_all_is_a_bad_one(sidecar: Sidecar) -> None:
    sidecar.file.unlink()
    answer = sidecar.reload()
    assert answer.status == 500
    assert "cannot read the file" in answer.text
    assert reloaded(sidecar.metrics()) == 0


def test_a_changed_store_keeps_its_counters(native: NativeStore, sidecar: Sidecar) -> None:
    sidecar.configure(whole(native, "stays", interval="2s", max_db_load=1))  # however slow this machine is now
    assert sidecar.reload().status == 200
    metrics = sidecar.metrics()
    assert failed(native, metrics) == (4, 4), "at no moment is there another value"
    metrics = sidecar.settled(since=native.finish(3, status="FAILED"))
    assert failed(native, metrics) == (7, 7)
    assert metrics.value("scheduling_exporter_collector_interval_seconds", collector="executions") == 2
    assert len(sessions(native)) <= 2, "the sessions of before are gone"


def test_a_store_that_leaves_takes_its_series_and_sessions_and_comes_back_with_its_counters(
    native: NativeStore, sidecar: Sidecar, postgres_server: PostgresServer
) -> None:
    with fresh_database(postgres_server) as other:
        sidecar.configure({**whole(native), "stores": [store(native_store(other).dsn, name="other")]})
        assert sidecar.reload().status == 200
        metrics = sidecar.settled(since=0, store="other")
        assert metrics.value("scheduling_store_up", store="other") == 1
        assert not [key for key in metrics if ("store", NAME) in key[1] or ("source", NAME) in key[1]]
        with native.database.connect() as connection:
            query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s AND datname = %s"
            of_before = [APPLICATION, native.database.name]
            until(lambda: connection.execute(query, of_before).fetchone() == (0,), 30, "its sessions are gone")
        native.finish(2, status="FAILED")
        sidecar.configure(whole(native))
        assert sidecar.reload().status == 200
    assert failed(native, sidecar.settled(since=time.time())) == (6, 6), "and counts what it missed"


def refused_repoint(sidecar: Sidecar, native: NativeStore) -> Metrics:
    """The page once every collector was refused."""
    until(lambda: not any(successes(sidecar.metrics(), c) for c in COLLECTORS), 60, "every collector fails")
    time.sleep(2 * INTERVAL)
    metrics = sidecar.metrics()
    assert not any(successes(metrics, c) for c in COLLECTORS)
    assert metrics.by("status", "scheduling_executions_total")["failed"] == 4, "nothing is added"
    assert metrics.by("status", "scheduling_executions_total")["success"] == 0
    assert metrics.value("scheduling_store_up") == 0, "what answers is not the store"
    errors = {event["error"] for event in sidecar.events("collector fails")}
    [told] = [error for error in errors if "not mixed" in error]
    assert native.database.name in told
    assert f"store {NAME!r} now leads to database" in told
    return metrics


def successes(metrics: Metrics, collector: str) -> bool:
    return metrics.value("scheduling_exporter_collector_success", collector=collector, source=NAME) == 1


@pytest.mark.parametrize("way", ["reload", "restart"])
def test_a_store_that_leads_to_another_database_is_refused(
    way: str, native: NativeStore, sidecar: Sidecar, postgres_server: PostgresServer
) -> None:
    with fresh_database(postgres_server) as database:
        other = native_store(database)
        sidecar.configure({**whole(native), **one_store(other.dsn)})
        if way == "reload":
            assert sidecar.reload().status == 200
        else:
            sidecar.restart()
        other.finish(9)
        metrics = refused_repoint(sidecar, native)
        assert other.database.name in sidecar.log
        assert metrics.series("scheduling_queue_jobs") == {}, "no gauge of one database under the name of another"
        sidecar.configure(whole(native))
        assert sidecar.reload().status == 200
        metrics = sidecar.settled(since=native.finish(1, status="FAILED"))
        assert failed(native, metrics) == (5, 5), "pointed back it goes on"
        assert metrics.value("scheduling_store_up") == 1


def twin_of(native: NativeStore, server: PostgresServer) -> NativeStore:
    """A store of the same name, with the same role, on another server, with jobs of its own."""
    with Database(server, "postgres").connect() as admin:
        admin.execute(f'CREATE DATABASE "{native.database.name}" TEMPLATE template0'.encode())
    twin = native_store(Database(server, native.database.name))
    with twin.database.connect() as connection:
        connection.execute(
            "INSERT INTO jobs (name, task_type, status)"
            " SELECT n, 'twin', s FROM generate_series(1, 99) n, unnest(ARRAY['COMPLETED', 'QUEUED']) s"
        )
    twin.finish(9)
    return twin


def test_a_database_of_the_same_name_on_another_server_is_refused(native: NativeStore, sidecar: Sidecar) -> None:
    with running_server() as elsewhere:
        twin = twin_of(native, elsewhere)
        sidecar.configure({**whole(native), **one_store(twin.dsn)})
        assert sidecar.reload().status == 200
        assert refused_repoint(sidecar, native).series("scheduling_jobs") == {}


def test_another_server_at_the_same_address_is_refused(own_native: NativeStore, start_sidecar: StartSidecar) -> None:
    """As after a failover to the wrong cluster: nobody told the sidecar."""
    sidecar = start_sidecar({**one_store(own_native.dsn, staleness="10s")})
    sidecar.settled(since=0)
    sidecar.settled(since=own_native.finish(4, status="FAILED"))
    server = own_native.database.server
    with running_server() as impostor:
        twin_of(own_native, impostor)
        impostor.stop()
        server.stop()
        impostor.port = server.port
        impostor.start()
        for _ in range(20):
            assert set(sidecar.metrics().by("status", "scheduling_jobs").values()) <= {0, 1, 3}, "not the twin's"
            time.sleep(0.2)
        refused_repoint(sidecar, own_native)
    server.start()
    metrics = sidecar.settled(since=own_native.finish(1, status="FAILED"))
    assert failed(own_native, metrics) == (5, 5)


def test_another_role_leads_to_the_same_store(native: NativeStore, sidecar: Sidecar) -> None:
    sidecar.configure({**whole(native), **one_store(native.database.dsn)})
    assert sidecar.reload().status == 200
    assert failed(native, sidecar.settled(since=native.finish(1, status="FAILED"))) == (5, 5)
