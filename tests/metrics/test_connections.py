"""The targets' families, from made-up states: every name of the catalogue, and what is absent when."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from exporter.connections import CHECK_BUCKETS, CheckResult, ConnectionState, ServerFacts
from exporter.connections.results import EMPTY_DURATIONS, Rhythm, observe
from exporter.metrics import connection_checks, connections
from exporter.metrics.family import View
from exporter.snapshot import Part

FACTS = ServerFacts(
    server_version="18.1",
    role="replica",
    backends=(3, 5, 1, 0),
    backends_limit=97,
    oldest_transaction=90.0,
    database_size=1000,
    replication_lag=0.0,
    deadlocks=2,
    transaction_id_age=7,
)
OK = CheckResult(
    result="ok",
    finished_at=100.0,
    response_seconds=0.03,
    stages={"dns": 0.01, "tcp": 0.0, "query": 0.02},
    facts=FACTS,
    tls_expiry=5000.0,
)
FAILED = CheckResult(
    result="timeout",
    finished_at=200.0,
    response_seconds=5.0,
    stages={"tcp": 5.0},
    failed_stage="tcp",
    error_message="x",
)
NEW = ConnectionState(id=1, name="Production DB", host="db.example", port=5432, database="app")


def samples(state: ConnectionState, *, stale: bool = False) -> dict[tuple[str, ...], Any]:
    part = part_of(connections.INPUTS[0], state.name, state)
    view = View(state.name, {part.collector: part}, frozenset({part.collector} if stale else ()))
    return {
        (family.name.removeprefix("scheduling_"), *values[1:]): value
        for family, found in connections.collect(view)
        for values, value in found
        if _well_formed(family, values)
    }


def _well_formed(family: Any, values: tuple[str, ...]) -> bool:
    assert family.name.startswith("scheduling_")
    assert family.labels[0] == "connection"
    assert len(values) == len(family.labels)
    assert values[0] == "Production DB"
    assert family.kind == ("counter" if family.name.endswith("_total") else "gauge")
    return True


def part_of(collector: str, source: str, value: object) -> Part:
    return Part(
        collector=collector,
        source=source,
        value=value,
        success=True,
        collected_at=1.0,
        collected_mono=1.0,
        duration=0.0,
        interval=15.0,
        staleness=300.0,
    )


def test_healthy() -> None:
    assert samples(NEW.after(FAILED).after(OK)) == {
        ("connection_up",): 1.0,
        ("connection_info", "db.example", "5432", "app", "18.1", "replica"): 1.0,
        ("connection_response_seconds",): 0.03,
        ("connection_check_stage_seconds", "dns"): 0.01,
        ("connection_check_stage_seconds", "tcp"): 0.0,
        ("connection_check_stage_seconds", "query"): 0.02,
        ("connection_checks_total",): 2,
        ("connection_check_failures_total", "timeout"): 1,
        ("connection_last_check_timestamp_seconds",): 100.0,
        ("connection_last_success_timestamp_seconds",): 100.0,
        ("connection_tls_expiry_timestamp_seconds",): 5000.0,
        ("db_connections", "active"): 3,
        ("db_connections", "idle"): 5,
        ("db_connections", "idle_in_transaction"): 1,
        ("db_connections", "other"): 0,
        ("db_connections_active",): 3,
        ("db_connections_limit",): 97,
        ("db_oldest_transaction_timestamp_seconds",): 90.0,
        ("db_size_bytes",): 1000,
        ("db_replication_lag_seconds",): 0.0,
        ("db_transaction_id_age",): 7,
        ("db_deadlocks_total",): 0,
    }


def test_failed() -> None:
    assert samples(NEW.after(OK).after(FAILED)) == {
        ("connection_up",): 0.0,
        ("connection_failing", "timeout"): 1.0,
        ("connection_info", "db.example", "5432", "app", "", ""): 1.0,
        ("connection_response_seconds",): 5.0,
        ("connection_check_stage_seconds", "tcp"): 5.0,
        ("connection_checks_total",): 2,
        ("connection_check_failures_total", "timeout"): 1,
        ("connection_last_check_timestamp_seconds",): 200.0,
        ("connection_last_success_timestamp_seconds",): 100.0,
        ("db_deadlocks_total",): 0,  # a counter stays
    }


def test_unknown_is_absent() -> None:
    found = samples(NEW.after(replace(OK, facts=ServerFacts(server_version="18.1", role="primary"), tls_expiry=None)))
    assert not [key for key in found if key[0].startswith("db_")]
    assert ("connection_tls_expiry_timestamp_seconds",) not in found
    assert found["connection_up",] == 1.0


def test_stale() -> None:
    assert samples(NEW.after(FAILED).after(OK), stale=True) == {
        ("connection_up",): 0.0,
        ("connection_checks_total",): 2,
        ("connection_check_failures_total", "timeout"): 1,
        ("db_deadlocks_total",): 0,
    }


def test_deadlocks_add_up_from_the_first_sight() -> None:
    state, values = NEW, []
    for count in (None, 40, 41, 41, None, 44, 3, 5):
        state = state.after(replace(OK, facts=replace(FACTS, deadlocks=count)))
        values.append(samples(state).get(("db_deadlocks_total",)))
    assert values == [None, 0, 1, 1, 1, 4, 7, 9]  # the statistics were reset before the 3


def test_not_checked_yet() -> None:
    assert ("connection_up",) not in samples(NEW)
    assert list(connections.collect(View("x", {}, frozenset()))) == []


def test_durations() -> None:
    durations = lateness = EMPTY_DURATIONS
    for seconds in (0.001, 0.005, 0.3, 11.0):
        durations = observe(durations, seconds)
    lateness = observe(lateness, 0.2)
    part = part_of(connection_checks.INPUTS[0], "", Rhythm(durations, lateness))
    [(family, found), late] = connection_checks.collect(View("", {part.collector: part}, frozenset()))
    assert late == (connection_checks.LATENESS, [((), lateness)])
    assert family.name == "scheduling_connection_check_duration_seconds"
    assert family.buckets == CHECK_BUCKETS
    assert {0.1, 0.5, 1, 2, 5}.issubset(family.buckets)
    assert found == [((), durations)]
    assert durations.counts == (2, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1)
    assert durations.sum == 11.306
    assert list(connection_checks.collect(View("", {}, frozenset()))) == []
