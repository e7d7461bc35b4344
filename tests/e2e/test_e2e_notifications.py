"""From a failure to a person, with everything real between them: once, grouped, readable, over, silenced, escalated.

One stack for all of it, in the order of the file. ``for`` of the rules is shortened in their copies; all other times
are shortened by options of the configuration.
"""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from psycopg import sql
from support.notifying import ADMIN, GRAFANA, PATIENCE, RUNBOOKS, Message, Stack, installed, stack
from support.polling import until
from support.postgres import Database, fresh_database, running_server
from support.scheduler import NativeStore, native_store
from support.sidecar import PATIENT, store, target

from exporter.demo.postgres import PostgresServer
from exporter.demo.processes import Child

pytestmark = pytest.mark.skipif(not installed(), reason="Prometheus and Alertmanager are not installed")

#: A worker: it says that it is there, until it is killed.
WORKER = """
import sys, time, psycopg
with psycopg.connect(sys.argv[1], autocommit=True) as connection:
    while True:
        connection.execute(
            "INSERT INTO workers (id, host) VALUES (%s, 'here') ON CONFLICT (id) DO UPDATE SET last_seen = now()",
            [sys.argv[2]],
        )
        time.sleep(0.3)
"""
#: (alert, what its title says, whether it is critical)
FAILURES = {
    "critical-job": ("SchedulingCriticalJobFailed", "Critical job bill 1 on main failed", True),
    "password-changed": ("SchedulingConnectionAuthRefused", "PostgreSQL connection shop refuses the login", True),
    "worker-killed": ("SchedulingWorkerLost", "Workers of main lost: 1", False),
    "stuck": ("SchedulingExecutionsStuck", "import on main: 1 stuck", False),
    "run-missed": ("SchedulingRunMissed", "nightly import on main is", False),
}
CHECK = "shop_check"
#: Each scenario is about one alert: a job that is two hours late has waited in its queue, too.
THRESHOLDS = {"errors_per_hour": 1000, "queue_wait_seconds": 86400, "consecutive_failures": 1000}
OVERRIDES = [{"store": "main", "task_type": "bill", "failure_ratio": 1, "success_ratio_24h": 0}]


@dataclass
class World:
    """The stack, the scheduler's store on a server of its own, a server that is checked, and workers."""

    stack: Stack
    native: NativeStore
    shop: Database
    password: Path
    workers: dict[str, Child]

    def work(self, name: str) -> None:
        """Start a worker."""
        command = [sys.executable, "-c", WORKER, self.native.database.dsn, name]
        self.workers[name] = Child(name=name, command=command, log=self.stack.directory / f"{name}.log")
        self.workers[name].start()

    def execute(self, statement: str) -> None:
        """Something that the scheduler does."""
        with self.native.database.connect() as connection:
            connection.execute(statement.encode())

    def end(self, status: str, jobs: str) -> None:
        """Executions of the jobs whose names are like this end at the same moment."""
        self.execute(
            "INSERT INTO executions (job_id, task_type, status, started_at, completed_at)"
            f" SELECT id, task_type, '{status}', now(), now() FROM jobs WHERE name LIKE '{jobs}'"
        )

    def set_password(self, password: str) -> None:
        """The checked server's password for the sidecar's role."""
        with self.shop.connect() as connection:
            role = sql.Identifier(f"{CHECK}_{self.shop.name}")
            connection.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(role, sql.Literal(password)))


