"""A newcomer's walk from a clean checkout: what README.md and docs/profiles.md say, done word for word.

Every command and every configuration comes from the documents. Replaced are only addresses, ports, the role's name and
what Debian calls a program; Prometheus looks every second, so that nobody waits.
"""

from __future__ import annotations

import json
import shutil
import signal
import time
import urllib.parse
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
import yaml
from aiosmtpd.controller import Controller
from support.checkout import ROOT, copy_of_the_checkout
from support.dashboards import QUERIES
from support.demo import Demo, directory_of_a_demo
from support.exposition import Metrics
from support.newcomer import NEWCOMER, PATIENCE, Walk
from support.notifying import Inbox, Mailbox, impatient_rules, installed
from support.polling import until
from support.ports import free_port
from support.postgres import Database
from support.procrastinate_jobs import DSN_VARIABLE, Jobs, worker_command
from support.sidecar import HOST, clean_environment, request

from exporter.demo.processes import Child
from exporter.demo.readiness import fetch, is_complete

if TYPE_CHECKING:
    from docs.conftest import Documents

#: For what pip fetches.
LONG = 300
#: Queries of the overview that may have no answer for a store that has just begun, by panel, and why.
MAY_BE_EMPTY = {
    "Stuck A": "it is told by task types that run, and nothing runs at that moment",
    "Waiting longest A": "no job waits",
}
#: A bar of the hourly trend stands where its hour begins: now there is none yet.
BEFORE_NOW = {"Hourly trend A": 1800.0}
#: Somebody repaired the job and has it run again.
MENDED = "UPDATE procrastinate_jobs SET status = 'todo', task_name = 'fine' WHERE task_name = 'broken'"


def lines(documents: Documents, file: str, containing: str) -> list[str]:
    """The commands of the first shell block of a document that has this in it."""
    blocks = [block.text for block in documents.blocks("sh") if block.file == file and containing in block.text]
    return blocks[0].strip().splitlines()


def configuration(documents: Documents, file: str, containing: str) -> str:
    """The first configuration of a document that has this in it."""
    return next(
        block.text for block in documents.blocks("yaml config") if block.file == file and containing in block.text
    )


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a clean clone has, and nothing else."""
    return copy_of_the_checkout(tmp_path_factory.mktemp("newcomer") / "scheduler-exporter")


@pytest.fixture(scope="module")
def activated(documents: Documents, checkout: Path) -> str:
    """README's installation, done: what puts the command on the path in a new shell."""
    shell = Walk(checkout, {})
    make, activate, install = lines(documents, "README.md", "pip install .")
    for line in (make, activate, install):
        shell.run(line, LONG)
    assert shell.run("command -v scheduler-exporter").strip().startswith(str(checkout))
    return f"cd {checkout}; {activate}; cd - >/dev/null; "


def test_the_demo_starts_from_a_clean_checkout_and_leaves_nothing(documents: Documents, checkout: Path) -> None:
    first, *_ = lines(documents, "README.md", "make demo")
    before = {path.name for path in checkout.iterdir()}
    with directory_of_a_demo() as temp:
        demo = Demo(
            temp, command=["sh", "-c", f"exec {first}"], directory=checkout, environment=clean_environment(NEWCOMER)
        )
        demo.start()
        try:
            demo.wait_for_banner(LONG)
            page, metrics = demo.address("Status page"), demo.address("Metrics")
            assert is_complete(fetch(metrics))
            until(
                lambda: sum(Metrics(fetch(metrics) or "").series("scheduling_executions_total").values()) > 10,
                PATIENCE,
                "work is done",
            )
            # What README promises: Vault makes the exporter's users, and Prometheus comes with the rules.
            shown = Metrics(fetch(metrics) or "")
            assert shown.value("scheduling_vault_up") == shown.value("scheduling_connection_up", connection="shop") == 1
            assert "demo" in (fetch(page) or "")
            if shutil.which("prometheus"):
                watch_prometheus(demo.address("Prometheus"))
            assert len(demo.processes()) > 6
            demo.interrupt()
        finally:
            demo.cleanup()
        assert "nothing is left" in demo.output
        assert demo.processes() == []
        assert demo.directories == []
    assert {path.name for path in checkout.iterdir()} - before == {".venv", "scheduler_exporter.egg-info"}


def watch_prometheus(address: str) -> None:
    """The demo's exporter is up there, and the rules are loaded."""

    def told(path: str) -> Any:
        return json.loads(fetch(f"{address}api/v1/{path}") or "{}")["data"]

    def up() -> bool:
        return [target["health"] for target in told("targets")["activeTargets"]] == ["up"]

    until(up, PATIENCE, "Prometheus scrapes the demo")
    assert {"scheduling-executions", "scheduling-slo-recorded"} <= {group["name"] for group in told("rules")["groups"]}


