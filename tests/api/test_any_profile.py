"""Every read path for stores that know less than the native schema: what cannot be known is null, no key is missing."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from procrastinate.schema import SchemaManager
from support.polling import until
from support.postgres import Database, execute, fresh_database
from support.scheduler import monitor
from support.serving import World
from support.sidecar import Sidecar, one_store

from exporter.api import FAMILIES
from exporter.demo.postgres import PostgresServer
from exporter.httpd.endpoint import Endpoint

RUNS = (
    "CREATE TABLE runs (id uuid PRIMARY KEY, job text, kind text, outcome text, ended timestamp)",
    "CREATE INDEX ON runs (ended)",
    "INSERT INTO runs SELECT md5(n::text)::uuid, 'job/' || n % 3, 'k',"
    " CASE WHEN n % 4 = 0 THEN 'FAILED' ELSE 'SUCCESS' END, now() AT TIME ZONE 'UTC' - n * interval '1 minute'"
    " FROM generate_series(1, 20) n",
)
EXECUTIONS_ONLY = {
    "executions": "SELECT id, job AS job_id, kind AS task_type, outcome AS status, ended AS completed_at FROM runs",
    "cursor": {"column": "completed_at", "kind": "naive_timestamp"},
    "key": ["id"],
}
JOBS_ONLY = {"jobs": "SELECT DISTINCT job AS id, 'QUEUED' AS status FROM runs"}
PROCRASTINATE = (
    "INSERT INTO procrastinate_jobs (queue_name, task_name, args, status) VALUES ('q', 'fine', '{}', 'todo'),"
    " ('q', 'fine', '{}', 'todo'), ('q', 'slow', '{}', 'todo')",
    "INSERT INTO procrastinate_jobs (queue_name, task_name, args, status)"
    """ VALUES ('q', 'nightly', '{"timestamp": 1}', 'todo')""",
    "UPDATE procrastinate_jobs SET status = 'doing'",
    "UPDATE procrastinate_jobs SET status = 'succeeded', attempts = 1 WHERE id = 1",
    "UPDATE procrastinate_jobs SET status = 'failed', attempts = 1 WHERE id = 2",
    "INSERT INTO procrastinate_periodic_defers (task_name, defer_timestamp, job_id, periodic_id)"
    " VALUES ('nightly', extract(epoch FROM now())::bigint, 4, '')",
    "UPDATE procrastinate_jobs SET status = 'failed', attempts = 1 WHERE id = 4",
)
#: A profile's name -> the statements that make the store, its configuration, the id of a job, how many have ended.
STORES: dict[str, tuple[tuple[str, ...], dict[str, Any], str, int]] = {
    "executions only": (RUNS, {"profile": {"name": "runs", **EXECUTIONS_ONLY}}, "job%2F1", 20),
    "jobs only": (RUNS, {"profile": {"name": "jobs", **JOBS_ONLY}}, "job%2F1", 0),
    "procrastinate": (PROCRASTINATE, {"profile": "procrastinate"}, "2", 3),
}


def reads() -> list[Endpoint]:
    """Every path that answers in JSON of a declared shape, once."""
    found = [endpoint for declare in FAMILIES for endpoint in declare(World().context) if endpoint.method == "GET"]
    return [
        e
        for e in found
        # Alerts are Alertmanager's.
        if e.path.startswith(("/api/", "/monitoring/")) and 200 in e.answers and not e.path.endswith("/alerts")
    ]


@pytest.fixture(scope="module", params=STORES)
def store(
    request: pytest.FixtureRequest, postgres_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Sidecar]]:
    """A store of that profile, and a sidecar that nobody asks for anything but to read."""
    with fresh_database(postgres_server) as database:
        yield from _store(request.param, database, tmp_path_factory.mktemp("any"))


def _store(name: str, database: Database, directory: Path) -> Iterator[tuple[str, Sidecar]]:
    statements, options, _, ended = STORES[name]
    if name == "procrastinate":
        execute(database, SchemaManager.get_schema())
    execute(database, *statements)
    config = {
        **one_store(monitor(database), **options),
        "environment": "test",
        "api": {"rate_limit": {"per_second": 0}},
    }
    sidecar = Sidecar(directory, config)
    try:
        sidecar.start()
        until(lambda: _known(sidecar, ended), 90, "the store is read")
        yield name, sidecar
    finally:
        sidecar.cleanup()


def _known(sidecar: Sidecar, ended: int) -> bool:
    status = json.loads(sidecar.get("/api/scheduler-monitoring/status").text)
    if not status["stores"][0]["up"]:
        return False
    if not ended:
        return status["jobs"]["QUEUED"] == 3
    stats = sidecar.get("/api/system/stats")
    return stats.status == 200 and json.loads(stats.text)["data"]["executions"]["total"] == ended


def test_every_read_path(store: tuple[str, Sidecar]) -> None:
    name, sidecar = store
    job = STORES[name][2]
    for endpoint in reads():
        path = re.sub(r"\{(id|task_id)\}", job, endpoint.path)
        answer = sidecar.get(re.sub(r"\{\w+\}", "nobody", path))
        if "nobody" in re.sub(r"\{\w+\}", "nobody", path):
            assert answer.status == 404, (endpoint.path, answer.text)
        else:
            assert answer.status == 200, (endpoint.path, answer.text)
            if not endpoint.path.endswith("export"):  # one of several shapes
                msgspec.json.decode(answer.body, type=endpoint.answers[200].kind)


def test_what_is_known_of_a_job(store: tuple[str, Sidecar]) -> None:
    name, sidecar = store
    job = STORES[name][2]
    view = json.loads(sidecar.get(f"/api/jobs/{job}").text)["data"]
    log = json.loads(sidecar.get(f"/api/jobs/{job}/logs?limit=1").text)["data"]
    tasks = json.loads(sidecar.get(f"/monitoring/tasks/{job}/executions").text)
    if name == "executions only":
        assert (view["id"], view["taskType"], view["status"], view["type"]) == ("job/1", "k", None, None)
        assert (log["pagination"]["total"], log["pagination"]["hasMore"], len(log["logs"])) == (7, True, 1)
        assert log["logs"][0]["executedAt"] is None and log["logs"][0]["attempt"] is None
        assert tasks[0]["task_id"] == "job/1"
        assert tasks[0]["started_at"] == tasks[0]["completed_at"] and tasks[0]["duration_seconds"] is None
    elif name == "jobs only":
        assert (view["status"], view["lastRunAt"], log["pagination"]["total"], tasks) == ("QUEUED", None, 0, [])
        stats = json.loads(sidecar.get("/api/system/stats").text)["data"]
        assert stats["jobs"]["total"] == 3
        assert set(stats["executions"].values()) == {None}, "unknown is not zero"
        health = json.loads(sidecar.get("/api/system/health").text)["components"]["scheduler"]
        assert health == {"status": "healthy", "recentExecutions": None, "pendingJobs": 3}
    else:
        assert (view["name"], view["status"], view["consecutiveFailures"]) == ("fine", "FAILED", 1)
        assert (log["pagination"]["total"], log["logs"][0]["status"]) == (1, "FAILED")
        assert (tasks[0]["id"], tasks[0]["task_id"], tasks[0]["status"]) == (int(log["logs"][0]["id"]), 2, "failed")
        running = json.loads(sidecar.get("/monitoring/tasks/running").text)
        assert [(row["id"], row["name"], row["estimated_duration"]) for row in running] == [(3, "slow", None)]
        recurring = json.loads(sidecar.get("/api/jobs/nightly").text)["data"]
        assert (recurring["type"], recurring["name"], recurring["consecutiveFailures"]) == ("RECURRING", "nightly", 1)
        runs = json.loads(sidecar.get("/api/jobs/nightly/logs").text)["data"]
        assert [(log["status"], log["attempt"]) for log in runs["logs"]] == [("FAILED", 0)]
        assert (runs["pagination"]["total"], runs["pagination"]["totalCapped"]) == (1, False)
        summary = json.loads(sidecar.get("/api/jobs/nightly/logs/summary").text)["data"]["summary"]
        assert (summary["totalExecutions"], summary["failedCount"], summary["retryCount"]) == (1, 1, 0)
        assert len(json.loads(sidecar.get("/monitoring/tasks/nightly/executions").text)) == 1
        operations = json.loads(sidecar.get("/api/v1/operations").text)
        assert [(o["stage"], o["client_operation_id"]) for o in operations[:1]] == [("Executing", "3")]
        assert {o["stage"] for o in operations} == {"Executing", "Completed"}
