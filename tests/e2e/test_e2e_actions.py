"""Actions over HTTP, on a running sidecar: who may, what becomes of it, once for a key, and what is written down."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from support import reviewer
from support.polling import until
from support.ports import free_port
from support.postgres import Database
from support.redis_server import RedisServer, redis_server
from support.scheduler import PASSWORD, NativeStore
from support.sidecar import PATIENT, Response, Sidecar, StartSidecar, one_store, run_command, store, target

from exporter.config.dsn import parse_dsn

ADMIN = {"Authorization": "Bearer admin-token"}
VIEWER = {"Authorization": "Bearer viewer-token"}
SPEC = Path(__file__).parents[1] / "api" / "spec"
EXECUTE = "/api/v1/monitoring/tasks/1/execute"
TRIGGER = "/api/scheduler-monitoring/jobs/trigger"


def secured(config: dict[str, Any], *, enabled: bool = True) -> dict[str, Any]:
    """``config`` with an admin and a viewer, and no limit to how often they ask."""
    tokens = [
        {"name": "ops", "role": "admin", "token": "admin-token"},
        {"name": "grafana", "role": "viewer", "token": "viewer-token"},
    ]
    unlimited = {"per_second": 0}
    return {
        **config,
        "auth": {"tokens": tokens},
        "api": {"rate_limit": unlimited, "action_rate_limit": unlimited},
        "actions": {"enabled": enabled},
    }


def post(
    sidecar: Sidecar, path: str, body: Any = None, *, headers: dict[str, str] | None = None, **more: str
) -> Response:
    """A POST of the admin, with JSON if ``body`` is given and the headers of ``more``."""
    sent = {**(ADMIN if headers is None else headers), **{k.replace("_", "-"): v for k, v in more.items()}}
    data = None
    if body is not None:
        data = json.dumps(body).encode()
        sent["Content-Type"] = "application/json"
    return sidecar.get(path, method="POST", headers=sent, body=data, timeout=60)


def alike(example: dict[str, Any], answer: dict[str, Any]) -> bool:
    """Whether the answer has every key of the specification's example, with a value of its type, or null."""
    return all(key in answer and type(answer[key]) in (type(value), type(None)) for key, value in example.items())


def audited(sidecar: Sidecar) -> list[dict[str, Any]]:
    """The audit trail as `state export` has it."""
    done = run_command("state", "export", f"--state.path={sidecar.directory / 'state'}")
    assert done.returncode == 0, done.stderr
    return [row for row in map(json.loads, done.stdout.splitlines()) if row["table"] == "audit"]


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    with redis_server(tmp_path / "redis") as server:
        yield server


@pytest.fixture
def reviewed(database: Database, redis: RedisServer) -> dict[str, Any]:
    """A configuration with the reviewer's store, whose jobs are triggered through Redis."""
    with database.connect() as connection:
        connection.execute(reviewer.SCHEMA)
    trigger = {"kind": "redis", "url": redis.url, "list": "queue", "timeout": PATIENT}
    return {"stores": [store(database.dsn, profile=reviewer.PROFILE, trigger=trigger)]}


