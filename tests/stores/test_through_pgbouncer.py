"""A store behind PgBouncer in transaction mode: the same counts, nothing prepared, nothing set for a whole session."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from psycopg.conninfo import make_conninfo
from support import faulty_servers
from support.counting import Counter
from support.directory import STATUS, Directory
from support.postgres import Database

from exporter.config.base import Dsn, Duration
from exporter.config.model import PostgresStore
from exporter.directory import StatusWritten
from exporter.instruments import QueryInstruments
from exporter.stores.connections import StoreConnections
from exporter.stores.credentials import StoreCredentials
from exporter.stores.native import ddl
from exporter.stores.profile import fill, named
from exporter.stores.session import Session


@pytest.fixture
def bouncer(database: Database) -> Iterator[str]:
    """The database's DSN through a pool of two server connections."""
    if not shutil.which("pgbouncer", path="/usr/sbin:/usr/bin:/usr/local/bin"):
        pytest.skip("needs PgBouncer")
    user = f"pooled_{os.getpid()}"
    with database.connect() as admin:
        admin.execute(ddl("public"))  # type: ignore[call-overload]
        admin.execute(f"CREATE ROLE {user} LOGIN PASSWORD 'pw'")  # type: ignore[call-overload]
        admin.execute(f"GRANT pg_monitor, pg_read_all_data TO {user}")  # type: ignore[call-overload]
    with tempfile.TemporaryDirectory(prefix="scheduler-exporter-bouncer-") as directory:
        Path(directory).chmod(0o777)
        server = database.server.port
        with faulty_servers.pgbouncer(
            Path(directory), server, database.name, user, "pw", default_pool_size="2"
        ) as pooler:
            yield make_conninfo("", host="127.0.0.1", port=pooler.port, dbname=database.name, user=user, password="pw")
    with database.connect() as admin:
        admin.execute(f"DROP OWNED BY {user}; DROP ROLE {user}")  # type: ignore[call-overload]


def test_counts_are_exact_through_a_pooler(database: Database, bouncer: str, tmp_path: Path) -> None:
    sidecar = Counter(bouncer, "auto", tmp_path)
    try:
        sidecar.poll()
        with database.connect() as app, database.connect() as late:
            late.execute("BEGIN")
            late.execute("INSERT INTO executions (task_type, status, completed_at) VALUES ('mail', 'FAILED', now())")
            app.execute(
                "INSERT INTO executions (task_type, status, completed_at)"
                " SELECT 'mail', 'SUCCESS', clock_timestamp() FROM generate_series(1, 500)"
            )
            assert sidecar.poll().executions == {"mail": (500, 0, 0, 0)}
            late.execute("COMMIT")
        assert sidecar.poll().executions == {"mail": (500, 1, 0, 0)}
        assert sidecar.poll().executions == {"mail": (500, 1, 0, 0)}
        for question in ("workers", "running", "queues", "schedules", "operations", "jobs"):
            assert sidecar.ask(question) is not None
    finally:
        sidecar.close()


async def test_connections_are_read_and_results_written_through_a_pooler(database: Database, bouncer: str) -> None:
    store = PostgresStore(name="main", dsn=Dsn(bouncer), timeout=Duration(60))
    with database.connect() as admin:
        admin.execute("INSERT INTO connections (name, host) VALUES ('one', 'h')")
        admin.execute("GRANT INSERT, UPDATE ON connection_status, connection_lease TO PUBLIC")
    directory = Directory([STATUS])
    table = StoreConnections(store, directory, writes=True)
    session = Session("main", StoreCredentials(store), 60.0, QueryInstruments())
    try:
        await table.ask(session, fill(named("native"), {}))
        assert [row.id for row in directory.rows or ()] == [STATUS.connection_id]
        assert (await table.tell(session, fill(named("native"), {}))).value == StatusWritten(results=1)
    finally:
        await session.close()
    with database.connect() as admin:
        written = admin.execute("SELECT connection_id, is_healthy FROM connection_status ORDER BY 1").fetchall()
    assert written == [(1, True)]
