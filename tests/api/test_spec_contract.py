"""Every JSON example of the specifications against the sidecar's own answer for equivalent data.

The files in ``spec/`` are the JSON blocks of the five documents, in their order: ``000`` CHRONOS (5f783fe7710d33e9),
``001`` the PostgreSQL reviewer (0f3e53f230697410), ``002`` the scheduling worker (26877825d8decfee), ``004`` NativeLink
(bece0e6c7bb0be98). ``003`` (1313cbfdca7ef1c7) has none.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from support.likeness import differences
from support.polling import until
from support.postgres import fresh_database
from support.scheduler import NativeStore, native_store
from support.sidecar import HOST, Sidecar, one_store, target

from exporter.demo.postgres import PostgresServer

SPEC = Path(__file__).parent / "spec"
#: The file of an example -> where the sidecar answers it.
PATHS = {
    "000-01": "/api/system/health",
    "000-02": "/api/system/stats",
    "000-03": "/api/system/stats/live",
    "000-04": "/api/system/workers",
    "000-05": "/api/jobs/1/logs",
    "000-06": "/api/jobs/1/logs/summary",
    "000-07": "/api/logs/recent",
    "001-01": "/monitoring/tasks/executions",
    "001-02": "/monitoring/tasks/1/executions",
    "001-04": "/monitoring/connections/status",
    "001-05": "/monitoring/connections/1/status",
    "001-08": "/monitoring/tasks/running",
    "001-09": "/monitoring/connections/1/status",
    "001-10": "/monitoring/connections/3/status",
    "001-11": "/monitoring/connections/2/status",
    "002-01": "/health",
    "004-01": "/api/v1/workers",
    "004-02": "/api/v1/workers/worker-123",
    "004-03": "/api/v1/operations",
    "004-04": "/api/v1/operations/op-456",
    "004-05": "/api/v1/scheduler/status",
    "004-06": "/api/v1/scheduler/metrics",
    "004-07": "/api/v1/system/health",
    "004-08": "/api/v1/workers/nobody",
}
#: Actions, which tests of their own try, and a line of a log.
ELSEWHERE = {"001-03", "001-06", "001-07", "002-02"}
#: What the examples show.
DATA = (
    # Nothing has the id of anything else, and no two counts are alike.
    "UPDATE jobs SET connection_id = 7",
    "UPDATE executions SET id = 1000 WHERE status = 'RUNNING'",
    "INSERT INTO workers (id, is_paused, is_draining, can_accept_work)"
    " SELECT 'away-' || n, n <= 2, n > 2, false FROM generate_series(1, 5) n",
    "INSERT INTO workers (id, host, platform_properties, connected_at, actions_completed) VALUES ('worker-123',"
    """ 'host1.example.com', '{"cpu_count": "8", "memory_kb": 16384, "cpu_arch": "x86_64", "OSFamily": "Linux"}',"""
    " now() - interval '1 hour', 42), ('worker-124', 'host2.example.com', '{}', now(), 0)",
    "INSERT INTO operations (operation_id, client_operation_id, stage, worker_id, action_digest, command_digest,"
    " input_root_digest, timeout, platform_properties, load_timestamp) SELECT 'op-' || n, 'client-op-' || n,"
    " CASE WHEN n < 460 THEN 'executing' ELSE 'completed' END, 'worker-123', 'sha256:a' || n, 'sha256:d' || n,"
    """ 'sha256:g' || n, 3600, '{"cpu_count": "4", "memory_kb": "8192"}', now() FROM generate_series(456, 465) n""",
    "INSERT INTO executions (job_id, task_type, status, attempt, scheduled_at, started_at, completed_at, worker_id,"
    " result, error_message, error_code) SELECT 1, CASE WHEN n % 11 = 0 THEN 'report' ELSE 'mail' END, s, n % 2,"
    " t - interval '500 s', t - (300 + n) * interval '1 s', t,"
    """ 'worker-123', CASE WHEN s = 'SUCCESS' THEN '{"sent": true, "recipient": "user@example.com","""
    """ "analyzed_logs": 1000, "issues_found": 5}'::jsonb END,"""
    " CASE WHEN s <> 'SUCCESS' THEN 'SMTP connection timeout' END, CASE WHEN s <> 'SUCCESS' THEN 'TIMEOUT' END"
    " FROM generate_series(1, 110) n, LATERAL (SELECT CASE WHEN n % 5 = 0 THEN 'FAILED' WHEN n % 10 = 1 THEN 'TIMEOUT'"
    " ELSE 'SUCCESS' END s, now() - n * interval '12 minutes' t) x",
)


