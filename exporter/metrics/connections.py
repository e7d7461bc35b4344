"""Metrics of the PostgreSQL targets: one view, one target, its last check and what adds up."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, cast

from exporter.connections import BACKEND_STATES, COLLECTOR, STAGES, ConnectionState, ServerFacts
from exporter.metrics.family import Families, Family, Kind, Sample, View

SCOPE: Final = "connection"
INPUTS: Final = (COLLECTOR,)


def _family(name: str, kind: Kind, help_text: str, *labels: str) -> Family:
    return Family(f"scheduling_{name}", kind, help_text, ("connection", *labels))


UP: Final = _family(
    "connection_up",
    "gauge",
    "Whether the last check of the target reached the end: 1, or 0 (too old counts as 0).",
)
INFO: Final = _family(
    "connection_info",
    "gauge",
    "Where the target is; the version and role (primary or replica) it answered with, empty if it did not.",
    *("host", "port", "database", "server_version", "role"),
)
RESPONSE: Final = _family(
    "connection_response_seconds",
    "gauge",
    "Duration of the last check from end to end, successful or not; over a kept connection no login is in it.",
)
STAGE: Final = _family(
    "connection_check_stage_seconds",
    "gauge",
    "Duration of each stage that the last check reached; over a kept connection dns to auth are those of its login.",
    "stage",
)
CHECKS: Final = _family("connection_checks_total", "counter", "Checks of the target since the start.")
FAILURES: Final = _family(
    "connection_check_failures_total",
    "counter",
    "Failed checks of the target since the start, by result.",
    "result",
)
FAILING: Final = _family(
    "connection_failing",
    "gauge",
    "1 while the last check of the target failed, with its result; absent while checks succeed.",
    "result",
)
LAST_CHECK: Final = _family(
    "connection_last_check_timestamp_seconds", "gauge", "When the last check of the target ended."
)
LAST_SUCCESS: Final = _family(
    "connection_last_success_timestamp_seconds",
    "gauge",
    "When the last successful check of the target ended.",
)
LAST_LOGIN: Final = _family(
    "connection_last_login_timestamp_seconds",
    "gauge",
    "When a check last logged in; those since then went over the connection kept from it.",
)
TLS_EXPIRY: Final = _family(
    "connection_tls_expiry_timestamp_seconds",
    "gauge",
    "notAfter of the server's certificate, as of the last login over TLS.",
)
BACKENDS: Final = _family(
    "db_connections",
    "gauge",
    "Client backends of the whole server by state (pg_stat_activity), the check's own included.",
    "state",
)
ACTIVE: Final = _family(
    "db_connections_active",
    "gauge",
    "Active client backends of the whole server (pg_stat_activity), the check's own included.",
)
LIMIT: Final = _family(
    "db_connections_limit",
    "gauge",
    "max_connections of the server less the connections reserved for privileged roles.",
)
OLDEST: Final = _family(
    "db_oldest_transaction_timestamp_seconds",
    "gauge",
    "Start of the server's oldest open transaction (pg_stat_activity, pg_prepared_xacts), if one is open.",
)
SIZE: Final = _family("db_size_bytes", "gauge", "Size of the target's database (pg_database_size).")
LAG: Final = _family(
    "db_replication_lag_seconds",
    "gauge",
    "How far a replica lies behind, 0 when it has replayed all; absent on a primary.",
)
XID_AGE: Final = _family(
    "db_transaction_id_age",
    "gauge",
    "Transactions since the database's oldest frozen id (age of datfrozenxid).",
)
DEADLOCKS: Final = _family(
    "db_deadlocks_total",
    "counter",
    "Deadlocks in the target's database (pg_stat_database) since the first check that saw their count.",
)


def collect(view: View) -> Families:
    """The target's families. A gauge of an outdated part is left out, but ``up``, which is 0 then."""
    part = view.parts.get(COLLECTOR)
    if part is None:
        return
    state = cast(ConnectionState, part.value)
    fresh = COLLECTOR not in view.stale
    name = state.name
    healthy = fresh and state.result is not None and state.result.is_healthy
    if state.result is not None:
        yield UP, [((name,), float(healthy))]
    yield CHECKS, [((name,), state.checks)]
    yield FAILURES, [((name, result), count) for result, count in state.failures.items()]
    yield from _known(DEADLOCKS, name, state.deadlocks)
    if fresh:
        yield from _gauges(state)
        yield from _facts(name, _last_facts(state))


def _gauges(state: ConnectionState) -> Families:
    """What the last check measured, whether it succeeded or not."""
    name, result = state.name, state.result
    facts = _last_facts(state)
    place = (state.host, str(state.port), state.database)
    yield INFO, [((name, *place, facts.server_version or "", facts.role or ""), 1.0)]
    yield from _known(LAST_CHECK, name, state.last_check)
    yield from _known(LAST_SUCCESS, name, state.last_success)
    if result is not None:
        yield FAILING, [] if result.is_healthy else [((name, result.result), 1.0)]
        yield RESPONSE, [((name,), result.response_seconds)]
        yield STAGE, [((name, stage), state.stages[stage]) for stage in STAGES if stage in state.stages]
        yield from _known(LAST_LOGIN, name, result.last_login)
        yield from _known(TLS_EXPIRY, name, result.tls_expiry)


def _facts(name: str, facts: ServerFacts) -> Families:
    """What the server said of itself."""
    if facts.backends is not None:
        yield BACKENDS, _by_state(name, facts.backends)
        yield ACTIVE, [((name,), facts.backends[BACKEND_STATES.index("active")])]
    yield from _known(LIMIT, name, facts.backends_limit)
    yield from _known(OLDEST, name, facts.oldest_transaction)
    yield from _known(SIZE, name, facts.database_size)
    yield from _known(LAG, name, facts.replication_lag)
    yield from _known(XID_AGE, name, facts.transaction_id_age)


def _last_facts(state: ConnectionState) -> ServerFacts:
    """What the last check learned: nothing where it failed, or before there was one."""
    return (state.result.facts if state.result else None) or ServerFacts()


def _by_state(name: str, backends: tuple[int, ...]) -> list[Sample]:
    return [((name, state), count) for state, count in zip(BACKEND_STATES, backends, strict=True)]


def _known(family: Family, name: str, value: float | None) -> Iterator[tuple[Family, list[Sample]]]:
    """The family with one sample, or nothing where the value is unknown."""
    if value is not None:
        yield family, [((name,), value)]
