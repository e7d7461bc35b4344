"""PostgreSQL connections: who is up, which stage is slow, what servers say of themselves, what expires."""

from __future__ import annotations

from typing import Any

from dashboards.src import panels as p
from dashboards.src.board import Frame
from dashboards.src.queries import Query, age, heatmap, increase, least, most, rate, select, share, threshold, total

NAME = "{{connection}}"
UP = "scheduling_connection_up"
STAGES = {"vault": "purple", "dns": p.QUIET, "tcp": p.CALM, "tls": p.GOOD, "auth": p.WARN, "query": "yellow"}
BACKENDS = {"active": p.GOOD, "idle": p.CALM, "idle_in_transaction": p.WARN, "other": p.QUIET}
TLS, LEASE = "scheduling_connection_tls_expiry_timestamp_seconds", "scheduling_vault_lease_expiry_timestamp_seconds"
TOKEN = "scheduling_vault_token_expiry_timestamp_seconds"  # noqa: S105 - a metric's name


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
            "When each target's checks reached their end. Values of 1 are up, of 0 down.",
            Query(most(select(UP), *one), NAME),
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
                total(rate("scheduling_connection_check_failures_total"), "connection", "result"), NAME + ": {{result}}"
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
    return [
        p.graph(
            "Response time",
            "The last check from end to end, successful or not, and the threshold "
            "connection_response_seconds. Logarithmic.",
            "s",
            Query(most(select("scheduling_connection_response_seconds"), "connection"), NAME),
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
            Query(f"avg by (stage) ({select('scheduling_connection_check_stage_seconds')})", "{{stage}}"),
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
            "Stages by target",
            "The stages of each target's last check: which one takes the time.",
            "s",
            Query(
                most(select("scheduling_connection_check_stage_seconds"), "connection", "stage"), NAME + ": {{stage}}"
            ).instant(),
            size=(12, 8),
        ),
    ]


def servers() -> list[Any]:
    """What servers say of themselves."""
    used = share(
        total(select("scheduling_db_connections"), "connection"),
        most(select("scheduling_db_connections_limit"), "connection"),
    )
    return [
        p.graph(
            "Connections in use",
            "Share of the connections that each server allows, and the threshold "
            "connections_ratio. At 100% nobody can connect any more.",
            "percentunit",
            Query(used, NAME),
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
            Query(most(age(select("scheduling_db_oldest_transaction_timestamp_seconds")), "connection"), NAME),
            size=(8, 8),
        ),
        p.graph(
            "Database size",
            "Size of each target's database.",
            "bytes",
            Query(most(select("scheduling_db_size_bytes"), "connection"), NAME),
            size=(8, 8),
        ),
        p.graph(
            "Deadlocks",
            "Deadlocks within an hour in each target's database.",
            "short",
            Query(most(increase("scheduling_db_deadlocks_total", over="1h"), "connection"), NAME),
            decimals=0,
            size=(8, 8),
        ),
        p.graph(
            "Replication lag",
            "How far each replica lies behind, and the threshold replication_lag_seconds. A primary has none.",
            "s",
            Query(most(select("scheduling_db_replication_lag_seconds"), "connection"), NAME),
            threshold("replication_lag_seconds"),
            runbooks=["SchedulingReplicationLagHigh"],
        ),
        p.graph(
            "Transaction-id age",
            "Transactions since each database's oldest frozen id, and the threshold "
            "transaction_id_age. Near 2.1 billion PostgreSQL refuses to write. The scale is logarithmic.",
            "short",
            Query(most(select("scheduling_db_transaction_id_age"), "connection"), NAME),
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
            "Until each server's certificate ends, and the threshold "
            "certificate_expiry_seconds. Known after a login over TLS.",
            "s",
            Query(least(f"{select(TLS)} - time()", "connection"), NAME),
            threshold("certificate_expiry_seconds"),
            size=(10, 8),
            runbooks=["SchedulingCertificateExpiring"],
        ),
        p.graph(
            "Credentials end in",
            "Until the lease of each target's credentials, and the exporter's token, end unless "
            "renewed. A saw: they are.",
            "s",
            Query(least(f"{select(LEASE)} - time()", "connection"), "lease {{connection}}"),
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