@pytest.fixture(scope="module")
def store(postgres_server: PostgresServer) -> Iterator[NativeStore]:
    """A scheduler's tables with what the examples show."""
    with fresh_database(postgres_server) as database:
        native = native_store(database)
        with database.connect() as connection:
            for statement in DATA:
                connection.execute(statement.encode())
        yield native


@pytest.fixture(scope="module")
def sidecar(
    store: NativeStore, postgres_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Sidecar]:
    """A sidecar with a store, and three connections: one that works, one refused, one with a wrong password."""
    database = store.database
    good = target("Production DB", postgres_server.port, id=1, user="postgres", database=database.name)
    config = {
        **one_store(store.dsn, worker_lost_after="1h"),
        "environment": "development",
        "api": {"rate_limit": {"per_second": 0}},
        "connections": {
            "interval": "60s",
            "timeout": "30s",
            "targets": [
                {**good, "password": _password(database.dsn)},
                target("Test DB", 1, id=2),
                target("Staging DB", postgres_server.port, id=3, user="postgres", password="wrong"),
            ],
        },
    }
    made = Sidecar(tmp_path_factory.mktemp("contract"), config)
    try:
        made.start()
        until(lambda: _ready(made), 90, "the store and its connections are known")
        yield made
    finally:
        made.cleanup()


def _password(dsn: str) -> str:
    return dsn.partition("://")[2].partition("@")[0].partition(":")[2]


def _ready(sidecar: Sidecar) -> bool:
    stats, connections = sidecar.get("/api/system/stats"), sidecar.get("/monitoring/connections/status")
    if stats.status != 200 or connections.status != 200:
        return False
    known = json.loads(stats.text)["data"]
    checked = all(row["last_check"] is not None for row in json.loads(connections.text))
    return checked and known["executions"]["total"] == 110 and known["jobs"]["total"] is not None


def test_every_example_is_looked_at() -> None:
    assert {file.stem for file in SPEC.glob("*.json")} == PATHS.keys() | ELSEWHERE


@pytest.mark.parametrize("name", PATHS)
def test_the_answer_is_like_the_example(sidecar: Sidecar, name: str) -> None:
    answer = sidecar.get(PATHS[name])
    assert answer.status == (404 if name == "004-08" else 200), answer.text
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    found = list(differences(json.loads((SPEC / f"{name}.json").read_text()), json.loads(answer.text)))
    assert not found, "\n".join([*found, answer.text[:2000]])


def rows(sidecar: Sidecar, path: str) -> Any:
    """An answer's list: the whole of it, or its log entries."""
    answer = sidecar.get(path)
    assert answer.status == 200, answer.text
    body = json.loads(answer.text)
    return body["data"]["logs"] if isinstance(body, dict) else body


