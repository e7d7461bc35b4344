"""The CHRONOS family's statistics: shapes as its documentation shows them, rules of counting, errors."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from msgspec.structs import replace
from support.parts import figures, part, statistics, stores
from support.serving import World, serving

from exporter.api import asking
from exporter.domain import (
    Counts,
    Exactness,
    Executions,
    JobCounts,
    Queues,
    Running,
    RunningByType,
    Statistics,
    Worker,
    Workers,
)

HOUR = 3600.0
DAY = 24 * HOUR
PERIODS = {"1h": HOUR, "6h": 6 * HOUR, "24h": DAY, "7d": 7 * DAY, "30d": 30 * DAY}
NOW = datetime(2026, 1, 28, 15, 30, 12, 345678, tzinfo=UTC).timestamp()
START = datetime(2026, 1, 27, 15, 30, tzinfo=UTC).timestamp()
AT_14 = int(datetime(2026, 1, 28, 14, tzinfo=UTC).timestamp())

#: The answer that the family's documentation shows, with what is ours: ``coverage`` and ``cancelled``; CANCELLED jobs.
STATS = """
{
  "success": true,
  "data": {
    "period": "24h",
    "periodStart": "2026-01-27T15:30:00.000Z",
    "coverage": {"since": "2025-12-24T15:30:12.345Z", "complete": true},
    "jobs": {
      "total": 150,
      "byStatus": {"PENDING": 5, "SCHEDULED": 45, "QUEUED": 2, "RUNNING": 3, "COMPLETED": 85, "FAILED": 10,
                   "CANCELLED": 0},
      "byType": {"ONE_TIME": 100, "RECURRING": 50},
      "active": 50,
      "failed": 10
    },
    "executions": {
      "total": 230, "success": 200, "failed": 25, "timeout": 5, "cancelled": 7, "retries": 15,
      "successRate": "86.96%", "avgDuration": 1250, "maxDuration": 15000
    },
    "executionsByTaskType": [
      {"taskType": "sendEmail", "count": 100, "successCount": 95, "successRate": "95.00%", "avgDuration": 800},
      {"taskType": "backup", "count": 65, "successCount": 50, "successRate": "76.92%", "avgDuration": null},
      {"taskType": "report", "count": 65, "successCount": 55, "successRate": "84.62%", "avgDuration": 1500}
    ],
    "hourlyTrend": [
      {"_id": "2026-01-28 14:00", "total": 15, "success": 14, "failed": 1},
      {"_id": "2026-01-28 15:00", "total": 18, "success": 16, "failed": 2}
    ]
  }
}
"""
LIVE = """
{
  "timestamp": "2026-01-28T15:30:12.345Z",
  "running": 3,
  "scheduled": 45,
  "executions": {"last5min": 8, "failedLast5min": 1}
}
"""
WORKERS = """
{
  "success": true,
  "data": {
    "workers": [
      {"workerId": "worker_host1_12345_abc", "host": "host1.example.com", "executions": 150, "successRate": "95.33%",
       "avgDuration": 1200, "lastSeen": "2026-01-28T15:29:00.000Z", "activeJobs": 2},
      {"workerId": "gone", "host": null, "executions": 3, "successRate": "0.00%", "avgDuration": null,
       "lastSeen": null, "activeJobs": 0},
      {"workerId": "idle", "host": "host2.example.com", "executions": 0, "successRate": "0.00%", "avgDuration": null,
       "lastSeen": null, "activeJobs": 0}
    ],
    "totalWorkers": 3,
    "activeWorkers": 1
  }
}
"""
BY_STATUS = {
    ("PENDING", "ONE_TIME"): 5, ("SCHEDULED", "RECURRING"): 45, ("RUNNING", "ONE_TIME"): 99,
    ("COMPLETED", "ONE_TIME"): 80, ("COMPLETED", "RECURRING"): 5, ("FAILED", "ONE_TIME"): 10,
}  # fmt: skip
QUEUES = Queues(
    queues={}, by_status={("PENDING", "ONE_TIME"): 5, ("QUEUED", "ONE_TIME"): 2, ("RUNNING", "ONE_TIME"): 3},
    overdue=(), overdue_count=0,
)  # fmt: skip
RUNNING = Running(
    by_task_type={"sendEmail": RunningByType(running=3, stuck=0, orphaned=None, oldest_start=None)},
    by_worker={"worker_host1_12345_abc": 2},
    oldest=(),
)


def worker(name: str, host: str, state: str = "active", seen: float | None = None) -> Worker:
    return Worker(
        id=name, host=host, last_seen=seen, connected_at=None, state=state, is_paused=None, is_draining=None,
        can_accept_work=None, actions_completed=None,
    )  # fmt: skip


def day() -> Statistics:
    return statistics(
        figures(200, 25, 5, 7, retries=15, mean=1.25, most=15.0),
        {
            "backup": figures(50, 15, 0, 0),
            "cancelledOnly": figures(0, 0, 0, 2),
            "report": figures(55, 7, 3, 5, mean=1.5),
            "sendEmail": figures(95, 3, 2, 0, mean=0.8),
        },
        {AT_14 - 3600: (0, 0, 0, 2), AT_14: (14, 1, 0, 5), AT_14 + 3600: (16, 1, 1, 0)},
        start=START,
        end=NOW,
        covered_since=NOW - 35 * DAY,
    )


def by_worker() -> Statistics:
    labels = {"worker_host1_12345_abc": figures(143, 7, 0, 1, mean=1.2), "gone": figures(0, 2, 1, 0)}
    return statistics(figures(143, 9, 1, 1), labels, start=START, end=NOW, covered_since=NOW - DAY)


@pytest.fixture
def world() -> World:
    """One store that knows everything, another one that nobody has polled."""
    world = World(config=stores("main", "other"))
    counts = Counts(executions={"sendEmail": (1, 0, 0, 0)}, retries={"sendEmail": 0})
    executions = Executions(counts=counts, exactness=Exactness(), caught_up=True, cursor_time=NOW, oldest_open=None)
    seen = datetime(2026, 1, 28, 15, 29, tzinfo=UTC).timestamp()
    known = (worker("worker_host1_12345_abc", "host1.example.com", seen=seen),
             worker("idle", "host2.example.com", "paused"))  # fmt: skip
    world.hub.publish(
        part("jobs", JobCounts(by_status=BY_STATUS)), part("queues", QUEUES), part("running", RUNNING),
        part("workers", Workers(workers=known)), part("executions", executions),
    )  # fmt: skip
    world.history.by_task_type = {("main", seconds): day() for seconds in PERIODS.values()}
    world.history.by_task_type["main", 300.0] = statistics(
        figures(7, 0, 1, 3), start=NOW - 300, end=NOW, covered_since=None
    )
    world.history.by_worker["main", DAY] = by_worker()
    return world


async def ask(world: World, path: str) -> tuple[int, Any, aiohttp.ClientResponse]:
    """Status, body and the answer itself."""
    async with serving(world) as (_, client), client.get(path) as answer:
        assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
        return answer.status, json.loads(await answer.read()), answer


def same(found: object, documented: str) -> None:
    """Equal in values, types and the order of keys."""
    assert json.dumps(found, indent=1) == json.dumps(json.loads(documented), indent=1)


@pytest.mark.parametrize(
    ("path", "documented"),
    [("/api/system/stats", STATS), ("/api/system/stats/live", LIVE), ("/api/system/workers", WORKERS)],
)
async def test_answers_are_as_documented(world: World, path: str, documented: str) -> None:
    status, body, answer = await ask(world, path)
    assert status == 200
    same(body, documented)
    assert answer.headers["X-Snapshot-Timestamp"] == "2026-01-28T15:30:12.345Z"


@pytest.mark.parametrize("period", PERIODS)
async def test_periods(world: World, period: str) -> None:
    world.history.by_task_type = {("main", PERIODS[period]): day()}
    status, body, _ = await ask(world, f"/api/system/stats?period={period}&unknown=1&store=main")
    assert (status, body["data"]["period"]) == (200, period)


@pytest.mark.parametrize(
    ("since", "told"),
    [
        (START, ("2026-01-27T15:30:00.000Z", True)),
        (START + 1, ("2026-01-27T15:30:01.000Z", False)),
        (None, (None, False)),
    ],
)
async def test_what_is_missing_is_told(world: World, since: float | None, told: tuple[str | None, bool]) -> None:
    world.history.by_task_type["main", DAY] = replace(day(), covered_since=since)
    _, body, _ = await ask(world, "/api/system/stats")
    assert tuple(body["data"]["coverage"].values()) == told


async def test_nothing_is_a_rate_of_zero_and_no_average(world: World) -> None:
    nothing = statistics(figures(0, 0, 0, 0), start=START, end=NOW, covered_since=START)
    world.history.by_task_type["main", DAY] = nothing
    world.history.by_worker["main", DAY] = nothing
    _, body, _ = await ask(world, "/api/system/stats")
    executions = body["data"]["executions"]
    assert executions == {
        "total": 0, "success": 0, "failed": 0, "timeout": 0, "cancelled": 0, "retries": 0,
        "successRate": "0.00%", "avgDuration": None, "maxDuration": None,
    }  # fmt: skip
    assert (body["data"]["executionsByTaskType"], body["data"]["hourlyTrend"]) == ([], [])
    _, body, _ = await ask(world, "/api/system/workers")
    assert {(row["executions"], row["successRate"], row["avgDuration"]) for row in body["data"]["workers"]} == {
        (0, "0.00%", None)
    }


async def test_what_a_store_cannot_know_is_null(world: World) -> None:
    for collector in ("jobs", "queues", "running", "workers"):
        world.hub.publish(part(collector, None))
    counts = Counts(executions={"sendEmail": (1, 0, 0, 0)})
    executions = Executions(counts=counts, exactness=Exactness(), caught_up=True, cursor_time=None, oldest_open=None)
    world.hub.publish(part("executions", executions))
    world.history.by_task_type["main", DAY] = replace(day(), overall=figures(200, 25, 5, 7))
    world.history.by_worker["main", DAY] = statistics(figures(0, 0, 0, 0), start=START, end=NOW, covered_since=START)
    _, body, _ = await ask(world, "/api/system/stats")
    jobs = body["data"]["jobs"]
    assert (jobs["total"], jobs["active"], jobs["failed"]) == (None, None, None)
    assert list(jobs["byStatus"]) == ["PENDING", "SCHEDULED", "QUEUED", "RUNNING", "COMPLETED", "FAILED", "CANCELLED"]
    assert {*jobs["byStatus"].values(), *jobs["byType"].values()} == {None}
    assert body["data"]["executions"]["retries"] is None
    _, body, _ = await ask(world, "/api/system/stats/live")
    assert (body["running"], body["scheduled"]) == (None, None)
    _, body, _ = await ask(world, "/api/system/workers")
    assert body["data"] == {"workers": [], "totalWorkers": 0, "activeWorkers": None}


async def test_a_full_count_that_is_missing_leaves_what_is_unfinished(world: World) -> None:
    world.hub.publish(part("jobs", JobCounts(by_status=BY_STATUS), age=301))
    _, body, _ = await ask(world, "/api/system/stats")
    jobs = body["data"]["jobs"]
    assert (jobs["total"], jobs["active"], jobs["failed"]) == (None, 5, None)
    assert jobs["byStatus"] == {"PENDING": 5, "SCHEDULED": 0, "QUEUED": 2, "RUNNING": 3, "COMPLETED": None,
                                "FAILED": None, "CANCELLED": None}  # fmt: skip
    assert jobs["byType"] == {"ONE_TIME": None, "RECURRING": None}


async def test_executions_without_workers_say_nothing_about_workers(world: World) -> None:
    world.history.by_worker["main", DAY] = statistics(figures(0, 0, 0, 0), start=START, end=NOW, covered_since=START)
    world.hub.publish(part("running", replace(RUNNING, by_worker={})))
    _, body, _ = await ask(world, "/api/system/workers")
    for row in body["data"]["workers"]:
        assert (row["executions"], row["successRate"], row["avgDuration"], row["activeJobs"]) == (None,) * 4


async def test_what_the_budget_left_out_is_a_row_but_no_worker(world: World) -> None:
    found = by_worker()
    world.history.by_worker["main", DAY] = replace(found, by_label={**found.by_label, "other": figures(5, 0, 0, 0)})
    _, body, _ = await ask(world, "/api/system/workers")
    assert [row["workerId"] for row in body["data"]["workers"]] == ["worker_host1_12345_abc", "other", "gone", "idle"]
    assert body["data"]["totalWorkers"] == 3


@pytest.mark.parametrize("path", ["/api/system/stats", "/api/system/stats/live", "/api/system/workers"])
async def test_errors(world: World, path: str) -> None:
    assert (await ask(world, f"{path}?store=none"))[:2] == (
        404, {"success": False, "error": "store: expected one of main, other"},
    )  # fmt: skip
    status, body, _ = await ask(world, f"{path}?store=other")
    assert (status, set(body), body["success"]) == (503, {"success", "error"}, False)
    assert "'other'" in body["error"]
    world.history.usable = False
    status, body, _ = await ask(world, path)
    assert (status, body) == (
        503, {"success": False, "error": "statistics: the state file cannot be used at present"},
    )  # fmt: skip
    world.config = stores()
    assert (await ask(world, path))[:2] == (404, {"success": False, "error": "store: none is configured"})


async def test_a_state_file_that_hangs(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "PATIENCE", 0.1)
    world.history.hangs = True
    assert (await ask(world, "/api/system/stats"))[0] == 503


@pytest.mark.parametrize("period", ["", "24H", "1d", "2h", "30d%20", "%00"])
async def test_a_period_that_is_none(world: World, period: str) -> None:
    assert (await ask(world, f"/api/system/stats?period={period}"))[:2] == (
        400, {"success": False, "error": "period: expected one of 1h, 6h, 24h, 7d, 30d"},
    )  # fmt: skip


async def test_an_answer_follows_what_it_is_made_of(world: World) -> None:
    async with serving(world) as (_, client):

        async def body() -> Any:
            async with client.get("/api/system/stats") as answer:
                return await answer.json()

        first = await body()
        assert await body() == first
        world.hub.publish(part("queues", replace(QUEUES, by_status={("QUEUED", "ONE_TIME"): 7})))
        assert (await body())["data"]["jobs"]["byStatus"]["QUEUED"] == 7
        world.history.by_task_type["main", DAY] = replace(day(), overall=figures(1, 0, 0, 0))
        assert (await body())["data"]["executions"]["successRate"] == "100.00%"
        assert (await client.head("/api/system/stats")).status == 200
        assert (await client.post("/api/system/stats")).status == 405


def test_the_examples_of_the_documentation_are_these() -> None:
    text = (Path(__file__).parents[2] / "docs" / "api.md").read_text()
    shown = [json.loads(block.partition("```")[0]) for block in text.split("```json\n")[1:]]
    for documented, tested in zip(shown, (STATS, LIVE, WORKERS), strict=False):
        expected = json.loads(tested)
        for rows in ("executionsByTaskType", "workers"):  # of which the test has more
            if rows in expected.get("data", {}):
                del expected["data"][rows][1:]
        same(documented, json.dumps(expected))
