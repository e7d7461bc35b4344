"""The sidecar with schedulers that it asks over HTTP: their documentation's examples come out as they went in."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from support import monitoring_apis
from support.monitoring_apis import MonitoringApi, example
from support.polling import until
from support.postgres import Database
from support.scheduler import NativeStore
from support.sidecar import NAME, PATIENT, Sidecar, StartSidecar
from support.sidecar import store as store_section

SECONDS = 90
TOKEN = "tok-3f9a7c51e2"
#: What is read of a store: it is up once any of it was.
READ = {
    "chronos": {
        "health", "running", "live", "workers", "worker_stats", "recent", "jobs", "stats_1h", "stats_6h", "stats_24h",
        "stats_7d", "stats_30d",
    },
    "nativelink": {"health", "workers", "operations", "running", "queues", "listed"},
    "main": {"executions", "running", "queues", "workers", "schedules", "operations", "jobs"},
}  # fmt: skip


@pytest.fixture
def chronos() -> Iterator[MonitoringApi]:
    with monitoring_apis.chronos(token=TOKEN).running() as api:
        yield api


@pytest.fixture
def nativelink() -> Iterator[MonitoringApi]:
    with monitoring_apis.nativelink(token=TOKEN).running() as api:
        yield api


def section(name: str, api: MonitoringApi, **options: Any) -> dict[str, Any]:
    return {
        "name": name, "kind": name, "url": api.url, "token": TOKEN, "interval": "500ms", "timeout": PATIENT, **options
    }  # fmt: skip


def up(sidecar: Sidecar, store: str) -> bool:
    return sidecar.metrics().value("scheduling_store_up", store=store) == 1


def read(sidecar: Sidecar, store: str) -> bool:
    """Whether all of the store has been read."""
    success = sidecar.metrics().by("collector", "scheduling_exporter_collector_success", source=store)
    return all(success.get(collector) == 1 for collector in READ[store])


def answered(sidecar: Sidecar, path: str) -> Any:
    answer = sidecar.get(path)
    assert answer.status == 200, answer.text
    return answer.json


def told(name: str) -> Any:
    return json.loads(example(name))


def test_the_examples_come_out_as_they_went_in(
    start_sidecar: StartSidecar, chronos: MonitoringApi, nativelink: MonitoringApi
) -> None:
    stores = [section("chronos", chronos), section("nativelink", nativelink)]
    sidecar = start_sidecar({"environment": "test", "stores": stores})
    for store in ("chronos", "nativelink"):
        until(lambda store=store: up(sidecar, store) and read(sidecar, store), SECONDS, f"{store} is read")
    until(lambda: sidecar.get("/api/system/stats?period=30d").status == 200, SECONDS, "all periods are known")

    stats = answered(sidecar, "/api/system/stats")
    expected = told("000-02")
    expected["data"]["coverage"] = {"since": None, "complete": False}
    expected["data"]["jobs"]["byStatus"]["CANCELLED"] = 0
    expected["data"]["executions"]["cancelled"] = None
    assert stats == expected

    live = answered(sidecar, "/api/system/stats/live")
    assert {**live, "timestamp": None} == {**told("000-03"), "timestamp": None}
    assert answered(sidecar, "/api/system/workers") == told("000-04")
    log = answered(sidecar, "/api/jobs/job_abc123/logs")["data"]
    assert log["job"] == told("000-05")["data"]["job"]
    first = told("000-05")["data"]["logs"][0]
    # A recipient is personal data, and is masked as in every result.
    assert {**log["logs"][0], "result": None} == {**first, "result": None}
    assert log["logs"][0]["result"]["sent"] is True
    assert [entry["error"] for entry in log["logs"]] == [None, told("000-05")["data"]["logs"][1]["error"]]
    summary = answered(sidecar, "/api/jobs/job_abc123/logs/summary")["data"]
    assert summary["job"] == told("000-06")["data"]["job"]
    assert summary["summary"] == {**told("000-06")["data"]["summary"], "cancelledCount": None, "capped": False}
    recent = answered(sidecar, "/api/logs/recent")["data"]
    (entry,) = told("000-07")["data"]["logs"]
    assert recent == {"logs": [{**entry, "completedAt": "2026-01-28T15:00:02.500Z"}], "count": 1}

    def of_nativelink(path: str) -> Any:
        return answered(sidecar, f"{path}?store=nativelink")

    assert of_nativelink("/api/v1/workers") == told("004-01")
    assert of_nativelink("/api/v1/workers/worker-123") == told("004-02")
    assert of_nativelink("/api/v1/operations") == told("004-03")
    assert of_nativelink("/api/v1/operations/op-456") == told("004-04")
    for path, name in (("status", "004-05"), ("metrics", "004-06")):
        found = of_nativelink(f"/api/v1/scheduler/{path}")
        assert found["uptime_seconds"] == pytest.approx(3600, abs=60)
        assert {**found, "uptime_seconds": 3600} == told(name)
    assert of_nativelink("/api/v1/system/health")["status"] == "healthy"
    assert sidecar.get("/api/v1/operations/nobody?store=nativelink").status == 404


@pytest.mark.parametrize("store", ["chronos", "nativelink"])
def test_every_family_answers(
    start_sidecar: StartSidecar, chronos: MonitoringApi, nativelink: MonitoringApi, store: str
) -> None:
    """Whatever is asked of such a store: an answer as documented, never a 500."""
    stores = [section("chronos", chronos), section("nativelink", nativelink)]
    sidecar = start_sidecar({"environment": "test", "actions": {"enabled": True}, "stores": stores})
    until(lambda: up(sidecar, store) and read(sidecar, store), SECONDS, f"{store} is read")
    until(lambda: sidecar.get("/api/system/stats?store=" + store).status != 503, SECONDS, "statistics")
    statuses = {}
    for path in (
        "/api/system/health", "/api/system/stats", "/api/system/stats/live", "/api/system/workers", "/api/jobs/1",
        "/api/jobs/1/logs", "/api/jobs/1/logs/summary", "/api/logs/recent", "/monitoring/tasks/executions",
        "/monitoring/tasks/1/executions", "/monitoring/tasks/running", "/api/v1/workers", "/api/v1/workers/w",
        "/api/v1/operations", "/api/v1/operations/o", "/api/v1/scheduler/status", "/api/v1/scheduler/metrics",
        "/api/v1/system/health", "/api/scheduler-monitoring/status", "/api/scheduler-monitoring/metrics",
        "/api/scheduler-monitoring/jobs", "/api/scheduler-monitoring/errors", "/api/scheduler-monitoring/health",
        "/api/scheduler-monitoring/dashboard", "/api/scheduler-monitoring/export?type=executions&",
        "/api/scheduler-monitoring/export?type=jobs&", "/api/scheduler-monitoring/export?type=metrics&", "/",
    ):  # fmt: skip
        answer = sidecar.get(f"{path}{'' if path.endswith('&') else '?'}store={store}")
        statuses[path] = answer.status
    missing = {"/api/jobs/1", "/api/jobs/1/logs", "/api/jobs/1/logs/summary", "/monitoring/tasks/1/executions",
               "/api/v1/workers/w", "/api/v1/operations/o", "/api/scheduler-monitoring/export?type=jobs&"}  # fmt: skip
    if store == "nativelink":
        missing.add("/api/scheduler-monitoring/export?type=executions&")
    assert statuses == {path: 404 if path in missing else 200 for path in statuses}
    assert not [event for event in sidecar.events() if event.get("level") == "ERROR"]


def test_a_misbehaving_scheduler_disturbs_nothing_else(
    start_sidecar: StartSidecar, native: NativeStore, chronos: MonitoringApi, nativelink: MonitoringApi
) -> None:
    other = store_section(native.dsn, name="other")
    options = {"staleness": "6s", "timeout": "6s"}
    stores = [section("chronos", chronos, **options), section("nativelink", nativelink, **options), other]
    sidecar = start_sidecar({"environment": "test", "stores": stores})
    for store in ("chronos", "nativelink", "other"):
        until(lambda store=store: up(sidecar, store), SECONDS, f"{store} is up")
    before = sidecar.metrics()
    since = time.time()
    chronos.trouble[""] = chronos.status_500
    nativelink.trouble[""] = nativelink.endless
    until(lambda: not up(sidecar, "chronos") and not up(sidecar, "nativelink"), SECONDS, "both are down")
    until(lambda: not sidecar.metrics().series("scheduling_jobs", store="chronos"), SECONDS, "gauges are withdrawn")
    until(lambda: not sidecar.metrics().series("scheduling_workers", store="nativelink"), SECONDS, "and those")
    assert sidecar.settled(since, "other").value("scheduling_store_up", store="other") == 1
    metrics = sidecar.metrics()
    last = "scheduling_exporter_collector_last_success_timestamp_seconds"
    for store, result, collector in (("chronos", "status", "jobs"), ("nativelink", "too_large", "operations")):
        assert metrics.value("scheduling_exporter_collector_success", source=store, collector=collector) == 0
        assert before.value(last, source=store, collector=collector) <= metrics.value(
            last, source=store, collector=collector
        )
        assert sum(metrics.series("scheduling_store_requests_total", store=store, result=result).values()) >= 1
    assert metrics.value("process_resident_memory_bytes") - before.value("process_resident_memory_bytes") < 40e6
    status = {s["name"]: s for s in answered(sidecar, "/api/scheduler-monitoring/status")["stores"]}
    assert [status[name]["up"] for name in ("chronos", "nativelink", "other")] == [False, False, True]
    assert status["chronos"]["ageMs"] > 1000 and status["chronos"]["profile"] == "chronos"
    health = {c["name"]: c for c in answered(sidecar, "/api/scheduler-monitoring/health")["components"]}
    assert health["store:chronos"]["status"] == "unhealthy"
    assert "jobs" in health["store:chronos"]["detail"]
    assert health["store:other"]["status"] == "healthy"

    chronos.trouble.clear()
    nativelink.trouble.clear()
    for store, name in (("chronos", "scheduling_jobs"), ("nativelink", "scheduling_workers")):
        until(lambda store=store: up(sidecar, store), SECONDS, f"{store} is up again")
        until(lambda s=store, n=name: sidecar.metrics().series(n, store=s), SECONDS, "gauges are back")
    assert TOKEN not in sidecar.log
    # Said once when it began and once when it ended.
    fails = [e for e in sidecar.events("collector fails") if e["source"] == "chronos" and e["collector"] == "jobs"]
    assert len(fails) == 1
    assert "HTTP status 500" in fails[0]["error"]


def test_one_sidecar_reads_another(start_sidecar: StartSidecar, native: NativeStore) -> None:
    """Both APIs are served here, too: what one sidecar says of its store, another one takes for a scheduler's word."""
    native.finish(3)
    native.finish(2, status="FAILED", task_type="backup")
    first = start_sidecar({"environment": "test", "stores": [store_section(native.dsn)]})
    until(lambda: first.get("/api/system/stats?period=30d").status == 200, SECONDS, "statistics")
    until(lambda: read(first, NAME), SECONDS, "all that the other one will ask for is known")
    url = f"http://127.0.0.1:{first.port}"
    stores = [
        {"name": kind, "kind": kind, "url": url, "interval": "500ms", "timeout": PATIENT}
        for kind in ("chronos", "nativelink")
    ]
    second = start_sidecar({"environment": "test", "stores": stores})
    for kind in ("chronos", "nativelink"):
        until(lambda kind=kind: up(second, kind), SECONDS, f"{kind} is up")
    until(lambda: second.get("/api/system/stats?period=30d").status == 200, SECONDS, "all periods")
    until(lambda: second.metrics().series("scheduling_executions_running", store="nativelink"), SECONDS, "running")
    assert {e["collector"]: e["error"] for e in second.events("collector fails")} == {}

    def ended() -> float:
        return second.metrics().value("scheduling_period_executions", store="chronos", period="24h", task_type="")

    assert answered(first, "/api/system/stats")["data"]["executions"]["total"] == 5
    until(lambda: ended() == 5, SECONDS, "the other one says so, too")


