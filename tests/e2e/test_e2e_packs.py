"""Packs as an operator runs them: every name of the worker's specification, exact through kills, one fault apart."""

from __future__ import annotations

import contextlib
import http.client
import json
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from support.exposition import Metrics
from support.packs import gauge, own, write
from support.polling import until
from support.postgres import Database
from support.scheduler import NativeStore, clock, monitor
from support.scheduling_worker import SPECIFIED, Worker, create, differences
from support.sidecar import HOST, NAME, Sidecar, StartSidecar, one_store, run_command


@pytest.fixture
def admin(database: Database) -> Iterator[psycopg.Connection[Any]]:
    """The worker's tables, and who writes them."""
    with database.connect() as connection:
        create(connection)
        yield connection


def counted(sidecar: Sidecar, since: float, queries: int) -> Metrics:
    """The page once every counting query has read up to after ``since`` (the store's clock)."""

    def caught_up() -> bool:
        reached = sidecar.metrics().series("scheduling_exporter_pack_cursor_timestamp_seconds", store=NAME)
        return len(reached) == queries and min(reached.values()) > since

    until(caught_up, 60, f"{queries} queries have counted up to {since}")
    # New series are 0 until they were scraped. Over one connection the second answer knows of the first.
    with contextlib.closing(http.client.HTTPConnection(HOST, sidecar.port, timeout=30)) as connection:
        for _ in range(2):
            connection.request("GET", "/metrics")
            page = connection.getresponse().read().decode()
    return Metrics(page)