def test_a_job_is_triggered_through_the_reviewers_queue(
    reviewed: dict[str, Any], database: Database, redis: RedisServer, start_sidecar: StartSidecar
) -> None:
    sidecar = start_sidecar(secured(reviewed))
    answer = post(sidecar, EXECUTE)
    assert (answer.status, answer.json) == (200, {"message": "Task executed successfully", "execution_id": 2})
    assert alike(json.loads((SPEC / "001-03.json").read_text()), answer.json)
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    assert post(sidecar, "/monitoring/tasks/2/execute").json["execution_id"] == 3, "served in place"
    moved = post(sidecar, "/api/monitoring/tasks/2/execute", headers={})
    assert (moved.status, moved.headers["location"]) == (308, "/api/v1/monitoring/tasks/2/execute")
    for job_id, execution in ((1, 4), ("2", 5)):
        answer = post(sidecar, TRIGGER, {"jobId": job_id})
        assert (answer.status, answer.json) == (202, {"message": "Job triggered", "executionId": execution})
    assert [row[1:] for row in reviewer.executions(database)[1:]] == [(n, "pending") for n in (1, 2, 1, 2)]
    told = [json.loads(text) for text in reversed(redis.messages("queue"))]
    assert told == [{"task_id": task, "execution_id": n} for task, n in ((1, 2), (2, 3), (1, 4), (2, 5))]
    for path, body in (("/api/v1/monitoring/tasks/77/execute", None), (TRIGGER, {"jobId": "nope"})):
        answer = post(sidecar, path, body)
        assert (answer.status, "not found" in answer.json["error"]) == (404, True)
    rows = [row for row in audited(sidecar) if row["action"] == "trigger"]
    assert [(row["actor"], row["result"], row["data"]["target"]) for row in rows[:1]] == [("ops", "success", "main/1")]
    assert rows[0]["data"]["request_id"] and rows[0]["data"]["client"] == "127.0.0.1"
    assert [row["result"] for row in rows] == ["success"] * 4 + ["failed"] * 2
    [line, *_] = [event for event in sidecar.events("audit") if event["action"] == "trigger"]
    assert (line["category"], line["actor"], line["result"]) == ("audit", "ops", "success")


def test_a_key_is_one_execution_through_everything(
    reviewed: dict[str, Any], database: Database, redis: RedisServer, start_sidecar: StartSidecar
) -> None:
    sidecar = start_sidecar(secured(reviewed))
    with ThreadPoolExecutor(10) as threads:
        answers = list(threads.map(lambda _: post(sidecar, EXECUTE, Idempotency_Key="k-1"), range(20)))
    assert [(answer.status, answer.json["execution_id"]) for answer in answers] == [(200, 2)] * 20
    sidecar.kill()
    sidecar.start()
    again = post(sidecar, EXECUTE, Idempotency_Key="k-1")
    assert (again.json["execution_id"], again.headers["idempotent-replayed"]) == (2, "true")
    assert post(sidecar, TRIGGER, {"jobId": 1}, Idempotency_Key="k-1").json["executionId"] == 2
    other = post(sidecar, TRIGGER, {"jobId": 2}, Idempotency_Key="k-1")
    assert (other.status, "stands for another action" in other.json["error"]) == (409, True)
    assert len(reviewer.executions(database)) == 2
    assert len(redis.messages("queue")) == 1
    for key in ("", "a b", "x" * 256, "\xe9"):
        assert post(sidecar, EXECUTE, Idempotency_Key=key).status == 400, key
    assert len(reviewer.executions(database)) == 2


def test_a_redis_that_is_away_is_told_and_nothing_is_left(
    reviewed: dict[str, Any], database: Database, redis: RedisServer, start_sidecar: StartSidecar
) -> None:
    sidecar = start_sidecar(secured(reviewed))
    redis.stop()
    answer = post(sidecar, EXECUTE, Idempotency_Key="k-2")
    assert (answer.status, answer.headers["retry-after"]) == (503, "5")
    assert "Redis is away, nothing was done" in answer.json["error"]
    redis.start()
    assert post(sidecar, EXECUTE, Idempotency_Key="k-2").json["execution_id"] == 2
    assert len(reviewer.executions(database)) == 2