@pytest.fixture
def role(database: Database) -> Iterator[str]:
    name = f"newcomer_{uuid.uuid4().hex[:8]}"
    yield name
    with database.connect() as admin:
        if admin.execute("SELECT FROM pg_roles WHERE rolname = %s", [name]).fetchone():
            admin.execute(f"DROP OWNED BY {name}; DROP ROLE {name}".encode())


@pytest.fixture
def inbox() -> Iterator[tuple[Inbox, int]]:
    """Somebody's mail, and the server's port."""
    found, port = Inbox(), free_port()
    server = Controller(Mailbox(found), hostname=HOST, port=port, ready_timeout=60)
    server.start()
    yield found, port
    server.stop()


@pytest.mark.skipif(not installed(), reason="Prometheus and Alertmanager are not installed")
def test_from_nothing_to_the_first_mail_and_dashboard(
    documents: Documents, activated: str, database: Database, role: str, inbox: tuple[Inbox, int], tmp_path: Path
) -> None:
    mails, mail_port = inbox
    alertmanager, prometheus = free_port(), free_port()
    place = psycopg.conninfo.conninfo_to_dict(database.dsn)
    walk = Walk(
        tmp_path,
        {
            "db.internal/orders": f"{place['host']}:{place['port']}/{place['dbname']}",
            "scheduler_exporter@": f"{role}@",
            # The mail server here speaks no TLS, for which the README has a word.
            '"smtp.example.com:587"': f'"{HOST}:{mail_port}", require_tls: false',
            "daily-report": "broken",
            "127.0.0.1:9093": f"{HOST}:{alertmanager}",
        },
        activated,
    )
    jobs = Jobs(database.dsn)
    try:
        # 1, 2, 3: a role, a configuration, the exporter.
        (grants,) = documents.blocks("sql role")
        with database.connect() as admin:
            admin.execute(grants.text.replace("scheduler_exporter", role).encode())
        walk.write("config.yaml", configuration(documents, "README.md", "name: orders"))
        *before, check, profile, serve = lines(documents, "README.md", "profile check")
        for line in before:
            walk.run(line)
        walk.run(check)
        assert "procrastinate" in walk.run(profile)
        exporter = walk.serve(serve)
        until(lambda: walk.metrics().value("scheduling_store_up", store="orders") == 1, PATIENCE, "the store answers")
        page = request(walk.port, "/").text
        assert "orders" in page and "procrastinate" in page

        # 4: who is told; the configuration is read again, as the README says.
        walk.write("config.yaml", configuration(documents, "README.md", "critical_jobs"))
        exporter.send(signal.SIGHUP)
        for line in lines(documents, "README.md", "alertmanager-config"):
            walk.run(line)
        assert (tmp_path / "rules/runbooks/SchedulingCriticalJobFailed.md").exists()
        impatient_rules(tmp_path / "rules")
        every_second(tmp_path / "rules" / "local.yml")
        first, second = lines(documents, "README.md", "alertmanager --config.file")
        more = f"--storage.path=am --web.listen-address={HOST}:{alertmanager} --cluster.listen-address="
        walk.leave_running(f"prometheus-{first}", more)
        walk.leave_running(second, f"--storage.tsdb.path=prom --web.listen-address={HOST}:{prometheus}")
        until(lambda: asked(prometheus, "scheduling_store_up"), PATIENCE, "Prometheus has scraped it")

        # The scheduler works: some jobs succeed, some fail, the critical one too.
        expected = jobs.defer(1, seed=1)
        worker = Child(
            name="worker", command=worker_command(4), log=tmp_path / "worker.log",
            environment={DSN_VARIABLE: database.dsn},
        )  # fmt: skip
        walk.children.append(worker)
        worker.start()
        until(lambda: walk.counted() == expected.executions, PATIENCE, "every execution is counted, once")
        about = "Critical job broken on orders failed"
        [mail, *_] = until(lambda: mails.about(about, "mail"), PATIENCE, "the mail arrives")
        assert "runbooks/SchedulingCriticalJobFailed.md" in mail.text
        # What was broken is mended: the next success of the job ends it, and that is told too.
        with database.connect() as admin:
            admin.execute(MENDED.encode())
        until(lambda: mails.about(about, "mail", over=True), PATIENCE, "the mail that it is over arrives")

        # 5: the first dashboard has this store's numbers.
        (line,) = lines(documents, "README.md", "scheduler-exporter dashboards")
        walk.run(line)
        assert (tmp_path / "dashboards/overview.json").read_bytes() == (ROOT / "dashboards/overview.json").read_bytes()
        assert "`dashboards/overview.json`" in documents.texts["README.md"]
        overview = [query for query in QUERIES if query.board == "overview"]
        assert {query.place for query in overview} >= MAY_BE_EMPTY.keys()

        def unanswered() -> list[str]:
            return [
                query.place
                for query in overview
                if query.place not in MAY_BE_EMPTY
                and not asked(prometheus, query.filled(), before=BEFORE_NOW.get(query.place, 0.0))
            ]

        try:
            until(lambda: unanswered() == [], PATIENCE)
        except AssertionError:
            pytest.fail(f"these have no answer: {unanswered()}")
    finally:
        walk.end()


