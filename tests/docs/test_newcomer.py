"""A newcomer's walk in an empty directory: what README.md and docs/profiles.md say, done word for word.

Every command and every configuration comes from the documents. Replaced are only addresses, ports, the role's name and
what Debian calls a program; Prometheus looks every second, so that nobody waits.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import urllib.parse
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
import yaml
from aiosmtpd.controller import Controller
from support.dashboards import QUERIES
from support.exposition import Metrics
from support.notifying import Inbox, Mailbox, impatient_rules, installed
from support.polling import until
from support.ports import free_port
from support.postgres import Database
from support.procrastinate_jobs import DSN_VARIABLE, Jobs, worker_command
from support.rules import RULES
from support.sidecar import HOST, clean_environment, request

from exporter.demo.processes import Child

if TYPE_CHECKING:
    from docs.conftest import Documents

pytestmark = pytest.mark.skipif(not installed(), reason="Prometheus and Alertmanager are not installed")

PATIENCE = 60
#: Somebody repaired the job and has it run again.
MENDED = "UPDATE procrastinate_jobs SET status = 'todo', task_name = 'fine' WHERE task_name = 'broken'"
#: What a user has on the path: the command, and the machine's own programs.
PATH = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"


class Walk:
    """A shell in a directory: what is exported holds for what comes after."""

    def __init__(self, directory: Path, replaced: dict[str, str]) -> None:
        self.directory = directory
        self.port = free_port()
        self._replaced = {**replaced, "127.0.0.1:9795": f"{HOST}:{self.port}"}
        self._exported = ""
        self.children: list[Child] = []
        self._environment = clean_environment(
            {"PATH": PATH, "SCHEDULER_EXPORTER_WEB_LISTEN_ADDRESS": f"{HOST}:{self.port}"}
        )

    def here(self, text: str) -> str:
        """A document's text with this machine's addresses."""
        for what, instead in self._replaced.items():
            text = text.replace(what, instead)
        return text

    def write(self, name: str, text: str) -> None:
        """A file that a document tells to write."""
        (self.directory / name).write_text(self.here(text))

    def run(self, line: str) -> str:
        """A command to its end; what it printed. It has to succeed."""
        if line.startswith("export "):
            self._exported += f"{line}; "
            return ""
        done = subprocess.run(
            ["sh", "-c", self._exported + self.here(line)], cwd=self.directory, env=self._environment,
            capture_output=True, text=True, timeout=PATIENCE, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{line}: {done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def leave_running(self, line: str, more: str = "") -> Child:
        """A command that does not end."""
        name = line.split(maxsplit=1)[0]
        command = ["sh", "-c", f"{self._exported} exec {self.here(line)} {more}"]
        child = Child(
            name=name, command=command, log=self.directory / f"{name}.log", directory=self.directory,
            environment=self._environment,
        )  # fmt: skip
        child.start()
        self.children.append(child)
        return child

    def serve(self, line: str) -> Child:
        """The exporter, once it answers."""
        child = self.leave_running(line)

        def answers() -> bool:
            assert child.running, child.last_lines()
            try:
                return request(self.port, "/metrics").status == 200
            except OSError:
                return False

        until(answers, PATIENCE, "the exporter answers")
        return child

    def metrics(self) -> Metrics:
        return Metrics(request(self.port, "/metrics").text)

    def counted(self) -> dict[tuple[str, str], float]:
        """Executions by task type and status, those that there are."""
        found = self.metrics().series("scheduling_executions_total")
        labels = {key: dict(key) for key in found}
        return {(labels[key]["task_type"], labels[key]["status"]): n for key, n in found.items() if n}

    def end(self) -> None:
        for child in reversed(self.children):
            child.stop()


def lines(documents: Documents, file: str, containing: str) -> list[str]:
    """The commands of the first shell block of a document that has this in it."""
    blocks = [block.text for block in documents.blocks("sh") if block.file == file and containing in block.text]
    return blocks[0].strip().splitlines()


def configuration(documents: Documents, file: str, containing: str) -> str:
    """The first configuration of a document that has this in it."""
    return next(
        block.text for block in documents.blocks("yaml config") if block.file == file and containing in block.text
    )


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
    server = Controller(Mailbox(found), hostname=HOST, port=port)
    server.start()
    yield found, port
    server.stop()


def test_from_nothing_to_the_first_mail_and_dashboard(
    documents: Documents, database: Database, role: str, inbox: tuple[Inbox, int], tmp_path: Path
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
    )
    jobs = Jobs(database.dsn)
    shutil.copytree(RULES, tmp_path / "rules", ignore=shutil.ignore_patterns("tests", "runbooks"))
    impatient_rules(tmp_path / "rules")
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
        overview = [query for query in QUERIES if query.board == "overview"]
        answered = [str(query) for query in overview if asked(prometheus, query.filled())]
        assert len(answered) >= len(overview) // 2, answered
        assert "`dashboards/overview.json`" in documents.texts["README.md"]
    finally:
        walk.end()


def every_second(file: Path) -> None:
    """So that a test need not wait for a quarter of a minute."""
    config = yaml.safe_load(file.read_text())
    config["global"] |= {"scrape_interval": "1s", "evaluation_interval": "1s"}
    file.write_text(yaml.safe_dump(config))


def asked(port: int, query: str) -> list[Any]:
    """What Prometheus has for a query."""
    try:
        answer = request(port, f"/api/v1/query?{urllib.parse.urlencode({'query': query})}")
    except OSError:
        return []
    found: list[Any] = answer.json["data"]["result"] if answer.status == 200 else []
    return found


def test_a_mapping_in_ten_minutes(documents: Documents, database: Database, tmp_path: Path) -> None:
    walk = Walk(tmp_path, {"postgresql://monitor@db.internal/app": database.dsn})
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