#: Queries of the shipped pack that count.
COUNTING = 16


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=["stopped", "killed"])
def test_every_metric_of_the_specification_is_shown_and_exact_through_a_restart(
    number: signal.Signals, database: Database, admin: psycopg.Connection[Any], start_sidecar: StartSidecar
) -> None:
    Worker(admin, seed=3).work(5)  # history
    worker = Worker(admin)
    sidecar = start_sidecar({**one_store(monitor(database), profile="none"), "packs": ["scheduling-worker"]})
    first = counted(sidecar, 0, COUNTING)
    for name, kind in SPECIFIED.items():
        assert first.types[name.removesuffix("_total") if kind == "counter" else name] == kind, name
    assert not any(value for (name, _), value in first.items() if name.endswith("_total") and "goals" in name)

    worker.work(20)
    until(lambda: sidecar.metrics().value("scheduling_calendar_events_processed_total") > 0, 60, "a part is counted")
    worker.work(20)
    sidecar.end(number)
    worker.work(20)  # while it is away
    sidecar.start()
    worker.work(20)
    metrics = counted(sidecar, clock(admin), COUNTING)
    assert list(differences(worker.truth, metrics, NAME)) == []
    # A gauge is of the latest poll, which may have been before the latest work.
    until(lambda: sidecar.metrics().by("days", "scheduling_habit_streaks_current") == worker.streaks(), 60, "streaks")
    assert metrics.value("scheduling_users_active") == 5
    assert set(metrics.series("scheduling_exporter_pack_counting_exact").values()) == {1}
    assert {v for k, v in metrics.series("scheduling_exporter_collector_success").items() if "pack:" in str(k)} == {1}

    # Rows that are gone were counted all the same; reading on adds nothing.
    admin.execute("TRUNCATE calendar_sync_logs, goals, kafka_message_logs")
    again = counted(sidecar, clock(admin) + 1, COUNTING)
    assert list(differences(worker.truth, again, NAME)) == []


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_promtool_takes_the_page_of_the_shipped_pack(
    database: Database, admin: psycopg.Connection[Any], start_sidecar: StartSidecar
) -> None:
    Worker(admin).work(2)
    sidecar = start_sidecar({**one_store(monitor(database), profile="none"), "packs": ["scheduling-worker"]})
    counted(sidecar, 0, COUNTING)
    page = sidecar.get("/metrics").text
    done = subprocess.run(["promtool", "check", "metrics"], input=page, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    wanted = {"accept": "application/openmetrics-text; version=1.0.0"}
    Metrics(sidecar.get("/metrics", headers=wanted).text, openmetrics=True)


def test_a_bad_query_harms_only_itself(native: NativeStore, start_sidecar: StartSidecar, tmp_path: Path) -> None:
    files = {
        "queries": {
            "good": {"sql": "SELECT 1 AS v", "metrics": {"x_good": gauge()}},
            "wrong": {"sql": "SELECT v FROM nowhere", "metrics": {"x_wrong": gauge()}},
            "slow": {"sql": "SELECT 1 AS v FROM pg_sleep(60)", "timeout": "500ms", "metrics": {"x_slow": gauge()}},
            "counts": {
                "sql": "SELECT id, completed_at FROM executions",
                "cursor": {"column": "completed_at"},
                "metrics": {"x_executions_total": {"type": "counter", "help": "Executions."}},
            },
        }
    }
    packs = [str(tmp_path / write(tmp_path, files))]
    sidecar = start_sidecar({**one_store(native.dsn), "packs": packs})
    success = "scheduling_exporter_collector_success"
    until(lambda: len(sidecar.metrics().series("x_good")) == 1, 60, "the good query's metric")
    until(lambda: sidecar.metrics().value(success, collector="pack:queries:slow") == 0, 60, "the slow one fails")
    sidecar.settled(since=0)
    until(lambda: sidecar.metrics().series("x_executions_total"), 60, "its first poll")
    since = native.finish(5)
    metrics = sidecar.settled(since)
    assert metrics.value("scheduling_executions_total", status="success") == 5
    until(lambda: sidecar.metrics().value("x_executions_total") == 5, 60, "the pack counts them too")
    metrics = sidecar.metrics()
    found = {dict(k)["collector"]: v for k, v in metrics.series(success).items()}
    assert {name: v for name, v in found.items() if v == 0} == {"pack:queries:wrong": 0, "pack:queries:slow": 0}
    assert metrics.value("scheduling_store_up") == 1
    assert sidecar.get("/health/ready").status == 200
    told = [e for e in sidecar.events("collector fails") if e["collector"].startswith("pack:")]
    assert len(told) == 2, "once each"
    [wrong] = [e["error"] for e in told if e["collector"].endswith("wrong")]
    assert "queries.yaml:" in wrong
    assert 'wrong.sql: relation "nowhere" does not exist' in wrong


def test_a_reload_takes_changed_files_and_refuses_bad_ones(native: NativeStore, make_sidecar: StartSidecar) -> None:
    sidecar = make_sidecar({**one_store(native.dsn), "packs": ["./queries.yaml"], "web": {"enable_lifecycle": True}})
    write(sidecar.directory, own("SELECT 1 AS v", {"x_one": gauge()}))
    sidecar.start()
    until(lambda: sidecar.metrics().series("x_one"), 60, "the first file's metric")
    write(sidecar.directory, own("SELECT 1 AS v", {"x_two": {"type": "gage"}}))
    refused = sidecar.reload()
    assert refused.status >= 400
    assert "queries.yaml:6: queries.q.metrics.x_two.type: expected one of" in refused.text
    assert sidecar.metrics().series("x_one"), "the last good one stays in force"
    write(sidecar.directory, own("SELECT 2 AS v", {"x_two": gauge()}))
    assert sidecar.reload().status == 200
    until(lambda: sidecar.metrics().series("x_two"), 60, "the other file's metric")
    assert not sidecar.metrics().series("x_one")
    sidecar.configure({**one_store(native.dsn), "web": {"enable_lifecycle": True}})
    assert sidecar.reload().status == 200
    page = sidecar.metrics()
    assert not page.series("x_two")
    assert not [k for k in page.series("scheduling_exporter_collector_success") if "pack:" in str(k)]


def test_counts_are_shown_while_the_store_is_away(
    own_native: NativeStore, start_sidecar: StartSidecar, tmp_path: Path
) -> None:
    text = own(
        "SELECT id, completed_at FROM executions",
        {"x_executions_total": {"type": "counter", "help": "Executions."}},
        cursor={"column": "completed_at"},
    )
    sidecar = start_sidecar({**one_store(own_native.dsn), "packs": [str(tmp_path / write(tmp_path, text))]})
    until(lambda: sidecar.metrics().series("x_executions_total"), 60, "its first poll")
    own_native.finish(3)
    until(lambda: sidecar.metrics().value("x_executions_total") == 3, 60, "counted")
    own_native.database.server.stop("immediate")
    sidecar.restart()
    until(lambda: sidecar.metrics().value("x_executions_total") == 3, 60, "shown from the state file")


def test_the_commands(native: NativeStore, make_sidecar: StartSidecar) -> None:
    sidecar = make_sidecar({**one_store(native.dsn), "packs": ["scheduling-worker", "./queries.yaml"]})
    write(sidecar.directory, own("SELECT 'a' AS l, 1 AS v", {"x_one": gauge(labels=["l"])}))
    checked = run_command("serve", f"--config.file={sidecar.file}", "--config.check")
    assert checked.returncode == 0, checked.stderr
    tried = run_command("pack", "check", f"--config.file={sidecar.file}", "--json")
    assert tried.returncode == 1, "the worker's tables are not there"
    report = json.loads(tried.stdout)
    queries = {query["query"]: query for query in report["stores"][0]["queries"]}
    assert queries["q"]["metrics"] == [{"name": "x_one", "type": "gauge", "labels": ["l"], "series": 1, "dropped": 0}]
    assert queries["q"]["faults"] == []
    assert 'relation "goals" does not exist' in queries["goals_created"]["faults"][0]

    write(sidecar.directory, "queries: {q: {sql: SELECT 1}}")
    checked = run_command("serve", f"--config.file={sidecar.file}", "--config.check")
    assert checked.returncode == 1
    assert checked.stderr.strip() == "./queries.yaml:1: queries.q.metrics: required; expected a mapping"


def test_pack_check_tells_a_missing_index(
    database: Database, admin: psycopg.Connection[Any], make_sidecar: StartSidecar
) -> None:
    admin.execute("DROP INDEX goals_created_at_idx")
    admin.execute("INSERT INTO goals (category) SELECT 'x' FROM generate_series(1, 20000); ANALYZE goals")
    sidecar = make_sidecar({**one_store(monitor(database), profile="none"), "packs": ["scheduling-worker"]})
    tried = run_command("pack", "check", f"--config.file={sidecar.file}", seconds=180)
    assert tried.returncode == 0, tried.stdout
    goals = tried.stdout.partition("goals_created")[2].partition("goals_completed")[0]
    assert 'CREATE INDEX CONCURRENTLY ON public.goals ("created_at");' in goals, goals