def every_second(file: Path) -> None:
    """So that a test need not wait for a quarter of a minute."""
    config = yaml.safe_load(file.read_text())
    config["global"] |= {"scrape_interval": "1s", "evaluation_interval": "1s"}
    file.write_text(yaml.safe_dump(config))


def asked(port: int, query: str, *, before: float = 0.0) -> list[Any]:
    """What Prometheus has for a query, now or so many seconds before."""
    try:
        parameters = urllib.parse.urlencode({"query": query, "time": time.time() - before})
        answer = request(port, f"/api/v1/query?{parameters}")
    except OSError:
        return []
    found: list[Any] = answer.json["data"]["result"] if answer.status == 200 else []
    return found


def test_a_mapping_in_ten_minutes(documents: Documents, activated: str, database: Database, tmp_path: Path) -> None:
    walk = Walk(tmp_path, {"postgresql://monitor@db.internal/app": database.dsn}, activated)
    (tables,) = [b.text for b in documents.blocks("sql") if b.file == "docs/profiles.md" and "task_run" in b.text][:1]
    with database.connect() as admin:
        admin.execute(tables.encode())
        admin.execute(
            "INSERT INTO task SELECT n, 'mail', 'ok', now(), now() FROM generate_series(1, 5) n;"
            "INSERT INTO task_run SELECT n, n, 1, now() - interval '1 h', now() - interval '59 min'"
            " FROM generate_series(1, 5) n"
        )
    try:
        walk.run("scheduler-exporter profile new > skeleton.yaml")
        assert yaml.safe_load((tmp_path / "skeleton.yaml").read_text())
        # 2: the one SELECT that counts.
        whole = configuration(documents, "docs/profiles.md", "task_run r JOIN task t")
        walk.write("config.yaml", whole)
        check = "scheduler-exporter profile check --config.file=config.yaml"
        assert f"`{check}`" in documents.texts["docs/profiles.md"]
        assert "exact" in walk.run(check)
        exporter = walk.serve("scheduler-exporter serve --config.file=config.yaml")
        until(lambda: walk.metrics().series("scheduling_exporter_cursor_timestamp_seconds"), PATIENCE, "a first poll")
        with database.connect() as admin:
            admin.execute(
                "INSERT INTO task_run SELECT 10 + n, n, 1, timezone('UTC', now()), timezone('UTC', now()),"
                " CASE WHEN n > 3 THEN 'boom' END FROM generate_series(1, 5) n"
            )
        seen = {("mail", "success"): 3.0, ("mail", "failed"): 2.0}
        until(lambda: walk.counted() == seen, PATIENCE, f"{seen} are counted")

        # 3: what runs and what waits.
        selects = next(b.text for b in documents.blocks("sql") if "-- running" in b.text)
        running, jobs = selects.removeprefix("-- running\n").split("-- jobs\n")
        config = yaml.safe_load((tmp_path / "config.yaml").read_text())
        config["stores"][0]["profile"] |= {"running": running, "jobs": jobs}
        (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
        assert "exact" in walk.run(check)
        with database.connect() as admin:
            admin.execute(
                "INSERT INTO task VALUES (6, 'mail', 'busy', now(), now()), (7, 'mail', 'new', now(), now());"
                "INSERT INTO task_run VALUES (20, 6, 1, timezone('UTC', now()), NULL, NULL)"
            )
        exporter.send(signal.SIGHUP)
        until(lambda: walk.metrics().by("task_type", "scheduling_executions_running") == {"mail": 1}, PATIENCE, "runs")
        ready = until(lambda: walk.metrics().series("scheduling_queue_jobs", state="ready"), PATIENCE, "a job waits")
        assert sum(ready.values()) == 1
        assert walk.counted() == seen, "the reading goes on where it was"
    finally:
        walk.end()
