"""Verdicts, connections, probes, pages: answers that are made of the snapshot, tried with snapshots made by hand."""

from __future__ import annotations

import asyncio
import os
import time
from typing import Any

import msgspec
import psutil
import pytest
from support.parts import figures, part, statistics, stores
from support.serving import World, serving

from exporter.api.masking import shown_error, shown_result
from exporter.api.streaming import cell
from exporter.api.wire import in_words, number_or_text
from exporter.config.http import Auth
from exporter.connections import CheckResult, ConnectionState
from exporter.domain import ErrorGroup, Queues, QueueState, Running, Statistics, Worker, Workers
from exporter.httpd.roles import Caller, Role
from exporter.logs import masked
from exporter.stores.queries import JSON_CHARACTERS

NOBODY = Caller("anonymous", Role.VIEWER, known=False)
ADMIN = Caller("ops", Role.ADMIN, known=True)


@pytest.fixture
def world() -> World:
    """A store that works, and a connection that nobody has checked."""
    world = World(config=stores("main"))
    world.hub.publish(part("store", value=True), part("queues", waiting(since=5)), part("running", NOTHING_RUNS))
    world.history.by_task_type = {("main", 300.0): lately(3)}
    world.connections.states = {"Production DB": connection()}
    return world


def connection(**more: Any) -> ConnectionState:
    return ConnectionState(id=1, name="Production DB", host="db.example.com", port=5432, database="myapp", **more)


def waiting(*, since: float) -> Queues:
    """A queue whose oldest job has been due for so many seconds."""
    queue = QueueState(ready=2, scheduled=1, running=0, oldest_ready=time.time() - since)
    by_status = {("QUEUED", "ONE_TIME"): 2, ("SCHEDULED", "ONE_TIME"): 1}
    return Queues(queues={"q": queue}, by_status=by_status, overdue=(), overdue_count=0)


NOTHING_RUNS = Running(by_task_type={}, by_worker={}, oldest=())


def lately(ended: int) -> Statistics:
    now = time.time()
    return statistics(figures(ended, 0, 0, 0), start=now - 300, end=now, covered_since=now - 300)


async def ask(world: World, path: str, **options: Any) -> tuple[int, Any]:
    async with serving(world) as (_, client), client.get(path, **options) as answer:
        body = await answer.read()
        return answer.status, msgspec.json.decode(body) if "json" in answer.content_type else body.decode()


async def test_a_healthy_system(world: World) -> None:
    status, body = await ask(world, "/api/system/health")
    assert (status, body["status"]) == (200, "healthy")
    assert body["components"]["database"]["state"] == "connected"
    assert body["components"]["scheduler"] == {"status": "healthy", "recentExecutions": 3, "pendingJobs": 3}
    # Everything that ended, well or not; everything that waits, due or not.
    found = lately(0)
    world.history.by_task_type = {("main", 300.0): msgspec.structs.replace(found, overall=figures(5, 2, 1, 4))}
    states = {"PENDING": 8, "SCHEDULED": 16, "QUEUED": 32, "RUNNING": 64}
    by_status = {(status, "ONE_TIME"): number for status, number in states.items()}
    world.hub.publish(part("queues", msgspec.structs.replace(waiting(since=5), by_status=by_status)))
    _, body = await ask(world, "/api/system/health")
    assert body["components"]["scheduler"] == {"status": "healthy", "recentExecutions": 12, "pendingJobs": 56}


async def test_milliseconds_and_seconds_of_one_moment(world: World) -> None:
    _, body = await ask(world, "/api/system/health")
    assert 3_600_000 <= body["uptime"] < 4_200_000, "CHRONOS: milliseconds"
    assert body["components"]["database"]["latency"] == 100
    _, body = await ask(world, "/api/v1/system/health")
    assert 3_600 <= body["uptime_seconds"] < 4_200 and abs(body["timestamp"] - time.time()) < 600
    world.hub.publish(part("workers", Workers(workers=())))
    for path in ("/api/v1/scheduler/status", "/api/v1/scheduler/metrics"):
        assert 3_600 <= (await ask(world, path))[1]["uptime_seconds"] < 4_200


