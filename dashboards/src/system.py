"""System resources: processor, memory, the pool of database connections, Redis, Kafka, and other dependencies."""

from __future__ import annotations

from typing import Any

from dashboards.src import panels as p
from dashboards.src.board import Frame
from dashboards.src.queries import (
    MANY,
    Query,
    age,
    first,
    least,
    most,
    peak,
    quantile,
    rate,
    select,
    share,
    threshold,
    total,
)

MEMORY, LIMIT = "process_resident_memory_bytes", "scheduling_exporter_memory_limit_bytes"
HITS, MISSES = "scheduling_redis_keyspace_hits_total", "scheduling_redis_keyspace_misses_total"


def machine() -> list[Any]:
    """The machine and the process."""
    return [
        p.graph(
            "Processor of the process",
            "Share of one core that the exporter uses.",
            "percentunit",
            Query(total(rate("process_cpu_seconds_total"), "instance"), "{{instance}}"),
            size=(8, 8),
        ),
        p.graph(
            "Load of the machine",
            "Load averages divided by cores: above 100% processes wait for a core.",
            "percentunit",
            *(
                Query(
                    f"max({select(f'scheduling_system_load{m}')} / on (job, instance) "
                    f"{select('scheduling_system_cpu_cores')})",
                    f"{m} min",
                )
                for m in (1, 5, 15)
            ),
            size=(8, 8),
        ),
        p.graph(
            "Memory of the machine",
            "Share of the machine's memory that is in use.",
            "percentunit",
            Query(most(select("scheduling_system_memory_usage_ratio"), "instance"), "{{instance}}"),
            top=1,
            size=(8, 8),
        ),
        p.graph(
            "Memory of the process",
            "Memory that the exporter uses, of what it may use, and the threshold memory_ratio.",
            "percentunit",
            Query(
                f"{most(select(MEMORY), 'job', 'instance')} / {most(select(LIMIT), 'job', 'instance')}", "{{instance}}"
            ),
            threshold("memory_ratio"),
            top=1,
            size=(8, 8),
            runbooks=["SchedulingExporterMemoryHigh"],
        ),
        p.graph(
            "Resident memory",
            "Memory that the exporter holds.",
            "bytes",
            Query(most(select(MEMORY), "instance"), "{{instance}}"),
            size=(8, 8),
        ),
        p.graph(
            "Open files",
            "File descriptors that the exporter has open, of those it may open.",
            "percentunit",
            Query(
                f"{most(select('process_open_fds'), 'instance')} / {most(select('process_max_fds'), 'instance')}",
                "{{instance}}",
            ),
            size=(8, 8),
        ),
    ]


def pool() -> list[Any]:
    """The database's connections."""
    limit = most(select("scheduling_db_connections_limit"), "connection")
    fullest = peak("scheduling_db_connections_active", "connection")
    active = share(most(select("scheduling_db_connections_active"), "connection"), limit)
    every = share(total(select("scheduling_db_connections"), "connection"), limit)
    return [
        p.graph(
            "Database connection pool",
            f"Active and all connections of the {MANY} checked servers with most active ones, of those that each "
            "allows, and the threshold connections_ratio.",
            "percentunit",
            Query(first(active, "connection", fullest), "active {{connection}}"),
            Query(first(every, "connection", fullest), "all {{connection}}"),
            threshold("connections_ratio"),
            top=1,
            runbooks=["SchedulingConnectionsNearLimit"],
        ),
        p.graph(
            "Database queries",
            "95th percentile of the exporter's own queries, by name.",
            "s",
            Query(quantile(0.95, "scheduling_db_query_duration_seconds", "query"), "{{query}}"),
            legend="right",
        ),
    ]


def dependencies() -> list[Any]:
    """What the scheduler leans on."""
    return [
        p.states(
            "Dependencies",
            "When the checks of each dependency reached their end.",
            Query(least(select("scheduling_dependency_up"), "kind", "name"), "{{name}} ({{kind}})"),
            size=(12, 7),
            runbooks=["SchedulingDependencyDown", "SchedulingEmailServiceDown"],
        ),
        p.graph(
            "Response of dependencies",
            "Duration of each dependency's last check, successful or not.",
            "s",
            Query(most(select("scheduling_dependency_response_seconds"), "name"), "{{name}}"),
            size=(12, 7),
        ),
        p.graph(
            "Redis hit ratio",
            "Share of the keys looked up in Redis that were found.",
            "percentunit",
            Query(
                share(total(rate(HITS), "name"), f"({total(rate(HITS), 'name')} + {total(rate(MISSES), 'name')})"),
                "{{name}}",
            ),
            top=1,
            size=(8, 8),
        ),
        p.graph(
            "Redis operations",
            "Commands that Redis processes in a second.",
            "ops",
            Query(total(rate("scheduling_redis_operations_total"), "name"), "{{name}}"),
            size=(8, 8),
        ),
        p.graph(
            "Kafka messages",
            "Messages produced to and consumed from each topic in a second. Consumed below produced: "
            "a group falls behind.",
            "mps",
            Query(total(rate("scheduling_kafka_messages_produced_total"), "topic"), "produced {{topic}}"),
            Query(
                total(rate("scheduling_kafka_messages_consumed_total"), "group", "topic"),
                "consumed {{topic}} by {{group}}",
            ),
            size=(8, 8),
        ),
        p.graph(
            "Dependencies' last success",
            "Time since the checks of each dependency last succeeded.",
            "s",
            Query(least(age(select("scheduling_dependency_last_success_timestamp_seconds")), "name"), "{{name}}"),
            size=(24, 6),
        ),
    ]


def build() -> Frame:
    """The frame with its rows."""
    return Frame(
        name="system",
        title="Scheduler system resources",
        description="Processor, memory, the database's connections, Redis, Kafka and other dependencies.",
        rows=[("Machine and process", machine()), ("Database", pool()), ("Dependencies", dependencies())],
        connection=True,
    )