def test_a_token_from_a_file_rotates_without_a_reload(make_sidecar: StartSidecar, chronos: MonitoringApi) -> None:
    sidecar = make_sidecar({"stores": []})
    token = sidecar.directory / "token"
    token.write_text(TOKEN)
    options = {"token": f"${{file:{token}}}"}
    sidecar.configure({"environment": "test", "stores": [section("chronos", chronos, **options)]})
    sidecar.start()
    until(lambda: up(sidecar, "chronos"), SECONDS, "up")
    chronos.token = "another-tok-77d1"
    until(lambda: not up(sidecar, "chronos"), SECONDS, "refused")
    token.write_text("another-tok-77d1")
    until(lambda: up(sidecar, "chronos"), SECONDS, "up again")
    assert "another-tok-77d1" not in sidecar.log and TOKEN not in sidecar.log


def test_it_starts_with_nobody_there_and_a_reload_changes_the_kind(
    make_sidecar: StartSidecar, native: NativeStore, chronos: MonitoringApi, database: Database
) -> None:
    sidecar = make_sidecar({"stores": []})
    whole = {"environment": "test", "web": {"enable_lifecycle": True}}

    def configure(store: dict[str, Any]) -> None:
        sidecar.configure({**whole, "stores": [store]})

    configure({**section("chronos", chronos), "url": "http://127.0.0.1:9", "name": "main"})
    sidecar.start()
    until(lambda: sidecar.metrics().series("scheduling_store_requests_total", result="refused"), SECONDS, "asked")
    assert not up(sidecar, "main")
    assert sidecar.get("/health/ready").status == 200
    configure({**section("chronos", chronos), "name": "main"})
    assert sidecar.reload().status == 200
    until(lambda: sidecar.metrics().series("scheduling_period_executions"), SECONDS, "the new address answers")
    configure(store_section(native.dsn))
    assert sidecar.reload().status == 200
    until(lambda: sidecar.metrics().series("scheduling_exporter_counting_exact"), SECONDS, "PostgreSQL answers")
    assert not sidecar.metrics().series("scheduling_period_executions")
    configure({**section("chronos", chronos), "name": "main"})
    assert sidecar.reload().status == 200
    until(lambda: sidecar.metrics().series("scheduling_period_executions"), SECONDS, "and back")
    assert not sidecar.metrics().series("scheduling_executions_total")
    assert yaml.safe_load(sidecar.get("/config").text)["stores"][0]["token"] == "<secret>"