async def test_the_answer_says_how_long_it_took(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    quick = world.history.statistics

    async def slow(*asked: Any, **more: Any) -> Any:
        await asyncio.sleep(0.05)
        return await quick(*asked, **more)

    monkeypatch.setattr(world.history, "statistics", slow)
    began = time.perf_counter()
    _, body = await ask(world, "/api/system/health")
    assert 50 <= body["responseTime"] <= 1000 * (time.perf_counter() - began), "milliseconds"


async def test_system_and_process_are_this_machines(world: World) -> None:
    _, body = await ask(world, "/api/system/health")
    system, process = body["components"]["system"], body["components"]["process"]
    memory = psutil.virtual_memory()
    assert system["memory"]["total"] == memory.total
    used = 1 - system["memory"]["free"] / memory.total
    assert float(system["memory"]["usagePercent"].removesuffix("%")) == pytest.approx(100 * used, abs=0.01)
    assert system["cpu"]["cores"] == psutil.cpu_count()
    assert process["pid"] == os.getpid()
    assert process["memory"]["heapUsed"] == pytest.approx(psutil.Process().memory_info().rss, rel=0.2)


async def test_a_store_that_is_down_is_critical(world: World) -> None:
    world.hub.publish(part("store", value=False, error="no connection"))
    status, body = await ask(world, "/api/system/health")
    assert (status, body["status"]) == (503, "unhealthy")
    assert body["components"]["database"] == {"status": "unhealthy", "state": "disconnected", "latency": None}
    status, body = await ask(world, "/api/v1/system/health")
    assert (status, body["status"]) == (503, "unhealthy")


@pytest.mark.parametrize(
    ("since", "ended", "verdict"), [(240, 0, "healthy"), (400, 0, "unhealthy"), (400, 1, "healthy")]
)
async def test_a_scheduler_that_stands_still_is_critical(world: World, since: float, ended: int, verdict: str) -> None:
    world.hub.publish(part("queues", waiting(since=since)))
    world.history.by_task_type = {("main", 300.0): lately(ended)}
    status, body = await ask(world, "/api/system/health")
    assert (status, body["components"]["scheduler"]["status"]) == (200 if verdict == "healthy" else 503, verdict)


async def test_what_was_never_asked_is_unknown() -> None:
    status, body = await ask(World(config=stores("main")), "/api/system/health")
    assert (status, body["status"]) == (200, "degraded")
    assert body["components"]["database"]["status"] == body["components"]["scheduler"]["status"] == "unknown"


def check(result: Any, **more: Any) -> CheckResult:
    return CheckResult(result=result, finished_at=time.time(), response_seconds=0.05, stages={}, **more)


async def test_the_first_question_checks_once_for_all(world: World) -> None:
    world.connections.found = {"Production DB": check("ok")}
    path = "/monitoring/connections/1/status"
    async with serving(world) as (_, client):
        async with client.get("/monitoring/connections/status") as listed:
            assert (await listed.json())[0]["is_healthy"] is None
        answers = await asyncio.gather(*(client.get(path) for _ in range(2)))
        assert [(await answer.json())["is_healthy"] for answer in answers] == [True, True]
        checks = world.connections.checks
        async with client.get(path) as again:
            assert (await again.json())["response_time_ms"] == 50
    assert checks == world.connections.checks
    assert (await ask(world, "/monitoring/connections/9/status"))[0] == 404


async def test_a_driver_s_words_are_for_admins(world: World) -> None:
    failed = check("auth", failed_stage="auth", error_message='FATAL: password authentication failed for user "bob"')
    world.connections.states = {"Production DB": connection(result=failed, last_check=failed.finished_at)}
    config = world.config or stores()
    world.config = msgspec.structs.replace(config, environment="production", auth=Auth(anonymous_read=True))
    _, body = await ask(world, "/monitoring/connections/1/status")
    assert (body["is_healthy"], body["error_message"]) == (False, "Authentication failed")
    world.config = msgspec.structs.replace(config, environment="development")
    _, body = await ask(world, "/monitoring/connections/1/status")
    assert body["error_message"] == 'FATAL: password authentication failed for user "bob"'


async def test_legacy_paths_redirect(world: World) -> None:
    async with serving(world) as (_, client):
        path = "/api/monitoring/connections/1/status?a=%20b"
        async with client.get(path, allow_redirects=False) as answer:
            assert (answer.status, answer.headers["Location"]) == (308, path.replace("/api/", "/api/v1/"))


async def test_probe_and_discovery(world: World) -> None:
    ok = check("ok")
    world.connections.states = {"Production DB": connection(result=ok, last_check=ok.finished_at)}
    assert await ask(world, "/probe", params={"target": "Production DB"}) == (200, "# Production DB\n")
    for other in ("nobody", "postgresql://evil", "db.example.com:5432"):
        assert (await ask(world, "/probe", params={"target": other}))[0] == 404
    assert (await ask(world, "/probe"))[0] == 400
    status, body = await ask(world, "/sd", headers={"Host": "exporter:9795"})
    assert (status, body[0]["targets"]) == (200, ["exporter:9795"])
    assert body[0]["labels"]["__param_target"] == "Production DB"


async def test_the_dashboard_is_a_page_for_a_browser(world: World) -> None:
    world.history.by_task_type["main", 86_400.0] = lately(3)
    path = "/api/scheduler-monitoring/dashboard"
    status, body = await ask(world, path, headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
    assert (status, "<!DOCTYPE html>" in body) == (200, True)
    for accept in ("application/json", "*/*", "application/json, text/html"):
        status, body = await ask(world, path, headers={"Accept": accept})
        assert (status, body["metrics"]["executions"]["total"]) == (200, 3)


async def test_errors_are_classed_by_when_they_come(world: World) -> None:
    now = time.time()
    this_hour = int(now // 3600) * 3600
    world.history.by_task_type["main", 86_400.0] = statistics(
        figures(0, 9, 0, 0), start=now - 86_400, end=now, covered_since=now
    )
    world.history.groups = [
        group(20, now, this_hour),
        group(1, now - 60, this_hour),
        group(5, now - 7200, this_hour - 7200),
    ]
    _, body = await ask(world, "/api/scheduler-monitoring/errors?limit=2")
    assert [item["class"] for item in body["items"]] == ["critical", "error"]
    assert body["pagination"] == {"total": 3, "limit": 2, "offset": 0, "hasMore": True}
    assert sum(body["items"][0]["trend"]) == 20
    _, body = await ask(world, "/api/scheduler-monitoring/errors?offset=2")
    assert [item["class"] for item in body["items"]] == ["warning"]


def group(count: int, last: float, hour: int) -> ErrorGroup:
    return ErrorGroup(
        fingerprint="f", message="broken <n>", code=None, count=count, first_seen=last - 10, last_seen=last,
        task_types=("mail",), job_id="1", execution_id="2", example="broken 7", trend={hour: count},
    )  # fmt: skip


async def test_a_lost_worker_takes_no_work(world: World) -> None:
    lost = Worker(
        id="w", host=None, last_seen=1_640_995_200.9, connected_at=None, state="lost", is_paused=False,
        is_draining=False, can_accept_work=True, actions_completed=7, platform_properties='{"cpu": 8, "os": "Linux"}',
    )  # fmt: skip
    world.hub.publish(part("workers", Workers(workers=(lost,))))
    _, body = await ask(world, "/api/v1/workers/w")
    assert (body["can_accept_work"], body["last_update_timestamp"]) == (False, 1_640_995_200)
    assert body["platform_properties"] == {"cpu": "8", "os": "Linux"}


def test_results_are_masked() -> None:
    shown = shown_result(
        '{"password": "x", "api_key": {"a": 1}, "tokens": 12, "n": ["postgres://u:secret@h/db"], "t": null}'
    )
    assert shown == {
        "password": "<secret>", "api_key": "<secret>", "tokens": 12, "n": ["postgres://u:<secret>@h/db"], "t": None,
    }  # fmt: skip
    assert shown_result("no JSON") == "no JSON"
    assert shown_result(None) is None
    assert shown_result("[" * 50_000) == "[" * 50_000
    assert shown_result("x" * (JSON_CHARACTERS + 1)) == "x" * JSON_CHARACTERS + "..."
    assert masked({"a": [[{"secret": ["s"]}]]}) == {"a": [[{"secret": "<secret>"}]]}


def test_a_stack_trace_is_for_admins() -> None:
    python = 'Traceback (most recent call last):\n  File "a.py", line 1\nValueError: broken'
    java = "java.lang.Exception: broken\n\tat A.b(A.java:1)"
    assert shown_error(python, NOBODY, "production") == "ValueError: broken"
    assert shown_error(java, NOBODY, "production") == "java.lang.Exception: broken"
    assert shown_error(java, ADMIN, "production") == shown_error(java, NOBODY, "development") == java
    assert shown_error("password=hunter2", ADMIN, "production") == "password=<secret>"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "1 second"), (0.4, "1 second"), (59.4, "59 seconds"), (59.6, "1 minute"), (300, "5 minutes"), (3599, "1 hour"),
     (7300, "2 hours"), (86_399, "1 day"), (200_000, "2 days"), (None, None)],
)  # fmt: skip
def test_durations_in_words(seconds: float | None, words: str | None) -> None:
    assert in_words(seconds) == words


def test_ids_are_numbers_where_the_store_has_numbers() -> None:
    assert [number_or_text(v, integral=True) for v in ("7", "-1", "a7", None)] == [7, -1, "a7", None]
    assert number_or_text("7", integral=False) == "7"


def test_cells() -> None:
    assert [cell(v) for v in (None, True, 1, -1.5, "", "a", "-1", {"a": 1})] == [
        "",
        "true",
        1,
        -1.5,
        "",
        "a",
        "'-1",
        '{"a":1}',
    ]
