"""``/api/scheduler-monitoring/status``: its shape, what it calls healthy, what is unknown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from support.parts import part, stores
from support.serving import World, serving

from exporter.alertmanager import ActiveAlerts
from exporter.domain import (
    Backfill,
    JobCounts,
    OverdueJob,
    Queues,
    RecurringJob,
    Running,
    RunningByType,
    Schedules,
    StoreSettings,
)

KEYS = ["status", "environment", "uptimeSeconds", "stores", "jobs", "running", "stuck", "overdue", "alertsFiring"]
STORE_KEYS = ["name", "profile", "up", "lastSuccessAt", "ageMs", "backfill"]
BACKFILL = Backfill(ratio=0.25, complete=False, executions=1234, reached=1769614200.0, problem="a://u:secret@h")


def queues(*, overdue: int = 0) -> Queues:
    late = (OverdueJob(job_id="1", job_name="", task_type="", due=1.0),) * overdue
    return Queues(queues={}, by_status={("QUEUED", "ONE_TIME"): 4}, overdue=late, overdue_count=overdue)


def running(number: int, stuck: int = 0) -> Running:
    kind = RunningByType(running=number, stuck=stuck, orphaned=None, oldest_start=None)
    return Running(by_task_type={"mail": kind}, by_worker={}, oldest=())


def recurring(overdue_since: float | None) -> Schedules:
    job = RecurringJob(
        job_id="r", name="", task_type="", status="SCHEDULED", schedule=None, time_zone=None, next_run=None,
        last_success=None, overdue_since=overdue_since,
    )  # fmt: skip
    return Schedules(jobs=(job,))


@pytest.fixture
def world() -> World:
    """Two stores, both well."""
    world = World(config=stores("main", "other"))
    for source in ("main", "other"):
        world.hub.publish(
            part("store", True, source=source, age=0),
            part("settings", StoreSettings(series_per_metric=500, profile="native"), source=source),
            part("queues", queues(), source=source, age=7),
            part("operations", None, source=source, age=0),  # not mapped: nobody was asked
            part("running", running(2), source=source, age=9),
        )
    world.hub.publish(part("jobs", JobCounts(by_status={("FAILED", "ONE_TIME"): 3})), part("backfill", BACKFILL))
    return world


async def ask(world: World, query: str = "", status: int = 200) -> Any:
    async with serving(world) as (_, client), client.get(f"/api/scheduler-monitoring/status{query}") as answer:
        assert answer.status == status
        return await answer.json()


async def test_the_whole_answer(world: World) -> None:
    async with serving(world) as (_, client), client.get("/api/scheduler-monitoring/status") as answer:
        body = await answer.json()
        assert answer.headers["X-Snapshot-Timestamp"].endswith("Z")
    assert list(body) == KEYS
    assert (body["status"], body["environment"]) == ("healthy", "production")
    assert 3600 <= body["uptimeSeconds"] < 3700
    assert list(body["jobs"]) == ["PENDING", "SCHEDULED", "QUEUED", "RUNNING", "COMPLETED", "FAILED", "CANCELLED"]
    assert (body["jobs"]["QUEUED"], body["jobs"]["FAILED"]) == (8, 3)
    assert (body["running"], body["stuck"], body["overdue"], body["alertsFiring"]) == (4, 0, 0, None)
    first, second = body["stores"]
    assert list(first) == list(second) == STORE_KEYS
    assert (first["name"], first["profile"], first["up"]) == ("main", "native", True)
    assert 5000 <= first["ageMs"] < 10_000
    assert second["backfill"] is None
    assert first["backfill"] == {
        "ratio": 0.25, "complete": False, "executions": 1234, "reached": "2026-01-28T15:30:00.000Z",
        "problem": "a://u:<secret>@h",
    }  # fmt: skip


async def test_one_store(world: World) -> None:
    body = await ask(world, "?store=other")
    assert [store["name"] for store in body["stores"]] == ["other"]
    assert body["jobs"]["QUEUED"] == 4
    assert await ask(world, "?store=none", 404) == {"error": "store: expected one of main, other"}


async def test_a_store_that_is_down_degrades_and_all_down_is_unhealthy(world: World) -> None:
    world.hub.publish(part("store", False, error="down"))
    body = await ask(world)
    assert (body["status"], body["stores"][0]["up"]) == ("degraded", False)
    world.hub.publish(part("store", True, source="other", age=301))
    assert (await ask(world))["status"] == "unhealthy"


@pytest.mark.parametrize(
    ("collector", "value", "error", "numbers"),
    [
        ("running", running(2, stuck=1), None, (1, 0)),
        ("queues", queues(overdue=1), None, (0, 1)),
        ("schedules", recurring(5.0), None, (0, 1)),
        ("schedules", recurring(None), "too slow", (0, 0)),
    ],
)
async def test_trouble_degrades(
    world: World, collector: str, value: object, error: str | None, numbers: tuple[int, int]
) -> None:
    world.hub.publish(part(collector, value, error=error))
    body = await ask(world)
    assert body["status"] == "degraded"
    assert (body["stuck"], body["overdue"]) == numbers


async def test_before_anything_was_asked() -> None:
    body = await ask(World(config=stores("main")))
    assert body["status"] == "degraded"
    assert body["stores"] == [
        {"name": "main", "profile": None, "up": None, "lastSuccessAt": None, "ageMs": None, "backfill": None}
    ]
    assert {*body["jobs"].values(), body["running"], body["stuck"], body["overdue"]} == {None}


async def test_without_a_store_nothing_is_wrong() -> None:
    body = await ask(World(config=stores()))
    assert (body["status"], body["stores"]) == ("healthy", [])


async def test_the_documented_example_has_its_shape(world: World) -> None:
    text = (Path(__file__).parents[2] / "docs" / "api.md").read_text()
    example = json.loads(text.split("```json\n")[-1].partition("```")[0])
    world.hub.publish(part("backfill", replace(BACKFILL, problem=None)), part("schedules", recurring(5.0)))
    body = await ask(world, "?store=main")
    assert shape(body) == shape(example)


def shape(value: Any) -> Any:
    """Keys in their order, and the types of what is not null."""
    if isinstance(value, dict):
        return [(key, shape(inner)) for key, inner in value.items() if key != "jobs"] + [list(value.get("jobs", ()))]
    return [shape(inner) for inner in value] if isinstance(value, list) else type(value)


@pytest.mark.parametrize(
    ("told", "firing"),
    [
        ({}, 3),
        ({"error": "Alertmanager is away"}, None),
        ({"age": 301}, None),
    ],
)
async def test_alerts_that_fire_are_told_while_somebody_knows(
    world: World, told: dict[str, Any], firing: int | None
) -> None:
    world.hub.publish(part("alerts", ActiveAlerts((), 3, 0), source="alertmanager", **told))
    assert (await ask(world))["alertsFiring"] == firing
