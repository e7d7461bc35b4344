"""PostgreSQL connections: who is up, which stage is slow, what servers say of themselves, what expires."""

from __future__ import annotations

from typing import Any

from dashboards.src import panels as p
from dashboards.src.board import Frame
from dashboards.src.queries import (
    MANY,
    Query,
    age,
    first,
    heatmap,
    increase,
    least,
    most,
    peak,
    rate,
    select,
    share,
    threshold,
    total,
    whole,
)

NAME = "{{connection}}"
#: Rows of states that can still be read.
ROWS = 30
UP = "scheduling_connection_up"
STAGES = {"vault": "purple", "dns": p.QUIET, "tcp": p.CALM, "tls": p.GOOD, "auth": p.WARN, "query": "yellow"}
BACKENDS = {"active": p.GOOD, "idle": p.CALM, "idle_in_transaction": p.WARN, "other": p.QUIET}
DEADLOCKS = "scheduling_db_deadlocks_total"
OLDEST = "scheduling_db_oldest_transaction_timestamp_seconds"
STAGE, FAILURES = "scheduling_connection_check_stage_seconds", "scheduling_connection_check_failures_total"
TLS, LEASE = "scheduling_connection_tls_expiry_timestamp_seconds", "scheduling_vault_lease_expiry_timestamp_seconds"
TOKEN = "scheduling_vault_token_expiry_timestamp_seconds"  # noqa: S105 - a metric's name

#: A rank: the share of the time range for which a target was down.
DOWN_FOR = f"1 - {least(f'avg_over_time({select(UP)}[$__range] @ end())', 'connection')}"


def highest(metric: str) -> str:
    """A gauge of the targets where it was highest."""
    return first(most(select(metric), "connection"), "connection", peak(metric, "connection"))


def soonest(metric: str) -> str:
    """Seconds until a moment, of the targets whose moment comes first."""
    rank = f"0 - {least(f'min_over_time({select(metric)}[$__range] @ end())', 'connection')}"
    return first(least(f"{select(metric)} - time()", "connection"), "connection", rank)


def health() -> list[Any]:
    """Up or not, and since when."""
    one = ("connection",)
    return [
        p.number(
            "Up",
            "Targets whose last check reached its end.",
            "short",
            Query(f"count({select(UP)} == 1) or vector(0)", "up"),
            steps=((None, p.GOOD),),
            size=(3, 8),
        ),
        p.number(
            "Down",
            "Targets whose last check failed, or is too old.",
            "short",
            Query(f"count({select(UP)} == 0) or vector(0)", "down"),
            steps=p.NONE_IS_GOOD,
            size=(3, 8),
            runbooks=["SchedulingConnectionDown", "SchedulingConnectionAuthRefused"],
        ),
        p.states(
            "Up and down",
            f"When each target's checks reached their end, of the {ROWS} that were down for longest within the time "
            "range. Values of 1 are up, of 0 down.",
            Query(first(most(select(UP), *one), "connection", DOWN_FOR, most_of=ROWS), NAME),
            size=(18, 8),
            runbooks=["SchedulingConnectionDown", "SchedulingConnectionAuthRefused"],
        ),
        p.graph(
            "Failed checks by result",
            "Checks that fail in a second, by what went wrong: refused and timeout are the network "
            "or the server, auth the "
            "credentials, vault where they come from.",
            "ops",
            Query(
                first(total(rate(FAILURES), "connection", "result"), "connection", whole(FAILURES, "connection")),
                NAME + ": {{result}}",
            ),
            legend="right",
            size=(24, 7),
        ),
        p.listing(
            "Targets",
            "Where each target is, the version and role it answered with, and its last check.",
            [
                p.Column("connection", "Connection"),
                p.Column("host", "Host"),
                p.Column("port", "Port", width=90),
                p.Column("database", "Database"),
                p.Column("server_version", "Version", width=110),
                p.Column("role", "Role", width=100),
                p.Column("Value #B", "State", mapping=p.UP, width=100),
                p.Column("Value #C", "Success ago", unit="s", decimals=0),
            ],
            Query(
                most(select("scheduling_connection_info"), *one, "host", "port", "database", "server_version", "role")
            ).table("A"),
            Query(least(select(UP), *one)).table("B"),
            Query(least(age(select("scheduling_connection_last_success_timestamp_seconds")), *one)).table("C"),
            sort="State",
            descending=False,
            hidden=("Value #A",),
            size=(24, 7),
        ),
    ]


def response() -> list[Any]:
    """How long checks take, and where."""
    stages = most(select(STAGE), "connection", "stage")
    return [
        p.graph(
            "Response time",
            f"The last check from end to end, successful or not, of the {MANY} targets where it took longest, and the "
            "threshold connection_response_seconds. Logarithmic.",
            "s",
            Query(highest("scheduling_connection_response_seconds"), NAME),
            threshold("connection_response_seconds"),
            legend="right",
            logarithmic=True,
            runbooks=["SchedulingConnectionSlow"],
        ),
        p.graph(
            "Response by stage",
            "Mean over the chosen targets of the stages that their last checks reached; over a kept "
            "connection only query "
            "is new each time.",
            "s",
            Query(f"avg by (stage) ({select(STAGE)})", "{{stage}}"),
            stack=True,
            colours=STAGES,
        ),
        p.spread(
            "Duration of all checks",
            "How many checks took how long, of all targets together.",
            "s",
            heatmap("scheduling_connection_check_duration_seconds"),
        ),
        p.bars(
            "Slowest stages",
            f"The {MANY} slowest stages of the targets' last checks: where the time goes.",
            "s",
            Query(f"sort_desc(topk({MANY}, {stages}))", NAME + ": {{stage}}").instant(),
            size=(12, 8),
        ),
    ]


