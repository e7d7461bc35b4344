"""NativeLink: its documentation's own examples, turned into parts, metrics and answers."""

from __future__ import annotations

from typing import Any

import pytest
from support import monitoring_apis
from support.monitoring_apis import POLLED

from exporter.errors import NotTold
from exporter.stores.http.nativelink import LISTED, stage_of


async def test_every_endpoint_that_can_be_polled_is(polled: Any) -> None:
    async with monitoring_apis.nativelink().served() as api:
        store = polled("nativelink", api)
        await store.poll()
        assert store.errors() == {}
        assert {path.partition("?")[0] for path in api.asked} == POLLED["nativelink"]
        assert set(store.results()) == {(path, "ok") for path in POLLED["nativelink"]}


async def test_the_examples_as_metrics(polled: Any) -> None:
    async with monitoring_apis.nativelink().served() as api:
        store = polled("nativelink", api)
        await store.poll()
        metrics = store.metrics()
    # The scheduler's own numbers count; its example lists one worker and one operation of them.
    assert metrics.by("state", "scheduling_workers") == {"active": 4, "paused": 1, "draining": 0}
    stages = {"queued": 10, "executing": 12, "completed": 3, "cache_check": 0}
    assert metrics.by("stage", "scheduling_operations") == stages
    assert metrics.value("scheduling_executions_running", task_type="") == 12
    assert metrics.value("scheduling_executions_orphaned", task_type="") == 0
    assert metrics.value("scheduling_worker_running", worker="worker-123") == 2
    assert metrics.value("scheduling_worker_last_seen_timestamp_seconds", worker="worker-123") == 1640995200
    assert metrics.by("state", "scheduling_queue_jobs") == {"ready": 10, "scheduled": 0, "running": 12}
    assert metrics.by("status", "scheduling_jobs") == {"PENDING": 0, "SCHEDULED": 0, "QUEUED": 10, "RUNNING": 12}
    assert metrics.value("scheduling_store_healthy", component="") == 1
    assert metrics.value("scheduling_store_up") == 1
    for absent in (
        "scheduling_executions_total", "scheduling_executions_stuck", "scheduling_jobs_overdue",
        "scheduling_execution_oldest_running_timestamp_seconds", "scheduling_queue_oldest_ready_timestamp_seconds",
        "scheduling_last_execution_timestamp_seconds", "scheduling_period_executions",
    ):  # fmt: skip
        assert not metrics.series(absent), absent


def operation(number: int, stage: str, **more: Any) -> dict[str, Any]:
    return {"operation_id": f"op-{number}", "stage": stage, "insert_timestamp": 1640995200 + number, **more}


def numbers(queued: int, executing: int, completed: int = 0, total: int | None = None) -> dict[str, Any]:
    total = queued + executing + completed if total is None else total
    counts = {"total": total, "queued": queued, "executing": executing, "completed": completed}
    return {"workers": {}, "operations": counts, "uptime_seconds": 1}


async def test_what_waits_and_whose_worker_is_gone(polled: Any) -> None:
    api = monitoring_apis.nativelink()
    api.answers["/api/v1/scheduler/metrics"] = numbers(2, 2, total=5)
    api.answers["/api/v1/operations"] = [
        operation(5, "Queued"), operation(3, "queued"), operation(9, "CacheCheck"),
        operation(1, "Executing", worker_id="worker-123"), operation(2, "Executing", worker_id="gone"),
    ]  # fmt: skip
    async with api.served():
        store = polled("nativelink", api)
        await store.poll("health", "workers")
        await store.poll("operations")
        metrics = store.metrics()
        found = await store.store.reads.operations(10, stage="queued")
        assert [o.operation_id for o in found] == ["op-5", "op-3"]
        assert [o.operation_id for o in await store.store.reads.operations(10, worker_id="gone")] == ["op-2"]
    assert metrics.value("scheduling_queue_oldest_ready_timestamp_seconds") == 1640995203
    assert metrics.value("scheduling_executions_orphaned") == 1
    assert metrics.value("scheduling_operations", stage="cache_check") == 1
    assert metrics.value("scheduling_queue_jobs", state="ready") == 3
    assert len([path for path in api.asked if path.startswith("/api/v1/operations")]) == 1  # the rest is remembered


async def test_more_operations_than_one_answer_lists(polled: Any) -> None:
    api = monitoring_apis.nativelink()
    api.answers["/api/v1/scheduler/metrics"] = numbers(7_000, 2, 500)
    api.answers["/api/v1/operations"] = [operation(n, "Queued") for n in range(LISTED)]
    async with api.served():
        store = polled("nativelink", api)
        await store.poll()
        assert store.errors() == {}
        metrics = store.metrics()
        asked = [path for path in api.asked if path.startswith("/api/v1/operations")]
        assert asked == [f"/api/v1/operations?{stage}limit=1000" for stage in ("", "stage=queued&", "stage=executing&")]
        # Whoever waits longest may not be among those that are listed; how many wait is told.
        assert not metrics.series("scheduling_queue_oldest_ready_timestamp_seconds")
        assert metrics.value("scheduling_queue_jobs", state="ready") == 7_000
        one = await store.store.reads.operations(1, operation_id="op-456")
        assert [o.stage for o in one] == ["executing"]
        assert await store.store.reads.operations(1, operation_id="nobody") == ()
        assert await store.store.reads.operations(1, operation_id="..") == ()


async def test_states_of_workers(polled: Any) -> None:
    api = monitoring_apis.nativelink()
    flags = [{}, {"is_paused": True}, {"is_draining": True}, {"last_update_timestamp": 1640995000}]
    api.answers["/api/v1/workers"] = [{"id": f"w{n}", **more} for n, more in enumerate(flags)]
    counts = {"total_workers": 4, "active_workers": 1, "paused_workers": 1, "draining_workers": 1}
    api.answers["/api/v1/scheduler/status"] = counts
    async with api.served():
        store = polled("nativelink", api)
        await store.poll("health", "workers")
        found = store.metrics().by("state", "scheduling_workers")
    assert found == {"active": 1, "paused": 1, "draining": 1, "lost": 1}


@pytest.mark.parametrize(("told", "stage"), [("Executing", "executing"), ("CACHE_CHECK", "cache_check"), ("X", "X")])
def test_stages(told: str, stage: str) -> None:
    assert stage_of(told) == stage


async def test_there_is_no_history(polled: Any) -> None:
    async with monitoring_apis.nativelink().served() as api:
        reads = polled("nativelink", api).store.reads
        assert await reads.job("1") is None
        with pytest.raises(NotTold):
            await reads.pages()
