"""Real PostgreSQL 18 servers for tests, and databases in them. The server is the demo's own."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import psycopg
from psycopg import sql

from exporter.demo.postgres import PostgresServer
from exporter.metrics.cgroup import memory_limit
from support.ports import free_port

SETTINGS: dict[str, str | int] = {
    "max_connections": 300,
    "max_prepared_transactions": 20,
    "track_commit_timestamp": "off",
    "wal_level": "replica",
    "shared_preload_libraries": "pg_stat_statements",
    "scram_iterations": 1,  # what a password costs is not what is tested
    "max_wal_size": "256MB",  # in memory, perhaps
}

_numbers = itertools.count(1)
_PREFIX = "scheduler-exporter-pg-"
_GIB = 2**30


def _place() -> str | None:
    """Where data is kept: in memory where there is plenty of it. A disk takes five times as long for a database."""
    shared, total = Path("/dev/shm"), psutil.virtual_memory().total
    try:
        found = os.statvfs(shared)
    except OSError:
        return None
    # As root the server's programs may have to lie there, too.
    if found.f_flag & os.ST_NOEXEC or found.f_bavail * found.f_frsize < 4 * _GIB:
        return None
    if (memory_limit(Path("/"), total) or total) < 8 * _GIB or not os.access(shared, os.W_OK):
        return None
    for left in shared.glob(f"{_PREFIX}*"):  # by a run that was killed
        if not psutil.pid_exists(int(left.name.removeprefix(_PREFIX).partition("-")[0])):
            shutil.rmtree(left, ignore_errors=True)
    return str(shared)


@contextlib.contextmanager
def running_server() -> Iterator[PostgresServer]:
    """A server with ``SETTINGS``, in a directory of its own that goes with it."""
    # Not below pytest's own directory, which only its owner may enter: as root the server runs as nobody.
    prefix = f"{_PREFIX}{os.getpid()}-"
    with tempfile.TemporaryDirectory(prefix=prefix, dir=_place(), ignore_cleanup_errors=True) as directory:
        Path(directory).chmod(0o711)
        server = PostgresServer(Path(directory, "postgres"), settings=SETTINGS)
        server.port = free_port()  # nobody takes it while the server is away
        try:
            server.start()
            yield server
        finally:
            server.stop("immediate")


@dataclass(frozen=True)
class Database:
    """A database of its own; ``dsn`` is the superuser's."""

    server: PostgresServer
    name: str

    @property
    def dsn(self) -> str:
        """How the superuser connects, password included."""
        return self.server.dsn(self.name)

    def dsn_as(self, user: str, password: str) -> str:
        """How another role connects: the server asks everybody for a password."""
        return self.server.dsn(self.name, user, password)

    def connect(self, **parameters: object) -> psycopg.Connection:
        """A connection of the superuser in autocommit mode; close it, or use it in a ``with``."""
        return psycopg.connect(self.dsn, **{"autocommit": True, **parameters})  # type: ignore[arg-type]


def execute(database: Database, *statements: str) -> list[tuple[Any, ...]]:
    """Run statements as the superuser, each for itself; returns the rows of the last one."""
    with database.connect() as admin:
        for statement in statements:
            cursor = admin.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


@contextlib.contextmanager
def fresh_database(server: PostgresServer) -> Iterator[Database]:
    """A new database, dropped at the end whoever is still connected."""
    name = f"test_{os.getpid()}_{next(_numbers)}"
    with psycopg.connect(server.dsn(), autocommit=True) as admin:
        # From template0: a session in template1, somebody's or autovacuum's, would make this fail.
        admin.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name)))
    try:
        yield Database(server, name)
    finally:
        if not server.running:  # a test may leave it stopped
            server.start()
        _drop(server, name)


def _drop(server: PostgresServer, name: str) -> None:
    """Sessions are told to go, and have 5 s for it: on a machine that stands still, once more."""
    for seconds in (0.0, 1.0, 10.0):
        time.sleep(seconds)
        with psycopg.connect(server.dsn(), autocommit=True) as admin:
            try:
                admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
            except psycopg.errors.ObjectInUse:
                continue
            return
    raise AssertionError(f"{name} is still used, by a prepared transaction or a subscription")
