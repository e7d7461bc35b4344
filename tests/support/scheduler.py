"""A scheduler's database as its owner sets it up: a role for the sidecar, the native schema, rows in it."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from support.postgres import Database
from support.sidecar import run_command

PASSWORD = "monitor-password"
#: What the sidecar calls its connections to a store.
APPLICATION = "scheduler-exporter"


def monitor(database: Database) -> str:
    """Make the role that the sidecar's documentation asks for; returns its DSN."""
    role = f"monitor_{database.name}"
    with database.connect() as connection:
        names = {"role": sql.Identifier(role), "password": sql.Literal(PASSWORD)}
        connection.execute(sql.SQL("CREATE ROLE {role} LOGIN PASSWORD {password}").format(**names))
        connection.execute(sql.SQL("GRANT pg_monitor TO {role}").format(**names))
        connection.execute(sql.SQL("GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}").format(**names))
    return database.dsn_as(role, PASSWORD)


def backends(connection: psycopg.Connection[Any], *, role: str | None = None) -> list[int]:
    """The server processes that serve the sidecar, as ``role`` if one is given."""
    found = connection.execute(
        "SELECT pid FROM pg_stat_activity WHERE application_name = %s AND usename = coalesce(%s, usename)"
        " ORDER BY backend_start",
        [APPLICATION, role],
    )
    return [pid for (pid,) in found]


def clock(connection: psycopg.Connection[Any]) -> float:
    """The server's clock, Unix seconds."""
    row = connection.execute("SELECT extract(epoch FROM clock_timestamp())::float8").fetchone()
    assert row is not None
    return float(row[0])


@dataclass(frozen=True)
class NativeStore:
    """A database with the native schema; ``dsn`` is the sidecar's role's."""

    database: Database
    dsn: str

    def finish(self, count: int, *, status: str = "SUCCESS", task_type: str = "mail", attempt: int = 0) -> float:
        """``count`` executions that end now, one second after their start; returns the server's clock."""
        with self.database.connect() as connection:
            insert_finished(connection, count, status=status, task_type=task_type, attempt=attempt)
            return clock(connection)

    def truth(self) -> dict[str, int]:
        """Finished executions by the label value ``status``."""
        with self.database.connect() as connection:
            rows = connection.execute(
                "SELECT lower(status), count(*) FROM executions WHERE completed_at IS NOT NULL GROUP BY 1"
            ).fetchall()
        return dict.fromkeys(("success", "failed", "timeout", "cancelled"), 0) | dict(rows)


def insert_finished(
    connection: psycopg.Connection[Any],
    count: int,
    *,
    status: str = "SUCCESS",
    task_type: str = "mail",
    attempt: int = 0,
) -> None:
    """``count`` executions that end at this moment."""
    connection.execute(
        "INSERT INTO executions (job_id, task_type, queue, status, attempt, scheduled_at, started_at, completed_at)"
        " SELECT n, %(task_type)s, 'default', %(status)s, %(attempt)s, t - interval '3 s', t - interval '1 s', t"
        " FROM generate_series(1, %(count)s) AS n, clock_timestamp() AS t",
        {"count": count, "status": status, "task_type": task_type, "attempt": attempt},
    )


@functools.cache
def _schema() -> bytes:
    """What the command prints, asked once: a process takes a second to start."""
    ddl = run_command("schema")
    assert ddl.returncode == 0, ddl.stderr
    return ddl.stdout.encode()


def native_store(database: Database) -> NativeStore:
    """The schema that ``scheduler-exporter schema`` prints, with something for every collector to show:

    three jobs in a queue, a recurring one, an execution that runs, a worker, an operation.
    """
    with database.connect() as connection:
        connection.execute(_schema())
        connection.execute(
            "INSERT INTO jobs (name, task_type, queue, status, next_run_at)"
            " SELECT 'job ' || n, 'mail', 'default', 'QUEUED', now() FROM generate_series(1, 3) n"
        )
        connection.execute(
            "INSERT INTO jobs (name, task_type, status, type, schedule)"
            " VALUES ('nightly', 'report', 'SCHEDULED', 'RECURRING', '0 3 * * *')"
        )
        connection.execute("INSERT INTO workers (id, host) VALUES ('w1', 'host-1')")
        connection.execute("INSERT INTO executions (job_id, task_type, worker_id) VALUES (1, 'mail', 'w1')")
        connection.execute("INSERT INTO operations (operation_id) VALUES ('o1')")
    return NativeStore(database, monitor(database))
