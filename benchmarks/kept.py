"""One PostgreSQL server below ``benchmarks/.data`` that keeps the generated stores from run to run.

Autovacuum is off: whether statistics are fresh is part of what is measured, and no worker shall wake in between.
"""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from benchmarks.generate import RUNNING, generate
from exporter.demo.postgres import PostgresServer
from exporter.stores.native import ddl

DATA = Path(__file__).with_name(".data")
#: The role of the sidecar, and the one of whom it is measured against: pg_stat_statements tells them apart.
OURS, PEER = "scheduler_exporter", "peer"
PASSWORD = "benchmark"
SETTINGS: Mapping[str, str | int] = {
    "autovacuum": "off",
    "checkpoint_timeout": "30min",
    "max_connections": 300,
    "max_wal_senders": 0,
    "max_wal_size": "8GB",
    "pg_stat_statements.track_planning": "on",
    "shared_buffers": "2GB",
    "shared_preload_libraries": "pg_stat_statements",
    "wal_level": "minimal",
}


@contextlib.contextmanager
def server() -> Iterator[PostgresServer]:
    """The kept server, running; waits for another benchmark that uses it."""
    DATA.mkdir(exist_ok=True)
    with (DATA / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("another benchmark has the server; waiting for its end", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        postgres = PostgresServer(DATA / "postgres", settings=SETTINGS)
        try:
            postgres.start(timeout=300)
            yield postgres
        finally:
            postgres.stop("fast", timeout=120)


@dataclass(frozen=True)
class Database:
    """A database of the kept server."""

    server: PostgresServer
    name: str
    executions: int = 0

    def dsn(self, role: str = OURS) -> str:
        """How ``role`` connects."""
        return self.server.dsn(self.name, role, PASSWORD)

    def connect(self) -> psycopg.Connection[Any]:
        """A connection of the superuser in autocommit mode."""
        return psycopg.connect(self.server.dsn(self.name), autocommit=True)

    def take_back(self) -> None:
        """Remove what a benchmark has put in beyond the history."""
        with self.connect() as connection:
            connection.execute("DELETE FROM executions WHERE id > %s", [self.executions + RUNNING])
            connection.execute("VACUUM (ANALYZE) executions")

    def megabytes(self) -> int:
        """Its size on disk."""
        with self.connect() as connection:
            return number(connection, "SELECT pg_database_size(current_database()) / 1048576")


def number(connection: psycopg.Connection[Any], query: str) -> int:
    """The single number that ``query`` gives."""
    row = connection.execute(query.encode()).fetchone()
    return int(row[0]) if row is not None else 0


def store(server: PostgresServer, *, executions: int, jobs: int) -> Database:
    """The kept store of this size, generated now if it is not there yet."""
    name = f"executions_{executions}_jobs_{jobs}"
    if not _exists(server, name):
        print(f"generating {executions:,} executions and {jobs:,} jobs", flush=True)
        unfinished = f"{name}_unfinished"
        _recreate(server, unfinished)
        _grant(Database(server, unfinished))
        generate(server.dsn(unfinished), executions=executions, jobs=jobs)
        with psycopg.connect(server.dsn(), autocommit=True) as admin:
            rename = sql.SQL("ALTER DATABASE {} RENAME TO {}")
            admin.execute(rename.format(sql.Identifier(unfinished), sql.Identifier(name)))
    return Database(server, name, executions)


@contextlib.contextmanager
def empty(server: PostgresServer, name: str) -> Iterator[Database]:
    """The native schema without a row, for one benchmark; dropped at the end."""
    _recreate(server, name)
    database = Database(server, name)
    _grant(database)
    with database.connect() as admin:
        admin.execute(ddl("public").encode())
    try:
        yield database
    finally:
        _drop(server, name)


def _exists(server: PostgresServer, name: str) -> bool:
    with psycopg.connect(server.dsn()) as admin:
        return admin.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone() is not None


def _drop(server: PostgresServer, name: str) -> None:
    with psycopg.connect(server.dsn(), autocommit=True) as admin:
        admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def _recreate(server: PostgresServer, name: str) -> None:
    _drop(server, name)
    with psycopg.connect(server.dsn(), autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name)))


def _grant(database: Database) -> None:
    """Both roles, which may read whatever the superuser makes here, and pg_stat_statements."""
    with database.connect() as admin:
        for role in (OURS, PEER):
            name = sql.Identifier(role)
            if admin.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role]).fetchone() is None:
                create = sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(name, sql.Literal(PASSWORD))
                admin.execute(create)
            admin.execute(sql.SQL("GRANT pg_monitor TO {}").format(name))
            admin.execute(sql.SQL("ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO {}").format(name))
        admin.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
