"""The README's five minutes, done: its role, its configurations and its custom profile on a real PostgreSQL."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import psycopg
import pytest
from procrastinate.schema import SchemaManager
from support.postgres import Database

from exporter.config.load import load_text
from exporter.config.model import Config, Dsn, PostgresStore, Profile
from exporter.config.secrets import Secret
from exporter.domain import Executions, JobCounts, Queues, Running
from exporter.instruments import QueryInstruments
from exporter.ledger.ledger import Ledger
from exporter.poller import Collected
from exporter.snapshot import Hub
from exporter.stores.check import check_stores
from exporter.stores.native import ddl
from exporter.stores.postgres import Store

if TYPE_CHECKING:
    from docs.conftest import Documents

ROLE = "scheduler_exporter"
PASSWORD = "change-me"


@pytest.fixture
def role(documents: Documents, database: Database) -> Iterator[str]:
    """The README's role, under a name of this test's own; its grants come with ``grant``."""
    name = f"{ROLE}_{uuid.uuid4().hex[:8]}"
    yield name
    with database.connect() as admin:
        if admin.execute("SELECT FROM pg_roles WHERE rolname = %s", [name]).fetchone():
            admin.execute(f"DROP OWNED BY {name}; DROP ROLE {name}")


def run(database: Database, *statements: str) -> None:
    with database.connect() as admin:
        for statement in statements:
            admin.execute(statement.encode())


def grants(documents: Documents, role: str) -> str:
    """What the README has an administrator run."""
    (block,) = documents.blocks("sql role")
    assert PASSWORD in block.text
    return block.text.replace(ROLE, role)


def configured(documents: Documents, tmp_path: Path, name: str, database: Database, role: str) -> Config:
    """The README's configuration with the store of that name, which leads to ``database``."""
    for block in documents.blocks("yaml config"):
        environ = {"ORDERS_PASSWORD": PASSWORD, "CRON_PASSWORD": PASSWORD}
        tmp_path.joinpath("prod-db.password").write_text("any")
        config = load_text(block.text, filename=str(block), environ=environ, base_dir=tmp_path)
        if [store.name for store in config.stores] == [name]:
            assert config.stores[0].password == Secret(PASSWORD)
            assert config.stores[0].dsn.startswith(f"postgresql://{ROLE}@")
            # The password stays where the README has it; only host and database are the test's.
            place = psycopg.conninfo.conninfo_to_dict(database.dsn_as(role, PASSWORD))
            place.pop("password")
            dsn = Dsn(psycopg.conninfo.make_conninfo(**place))
            return msgspec.structs.replace(config, stores=(msgspec.structs.replace(config.stores[0], dsn=dsn),))
    raise AssertionError(f"README.md has no configuration with a store {name}")


class Asker:
    """A store that is asked by hand."""

    def __init__(self, config: PostgresStore, ledger: Ledger) -> None:
        self.store = Store(config, ledger=ledger, hub=Hub(), instruments=QueryInstruments(), budget=500)
        self._collectors = {collector.name: collector for collector in self.store.collectors()}

    async def ask(self, name: str) -> Any:
        result: Collected = await self._collectors[name].collect()
        return result.value


async def test_the_custom_profile_works(documents: Documents, database: Database, role: str, tmp_path: Path) -> None:
    (tables,) = documents.blocks("sql custom")
    run(database, tables.text, grants(documents, role))
    run(database, "INSERT INTO task_run (task, state, ended_at) VALUES ('old', 'done', now() - interval '1 hour')")
    config = configured(documents, tmp_path, "cron", database, role)
    assert isinstance(config.stores[0].profile, Profile)
    async with Ledger(str(tmp_path / "state"), budget=500) as ledger:
        asker = Asker(config.stores[0], ledger)
        first: Executions = await asker.ask("executions")
        assert first.counts.executions == {}  # what finished before is history
        assert first.exactness.exact
        run(
            database,
            """INSERT INTO task_run (task, state, worker, started_at, ended_at) VALUES
               ('mail', 'done', 'w1', now() - interval '3 s', now() - interval '1 s'),
               ('mail', 'error', 'w1', now() - interval '3 s', now() - interval '1 s'),
               ('mail', 'running', 'w2', now() - interval '3 h', NULL),
               ('mail', 'waiting', NULL, NULL, NULL)""",
        )
        second: Executions = await asker.ask("executions")
        assert second.counts.executions == {"mail": (1, 1, 0, 0)}
        assert second.counts.durations["mail"].count == 2
        assert second.counts.waits["mail"].count == 2
        assert second.counts.workers == {"w1": (1, 1, 0, 0)}
        running: Running = await asker.ask("running")
        assert (running.by_task_type["mail"].running, running.by_task_type["mail"].stuck) == (1, 1)
        assert running.by_worker == {"w2": 1}
        queues: Queues = await asker.ask("queues")
        assert (queues.queues[""].ready, queues.queues[""].running) == (1, 1)
        assert queues.queues[""].oldest_ready is not None
        jobs: JobCounts = await asker.ask("jobs")
        assert jobs.by_status == {
            ("COMPLETED", "ONE_TIME"): 2,
            ("FAILED", "ONE_TIME"): 1,
            ("RUNNING", "ONE_TIME"): 1,
            ("QUEUED", "ONE_TIME"): 1,
        }
        await asker.store.close()


async def test_profile_check_has_nothing_against_the_custom_profile(
    documents: Documents, database: Database, role: str, tmp_path: Path
) -> None:
    (tables,) = documents.blocks("sql custom")
    run(database, tables.text, grants(documents, role))
    # Enough rows for the planner to prefer an index to reading everything.
    run(
        database,
        """INSERT INTO task_run (task, state, enqueued_at, started_at, ended_at)
           SELECT 'mail', 'done', t, t, t FROM generate_series(now() - interval '20 h', now(), interval '2 s') t""",
        "INSERT INTO task_run (task) SELECT 'mail' FROM generate_series(1, 50)",
        "ANALYZE task_run",
    )
    said: list[str] = []
    config = configured(documents, tmp_path, "cron", database, role)
    assert await check_stores(config, [], said.append) == 0
    text = "\n".join(said)
    assert "provably exact" in text
    assert "warning" not in text.lower(), text


@pytest.mark.parametrize(
    ("profile", "schema"), [("procrastinate", SchemaManager.get_schema()), ("native", ddl("public"))]
)
async def test_the_short_configuration_recognises_a_shipped_scheduler(
    documents: Documents, database: Database, role: str, tmp_path: Path, profile: str, schema: str
) -> None:
    run(database, schema, grants(documents, role))
    config = configured(documents, tmp_path, "orders", database, role)
    said: list[str] = []
    assert await check_stores(config, ["orders"], said.append) == 0
    assert f"profile       {profile}" in "\n".join(said)
    async with Ledger(str(tmp_path / "state"), budget=500) as ledger:
        asker = Asker(config.stores[0], ledger)
        executions: Executions = await asker.ask("executions")
        assert executions.exactness.exact
        for name in ("workers", "running", "queues", "schedules", "jobs"):
            assert await asker.ask(name) is not None, name
        await asker.store.close()