#: Where each answer's list is -> the same by SQL: each key's value as the specification has it.
TRUTH = {
    "/api/logs/recent?limit=100": """
        SELECT e.id::text AS id, e.job_id::text AS "jobId", j.name AS "jobName", e.task_type AS "taskType", e.status,
               {lasted} AS duration, attempt, {began} AS "executedAt", worker_id AS "workerId"
        FROM executions e JOIN jobs j ON j.id = e.job_id
        WHERE completed_at IS NOT NULL ORDER BY completed_at DESC LIMIT 100""",
    "/api/jobs/1/logs?limit=100": """
        SELECT e.id::text AS id, e.status, {lasted} AS duration, attempt, attempt > 0 AS "isRetry",
               {began} AS "executedAt", {ended} AS "completedAt", worker_id AS "workerId",
               result || CASE WHEN result IS NOT NULL THEN '{{"recipient": "<email>"}}'::jsonb END AS result,
               CASE WHEN error_code IS NOT NULL THEN json_build_object('message', error_message, 'code', error_code) END
                 AS error
        FROM executions e WHERE completed_at IS NOT NULL AND job_id = 1 ORDER BY completed_at DESC LIMIT 100""",
    "/monitoring/tasks/executions?limit=111": """
        SELECT id, job_id AS task_id,
               CASE status WHEN 'RUNNING' THEN 'running' WHEN 'SUCCESS' THEN 'completed' ELSE 'failed' END AS status,
               {began_second} AS started_at, {ended_second} AS completed_at,
               {lasted} / 1000 AS duration_seconds,
               result || CASE WHEN result IS NOT NULL THEN '{{"recipient": "<email>"}}'::jsonb END AS result,
               error_message
        FROM executions ORDER BY completed_at DESC NULLS FIRST, started_at DESC LIMIT 111""",
    "/monitoring/tasks/running": """
        SELECT j.id, j.name, e.task_type, j.connection_id, e.id AS execution_id, {began_second} AS execution_started_at
        FROM executions e JOIN jobs j ON j.id = e.job_id WHERE e.status = 'RUNNING' ORDER BY started_at""",
    "/api/v1/workers": """
        SELECT id, (SELECT coalesce(jsonb_object_agg(key, value), '{{}}') FROM jsonb_each_text(platform_properties))
                 AS platform_properties,
               floor(extract(epoch FROM last_seen)) AS last_update_timestamp, is_paused, is_draining, can_accept_work,
               (SELECT coalesce(json_agg(operation_id ORDER BY operation_id), '[]') FROM operations o
                WHERE o.worker_id = w.id AND stage = 'executing') AS running_operations,
               floor(extract(epoch FROM connected_at)) AS connected_timestamp, actions_completed
        FROM workers w ORDER BY id""",
    "/api/v1/operations": """
        SELECT operation_id, client_operation_id, initcap(stage) AS stage, worker_id, action_digest, command_digest,
               input_root_digest, priority, timeout, platform_properties,
               floor(extract(epoch FROM load_timestamp)) AS load_timestamp,
               floor(extract(epoch FROM insert_timestamp)) AS insert_timestamp, stage = 'completed' AS is_finished
        FROM operations ORDER BY operation_id""",
}
#: A job's summary, key for key.
SUMMED = """
    SELECT count(*) AS "totalExecutions", count(*) FILTER (WHERE status = 'SUCCESS') AS "successCount",
           count(*) FILTER (WHERE status = 'FAILED') AS "failedCount",
           count(*) FILTER (WHERE status = 'TIMEOUT') AS "timeoutCount",
           count(*) FILTER (WHERE attempt > 0) AS "retryCount",
           round(100.0 * count(*) FILTER (WHERE status = 'SUCCESS') / count(*), 2) || '%' AS "successRate",
           round(avg({lasted}))::int AS "avgDuration", max({lasted}) AS "maxDuration", min({lasted}) AS "minDuration",
           min({began}) AS "firstExecution", max({began}) AS "lastExecution"
    FROM executions WHERE completed_at IS NOT NULL AND job_id = 1"""
#: What the statements above share.
MOMENTS = {"lasted": "(1000 * extract(epoch FROM completed_at - started_at))::int"} | {
    name: f"to_char(date_trunc('{to}', {column}) AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:{form}\"Z\"')"
    for name, to, column, form in (
        ("began", "milliseconds", "started_at", "SS.MS"),
        ("ended", "milliseconds", "completed_at", "SS.MS"),
        ("began_second", "second", "started_at", "SS"),
        ("ended_second", "second", "completed_at", "SS"),
    )
}


