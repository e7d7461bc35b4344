"""The private server: it starts as anybody, keeps its port and data, and leaves nothing."""

from __future__ import annotations

from pathlib import Path

import psutil
import psycopg
import pytest
from support.postgres import Database, running_server

from exporter.demo.database import create_shop
from exporter.demo.postgres import PostgresServer

#: The server counts those of all databases.
OURS = """
SELECT calls FROM pg_stat_statements
 WHERE query ~ 'marked' AND dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


def test_settings_reach_the_server(database: Database) -> None:
    with database.connect() as connection:
        names = "max_connections", "max_prepared_transactions", "fsync", "wal_level", "listen_addresses"
        values = [connection.execute("SELECT current_setting(%s)", [name]).fetchone() for name in names]
    assert values == [("300",), ("20",), ("off",), ("replica",), ("127.0.0.1",)]


def test_statements_are_counted(database: Database) -> None:
    with database.connect() as connection:
        connection.execute("CREATE EXTENSION pg_stat_statements")
        connection.execute("SELECT 1 AS marked")
        seen = connection.execute(OURS).fetchone()
    assert seen == (1,)


def test_a_wrong_password_is_refused(postgres_server: PostgresServer) -> None:
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(postgres_server.dsn(password="wrong"))


def test_a_restart_keeps_port_and_data(database: Database) -> None:
    with database.connect() as connection:
        connection.execute("CREATE TABLE kept (n integer)")
    port = database.server.port
    database.server.restart("immediate")
    assert database.server.port == port
    with database.connect() as connection:
        assert connection.execute("SELECT count(*) FROM kept").fetchone() == (0,)


def test_nothing_is_left() -> None:
    with running_server() as server:
        directory, pid = server.directory, server.child.pid
        assert server.running
    assert not directory.parent.exists()
    assert not server.running
    assert not psutil.pid_exists(pid)


def test_a_kept_shop_is_used_again(tmp_path: Path) -> None:
    with running_server() as server:
        first = create_shop(server, tmp_path)
        with psycopg.connect(first.owner_dsn) as owner:
            owner.execute("INSERT INTO procrastinate_jobs (queue_name, task_name) VALUES ('q', 'kept')")
        assert create_shop(server, tmp_path) == first
        with psycopg.connect(first.monitor_dsn) as monitor:
            assert monitor.execute("SELECT task_name FROM procrastinate_jobs").fetchall() == [("kept",)]