def servers() -> list[Any]:
    """What servers say of themselves."""
    used = share(
        total(select("scheduling_db_connections"), "connection"),
        most(select("scheduling_db_connections_limit"), "connection"),
    )
    oldest = most(age(f"min_over_time({select(OLDEST)}[$__range] @ end())"), "connection")
    return [
        p.graph(
            "Connections in use",
            "Share of the connections that each server allows, and the threshold "
            "connections_ratio. At 100% nobody can connect any more.",
            "percentunit",
            Query(first(used, "connection", peak("scheduling_db_connections", "connection")), NAME),
            threshold("connections_ratio"),
            top=1,
            runbooks=["SchedulingConnectionsNearLimit", "SchedulingConnectionsExhaustionForecast"],
        ),
        p.graph(
            "Connections by state",
            "Client backends of the chosen servers by state.",
            "short",
            Query(total(select("scheduling_db_connections"), "state"), "{{state}}"),
            stack=True,
            colours=BACKENDS,
            decimals=0,
        ),
        p.graph(
            "Oldest transaction",
            "For how long each server's oldest transaction has been open. Long ones hold back vacuum.",
            "s",
            Query(first(most(age(select(OLDEST)), "connection"), "connection", oldest), NAME),
            size=(8, 8),
        ),
        p.graph(
            "Database size",
            "Size of each target's database.",
            "bytes",
            Query(highest("scheduling_db_size_bytes"), NAME),
            size=(8, 8),
        ),
        p.graph(
            "Deadlocks",
            "Deadlocks within an hour in each target's database.",
            "short",
            Query(
                first(most(increase(DEADLOCKS, over="1h"), "connection"), "connection", whole(DEADLOCKS, "connection")),
                NAME,
            ),
            decimals=0,
            size=(8, 8),
        ),
        p.graph(
            "Replication lag",
            "How far each replica lies behind, and the threshold replication_lag_seconds. A primary has none.",
            "s",
            Query(highest("scheduling_db_replication_lag_seconds"), NAME),
            threshold("replication_lag_seconds"),
            runbooks=["SchedulingReplicationLagHigh"],
        ),
        p.graph(
            "Transaction-id age",
            "Transactions since each database's oldest frozen id, and the threshold "
            "transaction_id_age. Near 2.1 billion PostgreSQL refuses to write. The scale is logarithmic.",
            "short",
            Query(highest("scheduling_db_transaction_id_age"), NAME),
            threshold("transaction_id_age"),
            logarithmic=True,
            runbooks=["SchedulingTransactionIdAgeHigh"],
        ),
    ]


def expiry() -> list[Any]:
    """What ends: certificates, credentials; and Vault, where the latter come from."""
    return [
        p.number(
            "Vault",
            "Whether Vault answers, is unsealed and takes the exporter's login. Absent without Vault.",
            "none",
            Query(least(select("scheduling_vault_up")), "vault"),
            mapping=p.UP,
            empty="not configured",
            size=(4, 8),
            runbooks=["SchedulingVaultDown"],
        ),
        p.graph(
            "Certificates end in",
            f"Until the server's certificate ends, of the {MANY} that end first, and the threshold "
            "certificate_expiry_seconds. Known after a login over TLS.",
            "s",
            Query(soonest(TLS), NAME),
            threshold("certificate_expiry_seconds"),
            size=(10, 8),
            runbooks=["SchedulingCertificateExpiring"],
        ),
        p.graph(
            "Credentials end in",
            f"Until the lease of a target's credentials, of the {MANY} that end first, and the exporter's token end "
            "unless renewed. A saw: they are.",
            "s",
            Query(soonest(LEASE), "lease {{connection}}"),
            Query(least(f"{select(TOKEN)} - time()"), "token"),
            size=(10, 8),
            runbooks=["SchedulingVaultLeaseExpiring", "SchedulingVaultTokenExpiring"],
        ),
        p.graph(
            "Requests to Vault",
            "Requests in a second by operation and result.",
            "reqps",
            Query(total(rate("scheduling_vault_requests_total"), "operation", "result"), "{{operation}}: {{result}}"),
            legend="right",
            size=(24, 7),
        ),
    ]


def build() -> Frame:
    """The frame with its rows."""
    return Frame(
        name="connections",
        title="PostgreSQL connections",
        description="Checked PostgreSQL servers: up or down, response by stage, server facts, what expires; and Vault.",
        rows=[("Health", health()), ("Response", response()), ("Servers", servers()), ("What expires", expiry())],
        source="scheduling_connection_up",
        store=False,
        connection=True,
    )