def test_who_may_not_act_does_not(native: NativeStore, start_sidecar: StartSidecar) -> None:
    sidecar = start_sidecar(secured(one_store(native.dsn)))
    for headers, status in (({}, 401), ({"Authorization": "Bearer nope"}, 401), (VIEWER, 403)):
        for path, body in ((EXECUTE, None), (TRIGGER, {"jobId": 1}), ("/monitoring/connections/1/check", None)):
            assert post(sidecar, path, body, headers=headers).status == status, (path, headers)
    for header in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}):
        assert post(sidecar, EXECUTE, headers={**ADMIN, **header}).status == 403
    assert post(sidecar, TRIGGER, headers={**ADMIN, "Content-Type": "text/plain"}).status == 415
    for body in ({}, {"jobId": None}, {"jobId": ""}, {"jobId": [1]}, {"jobId": "x" * 501}, {"jobId": "a\0b"}):
        assert post(sidecar, TRIGGER, body).status == 400, body
    assert sidecar.get(EXECUTE, headers=ADMIN).status == 405
    with native.database.connect() as connection:
        assert connection.execute("SELECT count(*) FROM jobs WHERE next_run_at <= now()").fetchone() == (3,)
    until(lambda: {row["action"] for row in audited(sidecar)} >= {"login", "access"}, 60, "refusals are written down")


def test_a_role_that_may_not_write_is_told_what_to_grant(native: NativeStore, start_sidecar: StartSidecar) -> None:
    sidecar = start_sidecar(secured(one_store(native.dsn)))
    answer = post(sidecar, EXECUTE)
    assert answer.status == 502
    assert "permission denied for table jobs" in answer.json["error"] and "grant" in answer.json["error"]


def test_actions_are_off_unless_they_are_turned_on(native: NativeStore, start_sidecar: StartSidecar) -> None:
    database = native.database
    checked = target("one", database.server.port, id=1, user="x", database=database.name)
    config = {**one_store(native.dsn), "connections": {"targets": [checked]}}
    sidecar = start_sidecar(secured(config, enabled=False))
    paths = (
        (EXECUTE, None),
        (TRIGGER, {"jobId": 1}),
        ("/api/v1/monitoring/connections/1/check", None),
        ("/api/scheduler-monitoring/alerts/suppress", {"fingerprint": "a", "durationMinutes": 1, "comment": "c"}),
    )
    for path, body in paths:
        answer = post(sidecar, path, body)
        told = "actions are off: set actions.enabled: true in the configuration"
        assert (answer.status, answer.json) == (403, {"error": told}), path
    assert [row["result"] for row in audited(sidecar)] == ["refused"] * len(paths)


def test_a_connection_is_checked_now(native: NativeStore, start_sidecar: StartSidecar) -> None:
    server = native.database.server
    role = str(parse_dsn(native.dsn)["user"])
    login = {"user": role, "password": PASSWORD, "database": native.database.name}
    config = {
        **one_store(native.dsn),
        "connections": {
            "interval": "1h",
            "staleness": "2h",
            "timeout": PATIENT,
            "targets": [
                target("good", server.port, id=1, **login),
                target("wrong", server.port, id=2, **{**login, "password": "wrong-password"}),
                target("gone", free_port(), id="c-3", **login),
            ],
        },
    }
    sidecar = start_sidecar(secured(config))
    good = post(sidecar, "/api/v1/monitoring/connections/1/check")
    assert good.status == 200, good.text
    answer = good.json
    assert answer["last_check"].endswith("Z")
    for example in ("001-06", "001-07"):
        assert alike(json.loads((SPEC / f"{example}.json").read_text()), answer), example
    assert (answer["connection_id"], answer["is_healthy"], answer["error_message"]) == (1, True, None)
    assert answer["server_version"].startswith("PostgreSQL 18")
    assert type(answer["response_time_ms"]) is int
    for connection_id, told in (("2", "password authentication failed"), ("c-3", "refused")):
        answer = post(sidecar, f"/monitoring/connections/{connection_id}/check").json
        assert (str(answer["connection_id"]), answer["is_healthy"]) == (connection_id, False)
        assert told in answer["error_message"].lower() and answer["server_version"] is None
        assert "wrong-password" not in json.dumps(answer)
    assert post(sidecar, "/monitoring/connections/99/check").status == 404
    told = {row["data"]["target"]: row["data"]["detail"] for row in audited(sidecar)}
    assert told == {
        "connection good": "healthy",
        "connection wrong": "unhealthy: auth",
        "connection gone": "unhealthy: refused",
    }