@pytest.fixture(scope="module")
def world(postgres_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Everything runs and nothing is wrong."""
    directory = tmp_path_factory.mktemp("notifications")
    with running_server() as server, fresh_database(server) as own, fresh_database(postgres_server) as shop:
        native = native_store(own)
        with native.database.connect() as connection:
            connection.execute("DELETE FROM jobs; DELETE FROM executions; DELETE FROM workers")
        role = f"{CHECK}_{shop.name}"
        with shop.connect() as connection:
            connection.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'first'").format(sql.Identifier(role)))
        password = directory / "shop-password"
        password.write_text("first")
        with stack(directory) as made:
            world = World(made, native, shop, password, {})
            try:
                world.work("w1")
                world.work("w2")
                prepare(world)
                made.start(configuration(world, role))
                yield world
            finally:
                for worker in world.workers.values():
                    worker.stop()


def prepare(world: World) -> None:
    """Jobs that are well: three critical ones, and ten whose task types each have a name of their own."""
    world.execute(
        "INSERT INTO jobs (name, task_type, status)"
        " SELECT 'bill ' || n, 'bill', 'COMPLETED' FROM generate_series(1, 3) n"
    )
    world.execute(
        "INSERT INTO jobs (name, task_type, status)"
        " SELECT 'batch ' || n, 'batch ' || n, 'COMPLETED' FROM generate_series(1, 10) n"
    )


def configuration(world: World, role: str) -> dict[str, object]:
    """The sidecar's: a store, a target whose password is in a file, and everybody who is told."""
    shop = target("shop", world.shop.server.port, user=role, password=f"${{file:{world.password}}}", reuse="never")
    checked = {"interval": "500ms", "timeout": PATIENT, "from_stores": False}
    unlimited = {"per_second": 0}
    return {
        "stores": [
            store(
                world.native.dsn,
                critical_jobs=["bill*"],
                stuck_after={"default": "2h", "task_types": {"import": "3s"}},
                worker_lost_after="8s",  # on a machine that stands still no worker says that it is there
            )
        ],
        "connections": {**checked, "targets": [{**shop, "database": world.shop.name}]},
        "auth": {"tokens": [{"name": "ops", "role": "admin", "token": "admin-token"}]},
        "api": {"rate_limit": unlimited, "action_rate_limit": unlimited},
        "actions": {"enabled": True},
        "alerting": {**world.stack.alerting(), "thresholds": THRESHOLDS, "overrides": OVERRIDES},
    }


@pytest.fixture(scope="module")
def failed(world: World) -> World:
    """Five things fail at the same time; who is to be told has been told, whoever is on call too."""
    world.end("FAILED", "bill %")
    world.set_password("second")
    world.workers["w2"].send(signal.SIGKILL)
    assert world.workers["w2"].wait(PATIENCE)
    world.execute("INSERT INTO executions (task_type, worker_id) VALUES ('import', 'w1')")
    world.execute(
        "INSERT INTO jobs (name, task_type, status, next_run_at)"
        " VALUES ('nightly import', 'import', 'QUEUED', now() - interval '2 hours')"
    )
    for _, title, critical in FAILURES.values():
        for to in ("slack", "mail", *(["on-call"] if critical else [])):
            world.stack.arrives(title, to)
    return world


def once(world: World, title: str, to: str, *, over: bool = False) -> Message:
    """The one message about this."""
    [found] = world.stack.inbox.about(title, to, over=over)
    return found


@pytest.mark.parametrize("failure", FAILURES)
def test_it_arrives_once_and_can_be_read(failed: World, failure: str) -> None:
    alert, title, critical = FAILURES[failure]
    slack, mail = once(failed, title, "slack"), once(failed, title, "mail")
    word = "CRITICAL" if critical else "WARNING"
    assert slack.title.startswith(f"{'🔴' if critical else '🟠'} {word}: {title}")
    assert mail.title.startswith(f"[{word}] {title}")
    assert f"<{RUNBOOKS}/runbooks/{alert}.md|Runbook>" in slack.text
    assert f"<{GRAFANA}/d/scheduling-" in slack.text
    assert "<http://alertmanager.company.example:9093/#/silences/new?filter=%7Balertname%3D%22" in slack.text
    assert "Since <!date^" in slack.text
    assert "scheduler-exporter" in slack.text.splitlines()[-1]
    for text in (f"Runbook: {RUNBOOKS}/runbooks/{alert}.md", f'href="{RUNBOOKS}/runbooks/{alert}.md"', "Since "):
        assert text in mail.text
    assert f'href="{GRAFANA}/d/scheduling-' in mail.text


def test_what_fails_together_is_one_message(failed: World) -> None:
    message = once(failed, "Critical job", "slack")
    assert message.title.endswith("Critical job bill 1 on main failed and 2 more")
    assert [f"*Critical job bill {n} on main failed*" in message.text for n in (1, 2, 3)] == [True] * 3


def test_nobody_is_told_anything_else(failed: World) -> None:
    titles = [message.title for message in failed.stack.inbox.messages]
    assert [t for t in titles if not any(title in t for _, title, _ in FAILURES.values())] == []
    assert len(titles) == 2 * 5 + 2


def test_what_is_critical_escalates_to_whoever_is_on_call_and_nothing_else_does(failed: World) -> None:
    for _, title, critical in FAILURES.values():
        told = failed.stack.inbox.about(title, "on-call")
        assert len(told) == critical
        if critical:
            assert told[0].title.startswith(f"🔴 ESCALATED CRITICAL: {title}")
            assert told[0].at > once(failed, title, "slack").at, "people come first"


def test_mail_is_addressed_and_slack_posts_go_to_the_channel(failed: World) -> None:
    inbox = failed.stack.inbox
    assert {str(mail["To"]) for mail in inbox.mails} == {"alerts@company.example"}
    assert {str(mail["From"]) for mail in inbox.mails} == {"scheduler@company.example"}
    assert {post.get("channel") for post in inbox.posts if "ESCALATED" not in str(post)} == {"#alerts"}


def test_the_sidecar_keeps_the_history(failed: World) -> None:
    def known() -> bool:
        answer = failed.stack.sidecar.get("/api/scheduler-monitoring/alerts?active=false", headers=ADMIN)
        return {alert for alert, _, _ in FAILURES.values()} <= {item["name"] for item in answer.json["items"]}

    until(known, PATIENCE, "Alertmanager told the sidecar of all of them")


@pytest.fixture(scope="module")
def mended(failed: World) -> World:
    """All is well again."""
    failed.end("SUCCESS", "bill %")
    failed.password.write_text("second")
    failed.work("w2")
    failed.execute("UPDATE executions SET status = 'SUCCESS', completed_at = now() WHERE status = 'RUNNING'")
    failed.execute("UPDATE jobs SET status = 'COMPLETED' WHERE name = 'nightly import'")
    for _, title, critical in FAILURES.values():
        for to in ("slack", "mail", *(["on-call"] if critical else [])):
            failed.stack.arrives(title, to, over=True)
    until(lambda: not failed.stack.firing(), PATIENCE, "nothing fires")
    return failed


@pytest.mark.parametrize("failure", FAILURES)
def test_its_end_is_told_once(mended: World, failure: str) -> None:
    _, title, critical = FAILURES[failure]
    for to in ("slack", "mail", *(["on-call"] if critical else [])):
        message = once(mended, title, to, over=True)
        assert "Over at " in message.text
        assert ", after " in message.text
        assert "Silence" not in message.text
        once(mended, title, to)


def test_a_silence_made_through_the_api_holds_everything_back(mended: World) -> None:
    told, began = mended.stack, time.time()
    silence = told.silence(alertname="SchedulingCriticalJobFailed", job_name="bill 2")
    mended.end("FAILED", "bill 2")
    until(lambda: [silence] in [item["silencedBy"] for item in told.shown()], PATIENCE, "the alert is silenced")
    mended.end("FAILED", "bill 3")
    # The other one has gone all the way since: the silenced one would have, too.
    told.arrives("Critical job bill 3", "on-call", since=began)
    told.arrives("Critical job bill 3", "mail", since=began)
    assert [m for m in told.inbox.messages if m.at > began and "bill 2" in m.text] == []
    mended.end("SUCCESS", "bill %")
    for to in ("slack", "mail", "on-call"):
        told.arrives("Critical job bill 3", to, over=True, since=began)
    until(lambda: not told.firing(), PATIENCE, "nothing fires")
    assert [m for m in told.inbox.messages if m.at > began and "bill 2" in m.text] == []


def test_a_store_that_is_locked_is_one_message_and_one_end(mended: World) -> None:
    told, began = mended.stack, time.time()
    title = "Store main answers, but its executions cannot be read"
    with mended.native.database.connect(autocommit=False) as connection:
        connection.execute("LOCK TABLE executions IN ACCESS EXCLUSIVE MODE")
        for to in ("slack", "mail", "on-call"):
            told.arrives(title, to)
    for to in ("slack", "mail", "on-call"):
        told.arrives(title, to, over=True)
        once(mended, title, to)
        once(mended, title, to, over=True)
    assert [m.title for m in told.inbox.messages if m.at > began and title not in m.title] == []
    until(lambda: not told.firing(), PATIENCE, "nothing fires")


def test_a_store_outage_is_one_message_not_ten(mended: World) -> None:
    told = mended.stack
    began = time.time()
    # What will be wrong beside it: each would be told ``LONG`` seconds after it is known.
    mended.execute(
        "INSERT INTO executions (job_id, task_type, status, started_at, completed_at)"
        " SELECT id, task_type, 'FAILED', now(), now() FROM jobs, generate_series(1, 12) WHERE name LIKE 'batch %'"
    )
    until(
        lambda: told.query('sum(scheduling_executions_total{status="failed", task_type=~"batch.*"})') == 120,
        PATIENCE,
        "the failures are counted",
    )
    mended.execute("UPDATE workers SET is_paused = true")
    until(lambda: told.query('scheduling_workers{state="paused"}'), PATIENCE, "the workers are paused")
    mended.native.database.server.stop("immediate")
    for to in ("slack", "mail", "on-call"):
        told.arrives("Store main does not answer", to)
    wanted = {"SchedulingStoreDown", "SchedulingNoWorkers", "SchedulingFailureRatioHigh"}
    until(lambda: {labels["alertname"] for labels in told.firing()} >= wanted, PATIENCE, "other things fire meanwhile")
    until(lambda: len([item for item in told.shown() if item["inhibitedBy"]]) >= 11, PATIENCE, "they are inhibited")
    # And they stay so for longer than any of their groups waits.
    settled = time.time()
    until(lambda: time.time() > settled + 4, PATIENCE)
    since = [message for message in told.inbox.messages if message.at > began]
    assert [m.title for m in since if "Store main does not answer" not in m.title] == []
    assert sorted(m.to for m in since) == ["mail", "on-call", "slack"]