@pytest.mark.parametrize("path", TRUTH, ids=["recent", "log", "executions", "running", "workers", "operations"])
def test_the_values_are_the_tables(sidecar: Sidecar, store: NativeStore, path: str) -> None:
    """A likeness alone would let a unit or a column be mistaken for another."""
    with store.database.connect() as connection:
        query = f"SELECT coalesce(json_agg(to_json(x)), '[]') FROM ({TRUTH[path].format(**MOMENTS)}) x"
        wanted = connection.execute(query.encode()).fetchone()
    assert wanted is not None and wanted[0]
    told = [{key: row[key] for key in wanted[0][0]} for row in rows(sidecar, path)]
    for row in told:
        row.get("running_operations", []).sort()  # in no order
    key = {"/api/v1/operations": "operation_id", "/api/v1/workers": "id"}.get(path)
    assert (sorted(told, key=lambda row: str(row[key])) if key else told) == wanted[0]


def test_the_summary_is_the_tables(sidecar: Sidecar, store: NativeStore) -> None:
    with store.database.connect() as connection:
        query = f"SELECT to_json(x) FROM ({SUMMED.format(**MOMENTS)}) x"
        wanted = connection.execute(query.encode()).fetchone()
    assert wanted is not None
    numbers = [value for value in wanted[0].values() if isinstance(value, int)]
    assert len(set(numbers)) == len(numbers) == 8, "none could be mistaken for another"
    told = json.loads(sidecar.get("/api/jobs/1/logs/summary").text)["data"]["summary"]
    assert {key: told[key] for key in wanted[0]} == wanted[0]


@pytest.mark.parametrize(("path", "status"), [("logs", "status"), ("logs/summary", "currentStatus")])
def test_the_job_is_the_tables(sidecar: Sidecar, store: NativeStore, path: str, status: str) -> None:
    with store.database.connect() as connection:
        wanted = connection.execute("SELECT id::text, name, task_type, status FROM jobs WHERE id = 1").fetchone()
    told = json.loads(sidecar.get(f"/api/jobs/1/{path}").text)["data"]["job"]
    assert tuple(told[key] for key in ("id", "name", "taskType", status)) == wanted


def test_how_long_what_runs_takes_as_a_rule(sidecar: Sidecar) -> None:
    """The median of the recent successes: they took 302 to 409 s."""
    [running] = rows(sidecar, "/monitoring/tasks/running")
    assert running["estimated_duration"] == "6 minutes"


def test_what_is_said_of_a_connection(sidecar: Sidecar, store: NativeStore) -> None:
    server = store.database.server
    with store.database.connect() as connection:
        version = connection.execute("SHOW server_version").fetchone()
    assert version is not None
    listed = rows(sidecar, "/monitoring/connections/status")
    assert [row["connection_id"] for row in listed] == [1, 2, 3]
    for row, port in zip(listed, (server.port, 1, server.port), strict=True):
        one = json.loads(sidecar.get(f"/monitoring/connections/{row['connection_id']}/status").text)
        assert one["host"] == HOST and (one["name"], one["port"]) == (row["name"], port)
        assert 0 <= one["response_time_ms"] <= 30_000
        assert abs(datetime.fromisoformat(one["last_check"]).timestamp() - time.time()) < 300
    good, refused, wrong = listed
    assert (good["database"], good["server_version"].split()[0]) == (store.database.name, version[0].split()[0])
    assert [row["is_healthy"] for row in listed] == [True, False, False]
    assert "refused" in refused["error_message"] and "password authentication failed" in wrong["error_message"]


def test_workers_and_operations_in_numbers(sidecar: Sidecar) -> None:
    workers = {"total": 8, "active": 3, "paused": 2, "draining": 3}
    operations = {"total": 11, "queued": 1, "executing": 4, "completed": 6}
    found = json.loads(sidecar.get("/api/v1/scheduler/metrics").text)
    assert (found["workers"], found["operations"]) == (workers, operations)
    status = json.loads(sidecar.get("/api/v1/scheduler/status").text)
    named = {f"{name}_workers": n for name, n in workers.items()}
    named |= {f"{name}_operations": n for name, n in operations.items()}
    assert status.items() >= named.items()


