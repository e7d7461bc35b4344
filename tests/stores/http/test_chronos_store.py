"""CHRONOS: its documentation's own examples, turned into parts, metrics and answers."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from support import monitoring_apis
from support.monitoring_apis import POLLED

from exporter.config.model import Config
from exporter.errors import NotTold
from exporter.ledger.ledger import Ledger
from exporter.stores.http.history import History
from exporter.stores.pages import Wanted
from exporter.stores.reads import LogFilter


async def test_every_endpoint_that_can_be_polled_is(polled: Any) -> None:
    async with monitoring_apis.chronos().served() as api:
        store = polled("chronos", api)
        await store.poll()
        assert store.errors() == {}
        assert {path.partition("?")[0] for path in api.asked} == POLLED["chronos"]
        periods = {path.partition("period=")[2] for path in api.asked if "period=" in path}
        assert periods == {"1h", "6h", "24h", "7d", "30d"}
        assert set(store.results()) == {(path, "ok") for path in POLLED["chronos"]}


async def test_the_examples_as_metrics(polled: Any) -> None:
    async with monitoring_apis.chronos().served() as api:
        store = polled("chronos", api)
        await store.poll()
        metrics = store.metrics()
    jobs = {"PENDING": 5, "SCHEDULED": 45, "QUEUED": 2, "RUNNING": 3, "COMPLETED": 85, "FAILED": 10, "CANCELLED": 0}
    assert metrics.by("status", "scheduling_jobs") == jobs
    assert metrics.by("type", "scheduling_jobs") == {"": 150}
    assert metrics.value("scheduling_executions_running", task_type="") == 3
    assert metrics.value("scheduling_worker_running", worker="worker_host1_12345_abc") == 2
    assert metrics.value("scheduling_worker_last_seen_timestamp_seconds") == 1769614140
    assert metrics.value("scheduling_last_execution_timestamp_seconds") == 1769612402.5
    assert metrics.value("scheduling_store_up") == 1
    healthy = {"": 1, "database": 1, "scheduler": 1, "system": 1, "process": 1}
    assert metrics.by("component", "scheduling_store_healthy") == healthy
    day = {"period": "24h", "task_type": ""}
    assert metrics.value("scheduling_period_executions", **day) == 230
    assert metrics.value("scheduling_period_failures", **day) == 30
    assert metrics.value("scheduling_period_retries", **day) == 15
    assert metrics.value("scheduling_period_duration_mean_seconds", **day) == 1.25
    assert metrics.value("scheduling_period_duration_max_seconds", **day) == 15
    of_type = {"period": "24h", "task_type": "sendEmail"}
    assert metrics.value("scheduling_period_executions", **of_type) == 100
    assert metrics.value("scheduling_period_failures", **of_type) == 5
    assert metrics.value("scheduling_period_executions", period="5m", task_type="") == 8
    assert metrics.value("scheduling_period_failures", period="5m", task_type="") == 1


async def test_gauges_only_and_nothing_that_is_not_told(polled: Any) -> None:
    async with monitoring_apis.chronos().served() as api:
        store = polled("chronos", api)
        await store.poll()
        metrics = store.metrics()
    ours = {name: kind for name, kind in metrics.types.items() if not name.startswith("scheduling_exporter_")}
    assert set(ours.values()) == {"gauge"}
    # The example lists one of three workers: who is lost nobody can tell, and nobody is said to be paused.
    assert metrics.by("state", "scheduling_workers") == {"active": 2}
    for absent in (
        "scheduling_executions_total", "scheduling_executions_stuck", "scheduling_executions_orphaned",
        "scheduling_queue_jobs", "scheduling_jobs_overdue", "scheduling_operations",
        "scheduling_job_consecutive_failures", "scheduling_exporter_counting_exact",
    ):  # fmt: skip
        assert not metrics.series(absent), absent
    assert not metrics.series("scheduling_period_retries", task_type="sendEmail")
    assert not metrics.series("scheduling_period_retries", period="5m")


async def test_nulls_are_unknown(polled: Any) -> None:
    api = monitoring_apis.chronos()
    nothing = {"total": None, "success": None, "failed": None}
    api.answers["/api/system/stats"] = {
        "success": True, "data": {"jobs": {"byStatus": {"RUNNING": None, "FAILED": 2}}, "executions": nothing}
    }  # fmt: skip
    executions = {"last5min": None, "failedLast5min": None}
    api.answers["/api/system/stats/live"] = {"running": None, "scheduled": None, "executions": executions}
    api.answers["/api/system/workers"] = {"data": {"workers": [{"workerId": 7}]}}
    async with api.served():
        store = polled("chronos", api)
        await store.poll()
        metrics = store.metrics()
    assert store.errors() == {}
    assert metrics.by("status", "scheduling_jobs") == {"FAILED": 2}
    assert not metrics.series("scheduling_executions_running")
    assert not metrics.series("scheduling_worker_running")
    assert not [name for name in metrics.types if name.startswith("scheduling_period_")]
    assert metrics.by("state", "scheduling_workers") == {"active": 1, "lost": 0}


async def test_a_worker_is_lost_by_the_schedulers_clock(polled: Any) -> None:
    api = monitoring_apis.chronos()
    ago = {"late": "2026-01-28T15:20:00.000Z", "here": "2026-01-28T15:29:30.000Z"}
    rows = [{"workerId": name, "lastSeen": seen} for name, seen in ago.items()]
    api.answers["/api/system/workers"] = {"data": {"workers": rows, "totalWorkers": 2}}
    async with api.served():
        store = polled("chronos", api)
        await store.poll()
        assert store.metrics().by("state", "scheduling_workers") == {"active": 1, "lost": 1}


async def test_an_unhealthy_scheduler_says_so_with_503(polled: Any) -> None:
    api = monitoring_apis.chronos()

    async def unhealthy(request: Any, body: bytes) -> Any:
        response = await _plain(request, body.replace(b'"status": "healthy"', b'"status": "unhealthy"', 2))
        response.set_status(503)
        return response

    api.trouble["/api/system/health"] = unhealthy
    async with api.served():
        store = polled("chronos", api)
        await store.poll()
        healthy = store.metrics().by("component", "scheduling_store_healthy")
    assert store.errors() == {}
    assert healthy == {"": 0, "database": 0, "scheduler": 1, "system": 1, "process": 1}


async def _plain(request: Any, body: bytes) -> Any:
    from aiohttp import web  # noqa: PLC0415

    return web.Response(body=body, content_type="application/json")


async def test_one_job_is_asked_for_then_and_there(polled: Any) -> None:
    async with monitoring_apis.chronos().served() as api:
        reads = polled("chronos", api).store.reads
        job, page = await reads.log("job_abc123", LogFilter(status="FAILED", since=0.5), 20, 0)
        assert api.asked == [
            "/api/jobs/job_abc123/logs?status=FAILED&fromDate=1970-01-01T00:00:00.500Z&limit=20&offset=0"
        ]
        assert (job.id, job.name, job.task_type, job.status) == (
            "job_abc123", "Send Welcome Email", "sendEmail", "COMPLETED",
        )  # fmt: skip
        assert (page.total, page.more, page.capped) == (5, False, False)
        first, second = page.executions
        assert (first.id, first.status, first.completed_at) == ("log_xyz789", "SUCCESS", 1769612401.234)
        assert first.result == '{"sent":true,"recipient":"user@example.com"}'
        assert (second.error_message, second.error_code) == ("SMTP connection timeout", "TIMEOUT")
        assert second.completed_at == pytest.approx(second.started_at + 0.856)
        job, newest, totals = await reads.totals("job_abc123")
        assert (job.status, newest) == ("SCHEDULED", None)
        assert (totals.counts[:3], totals.retries, totals.cancelled) == ((8, 1, 1), 2, False)
        assert (totals.mean, totals.max, totals.min) == (1.1, 2.5, 0.8)


@pytest.mark.parametrize("job_id", ["nobody", "..", ".", "a/b", "a?b=c", "é"])
async def test_a_job_that_there_is_not(polled: Any, job_id: str) -> None:
    async with monitoring_apis.chronos().served() as api:
        reads = polled("chronos", api).store.reads
        assert await reads.log(job_id, LogFilter(), 20, 0) == (None, None)
        assert await reads.totals(job_id) == (None, None, None)
        assert all(path.startswith("/api/jobs/") for path in api.asked)


async def test_the_newest_executions_are_those_of_the_last_poll(polled: Any) -> None:
    async with monitoring_apis.chronos().served() as api:
        store = polled("chronos", api)
        await store.poll("recent")
        pages = await store.store.reads.pages()
        found = [e async for page in pages.executions(Wanted(since=0, text="DAILY")) for e in page]
        assert [e.job_name for e in found] == ["Daily Report"]
        assert [e async for page in pages.executions(Wanted(since=0, status="FAILED")) for e in page] == []
        with pytest.raises(NotTold, match="does not list jobs"):
            pages.jobs()


async def test_the_newest_failures_are_grouped_by_their_messages(polled: Any) -> None:
    now = time.time()

    def failed(number: int, ago: float, error: Any, status: str = "FAILED") -> dict[str, Any]:
        at = datetime.fromtimestamp(now - ago, UTC).isoformat().replace("+00:00", "Z")
        entry = {"id": f"log_{number}", "jobId": f"job_{number}", "taskType": f"type{number % 2}", "status": status}
        return entry | {"duration": 0, "executedAt": at, "error": error}

    logs = [
        failed(1, 60, {"message": "host 10.0.0.1 timed out after 30 s", "code": "ETIME"}),
        failed(2, 7200, {"message": "host 10.0.0.2 timed out after 31 s", "code": "ETIME"}, "TIMEOUT"),
        failed(3, 90, "disk full"),
        failed(4, 86_400 * 3, "disk full"),
        failed(7, 86_400 * 20, "push with ghp_16C7e42F292c6912E7710c838347Ae178B4a refused 3 times"),
        failed(5, 30, None),
        failed(6, 30, "is no failure", "SUCCESS"),
    ]
    async with monitoring_apis.chronos().served() as api:
        api.answers["/api/logs/recent"] = {"success": True, "data": {"logs": logs, "count": len(logs)}}
        store = polled("chronos", api)
        history = History(cast(Ledger, None), store.hub, lambda: Config(stores=(store.config,)))
        assert await history.errors("main", 86_400) == []
        await store.poll("recent")
        away, full = await history.errors("main", 86_400)
        assert (away.message, away.code, away.count, away.job_id) == (
            "host <n> timed out after <n> s",
            "ETIME",
            2,
            "job_1",
        )
        assert (away.task_types, away.last_seen - away.first_seen) == (("type1", "type0"), pytest.approx(7140, abs=1))
        assert (full.message, full.count, full.execution_id) == ("disk full", 1, "log_3")
        assert sorted(sum(group.trend.values()) for group in (away, full)) == [1, 2]
        assert [group.count for group in await history.errors("main", 86_400 * 7)] == [2, 2]
        [token] = [group for group in await history.errors("main", 86_400 * 30) if group.job_id == "job_7"]
        assert token.message == "push with <secret> refused <n> times"