def test_parameters_of_a_jobs_log(sidecar: Sidecar) -> None:
    path = "/api/jobs/1/logs"
    whole = rows(sidecar, f"{path}?limit=5000")
    assert len(whole) == 100, "no more than that"
    assert rows(sidecar, path) == whole[:20]
    assert rows(sidecar, f"{path}?limit=7&offset=30") == whole[30:37]
    page = json.loads(sidecar.get(f"{path}?limit=7&offset=105").text)["data"]["pagination"]
    assert (page["total"], page["limit"], page["offset"], page["hasMore"]) == (110, 7, 105, False)
    page = json.loads(sidecar.get(f"{path}?limit=7&offset=102").text)["data"]["pagination"]
    assert (page["offset"], page["hasMore"]) == (102, True)
    counts = {"SUCCESS": 77, "FAILED": 22, "TIMEOUT": 11}
    for status, count in counts.items():
        only = rows(sidecar, f"{path}?limit=100&status={status}")
        assert len(only) == count and {row["status"] for row in only} == {status}
    since, before = whole[9]["executedAt"], whole[4]["executedAt"]  # shown in whole milliseconds
    assert rows(sidecar, f"{path}?fromDate={since}&toDate={before}") == whole[4:10]


def test_parameters_of_the_recent_logs(sidecar: Sidecar) -> None:
    whole = rows(sidecar, "/api/logs/recent?limit=5000")
    assert len(whole) == 100, "no more than that"
    assert rows(sidecar, "/api/logs/recent") == whole[:50]
    assert json.loads(sidecar.get("/api/logs/recent?limit=7").text)["data"]["count"] == 7
    for name, key, value, count in (("status", "status", "FAILED", 22), ("taskType", "taskType", "report", 10)):
        only = rows(sidecar, f"/api/logs/recent?limit=100&{name}={value}")
        assert len(only) == count and {row[key] for row in only} == {value}


def test_parameters_of_executions(sidecar: Sidecar) -> None:
    whole = rows(sidecar, "/monitoring/tasks/executions?limit=100")
    assert rows(sidecar, "/monitoring/tasks/executions") == whole[:50]
    assert len(rows(sidecar, "/monitoring/tasks/executions?limit=3")) == 3
    assert {row["task_id"] for row in rows(sidecar, "/monitoring/tasks/executions?task_id=1")} == {1}
    assert rows(sidecar, "/monitoring/tasks/executions?task_id=2") == []
    assert len(rows(sidecar, "/monitoring/tasks/1/executions")) == 20
    assert len(rows(sidecar, "/monitoring/tasks/1/executions?limit=3")) == 3
    assert sidecar.get("/monitoring/tasks/77/executions").status == 404


def test_parameters_of_operations(sidecar: Sidecar) -> None:
    path = "/api/v1/operations"
    for query, count in (("", 11), ("?stage=executing", 4), ("?stage=completed", 6), ("?stage=queued", 1),
                         ("?stage=cache_check", 0), ("?worker_id=worker-123", 10), ("?limit=2", 2)):  # fmt: skip
        assert len(rows(sidecar, path + query)) == count, query
    parameters = json.loads(sidecar.get("/openapi.json").text)["paths"][path]["get"]["parameters"]
    assert next(one["schema"]["default"] for one in parameters if one["name"] == "limit") == 1000


def test_a_likeness_can_fail() -> None:
    example: Any = {
        "rate": "86.96%",
        "at": "2026-01-28T15:30:00.000Z",
        "n": 1,
        "list": [{"ok": True}],
        "unix": 1640995200,
    }
    assert not list(differences(example, {**example, "more": 1}))
    for key, wrong in (("rate", 0.87), ("rate", "86.9%"), ("at", "2026-01-28T15:30:00Z"), ("n", 1.0), ("n", None),
                       ("list", []), ("list", [{"ok": 1}]), ("unix", 5)):  # fmt: skip
        assert list(differences(example, {**example, key: wrong})), key
    assert list(differences(example, {}))
