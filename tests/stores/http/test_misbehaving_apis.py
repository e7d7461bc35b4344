"""APIs that are slow, broken, huge or others: each question has an age and a result, and nothing else suffers."""

from __future__ import annotations

import asyncio
import re
import resource
import ssl
import time
from pathlib import Path
from typing import Any

import pytest
import trustme
from aiohttp import web
from support import monitoring_apis
from support.monitoring_apis import HUGE, MonitoringApi
from support.ports import free_port

from exporter.config.base import Duration
from exporter.config.secrets import Secret
from exporter.credentials import CredentialsError
from exporter.stores.http.client import LARGEST_LIST

KINDS = {"chronos": monitoring_apis.chronos, "nativelink": monitoring_apis.nativelink}
#: A trouble -> what is counted, and what the collector's error says.
TROUBLES = {
    "status_500": ("status", "HTTP status 500"),
    "truncated": ("truncated", "gave no answer: it broke off"),
    "half": ("answer", "answers no JSON"),
    "wrong_types": ("answer", "not what the API should answer: Expected"),
    "wrong_json": ("answer", "not what the API should answer: "),
    "html": ("answer", "answers no JSON"),
    "nothing": ("answer", "answers nothing"),
    "deep": ("answer", "answers no JSON|not what the API should answer"),
    "huge": ("too_large", "it is too long"),
    "endless": ("too_large", "it is too long"),
    "bomb": ("answer", "compressed"),
    "redirects": ("redirect", "redirects are not followed"),
    "hangs_up": ("truncated", "it broke off"),
}


@pytest.mark.parametrize("trouble", TROUBLES)
@pytest.mark.parametrize("kind", KINDS)
async def test_every_path_misbehaves(polled: Any, kind: str, trouble: str) -> None:
    api = KINDS[kind](token="s3cret")
    result, told = TROUBLES[trouble]
    async with api.served():
        store = polled(kind, api, token=Secret("s3cret"))
        await store.poll()
        before = store.metrics()
        assert store.errors() == {}
        api.trouble[""] = getattr(api, trouble)
        await store.poll()
        after = store.metrics()
        errors = store.errors()
        asked = {c.name for c in store.collectors.values() if store.value(c.name) is not None}
        assert asked <= errors.keys()
        for error in errors.values():
            assert re.search(told, error), error
            assert "s3cret" not in error and "hunter2" not in error
        assert {r for _, r in store.results()} == {"ok", result}, "nothing was waited for until it was too late"
        for name in asked:
            success = after.value("scheduling_exporter_collector_success", collector=name)
            last = "scheduling_exporter_collector_last_success_timestamp_seconds"
            assert success == 0 and after.value(last, collector=name) == before.value(last, collector=name)
        assert after.value("scheduling_store_up") == 0
        # What was known is shown until it is too old.
        assert after.by("status", "scheduling_jobs") == before.by("status", "scheduling_jobs")
        api.trouble.clear()
        await store.poll()
        assert store.errors() == {}
        assert store.metrics().value("scheduling_store_up") == 1


@pytest.mark.parametrize("trouble", ["slow", "drip"])
@pytest.mark.parametrize("kind", KINDS)
async def test_a_slow_path_has_a_deadline_and_delays_no_other(polled: Any, kind: str, trouble: str) -> None:
    api = KINDS[kind]()
    path, name = {"chronos": ("/api/system/workers", "workers"), "nativelink": ("/api/v1/workers", "workers")}[kind]
    api.trouble[path] = getattr(api, trouble)
    async with api.served():
        for seconds in (0.5, 2, 8):  # the least that is enough for all else
            store = polled(kind, api, timeout=Duration(seconds))
            async with asyncio.timeout(50):  # what is slow takes longer
                await store.poll()
            if set(store.errors()) <= {name, "worker_stats"}:
                break
        assert set(store.errors()) <= {name, "worker_stats"}
        assert f"did not answer within {seconds:g} s" in (store.error(name) or "")
        assert store.results()[path, "timeout"] == 1
        metrics = store.metrics()
        assert metrics.value("scheduling_store_up") == 1
        assert not metrics.series("scheduling_workers")
        assert metrics.series("scheduling_executions_running")


@pytest.mark.parametrize("kind", KINDS)
async def test_nobody_listens(polled: Any, kind: str) -> None:
    store = polled(kind, f"http://127.0.0.1:{free_port()}")
    await store.poll()
    assert all("no connection to http://127.0.0.1" in error for error in store.errors().values())
    assert {result for _, result in store.results()} == {"refused"}
    metrics = store.metrics()
    assert metrics.value("scheduling_store_up") == 0
    assert not [name for name in metrics.types if not name.startswith(("scheduling_exporter_", "scheduling_store_up"))]


async def test_no_such_name(polled: Any) -> None:
    store = polled("chronos", "http://nowhere.invalid:9", timeout=Duration(2))
    await store.poll("running")
    assert {result for _, result in store.results()} <= {"dns", "timeout"}


@pytest.mark.parametrize("trouble", ["huge", "endless", "bomb"])
async def test_a_hundred_megabytes_cost_neither_memory_nor_time(polled: Any, trouble: str) -> None:
    api = monitoring_apis.nativelink()
    async with api.served():
        store = polled("nativelink", api)
        await store.poll()
        api.trouble["/api/v1/workers"] = getattr(api, trouble)
        if trouble == "bomb":  # whose making is not what is measured
            import gzip  # noqa: PLC0415

            packed = gzip.compress(b" " * HUGE, 1)
            api.trouble["/api/v1/workers"] = lambda request, body: _packed(packed)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        began = time.process_time()
        await store.poll("workers")
        seconds = time.process_time() - began
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak) * 1024
        assert store.error("workers")
        assert seconds < 5
        assert grown < 6 * LARGEST_LIST
        assert api.sent < 2 * LARGEST_LIST + 8 * 1024 * 1024  # what was on its way when it was given up


async def _packed(body: bytes) -> Any:
    from aiohttp import web  # noqa: PLC0415

    return web.Response(body=body, headers={"Content-Encoding": "gzip"})


async def test_one_broken_path_is_told_by_its_name(polled: Any) -> None:
    api = monitoring_apis.nativelink()
    api.trouble["/api/v1/scheduler/status"] = api.status_500
    async with api.served():
        store = polled("nativelink", api)
        await store.poll()
    assert store.errors() == {"workers": "/api/v1/scheduler/status: HTTP status 500"}
    assert store.metrics().value("scheduling_store_up") == 1


async def test_values_that_make_no_sense(polled: Any) -> None:
    api = monitoring_apis.chronos()
    api.answers["/api/system/stats/live"] = {
        "running": -1, "scheduled": 1, "executions": {"last5min": 1, "failedLast5min": 1}
    }  # fmt: skip
    workers = {"workerId": "w", "lastSeen": "yesterday"}
    api.answers["/api/system/workers"] = {"data": {"workers": [workers]}}
    api.answers["/api/logs/recent"] = {"data": {"logs": [{"id": "x" * 501, "status": "SUCCESS"}]}}
    async with api.served():
        store = polled("chronos", api)
        await store.poll("running", "workers", "recent")
    assert "Expected `int` >= 0 - at `$.running`" in (store.error("running") or "")
    assert "expected a time" in (store.error("workers") or "")
    assert "length <= 500" in (store.error("recent") or "")


async def test_tokens_are_asked_for_at_each_use(polled: Any) -> None:
    api: MonitoringApi = monitoring_apis.chronos(token="first")
    current = ["first"]

    async def reveal(_: Secret) -> str:
        if not current:
            raise CredentialsError("Vault is sealed")
        return current[0]

    async with api.served():
        store = polled("chronos", api, token=Secret("x"), reveal=reveal)
        await store.poll("running")
        api.token = "second"
        await store.poll("running")
        assert "HTTP status 401; look at the token" in (store.error("running") or "")
        current[0] = "second"
        await store.poll("running")
        assert store.error("running") is None
        current.clear()
        await store.poll("running")
        assert "no credentials to show: Vault is sealed" in (store.error("running") or "")
    assert {result for _, result in store.results()} == {"ok", "auth", "vault"}
    assert set(api.tokens) == {"Bearer first", "Bearer second"}


@pytest.mark.parametrize("token", ["two\nlines", "tok\r\nX-Evil: 1", "t\u00f6ken", "nul\0"])
async def test_a_token_that_no_header_may_have(polled: Any, token: str) -> None:
    async with monitoring_apis.chronos().served() as api:
        store = polled("chronos", api, token=Secret(token))
        await store.poll("running")
        assert api.asked == []
        assert "the token has a line break" in (store.error("running") or "")
        assert token not in (store.error("running") or "")
        assert not store.poller.crashes


async def test_what_is_listed_twice_is_shown_once(polled: Any) -> None:
    """A series that stands on the page twice would make Prometheus refuse all of it."""
    twice = monitoring_apis.nativelink()
    twice.answers["/api/v1/workers"] = [{"id": "w", "last_update_timestamp": 1}, {"id": "w"}, {"id": 'q"\n\\'}]
    twice.answers["/api/v1/scheduler/status"] = dict.fromkeys(
        ("total_workers", "active_workers", "paused_workers", "draining_workers")
    )
    async with twice.served() as api:
        store = polled("nativelink", api)
        await store.poll()
        assert store.errors() == {}
        assert store.metrics().by("state", "scheduling_workers")["active"] == 2
    other = monitoring_apis.chronos()
    row = {"taskType": "a", "count": 1, "successCount": 1}
    other.answers["/api/system/workers"] = {"data": {"workers": [{"workerId": 1, "activeJobs": 1}, {"workerId": "1"}]}}
    numbers = {"total": 2, "success": 2, "failed": 0}
    by_status = {"failed": 1, **{f"STATUS_{n}": n for n in range(5_000)}}
    other.answers["/api/system/stats"] = {
        "data": {"jobs": {"byStatus": by_status}, "executions": numbers, "executionsByTaskType": [row, row]}
    }
    async with other.served() as api:
        store = polled("chronos", api)
        await store.poll()
        assert store.errors() == {}
        assert store.metrics().by("status", "scheduling_jobs") == {"FAILED": 1}
        assert not store.poller.crashes


async def test_a_thousand_workers_keep_to_the_series_budget(polled: Any) -> None:
    api = monitoring_apis.nativelink()
    api.answers["/api/v1/workers"] = [
        {"id": f"w{n}", "last_update_timestamp": 1640995200, "running_operations": ["a"]} for n in range(1_000)
    ]
    async with api.served():
        store = polled("nativelink", api)
        await store.poll()
        metrics = store.metrics()
    assert len(metrics.series("scheduling_worker_last_seen_timestamp_seconds")) == 500
    assert len(metrics.series("scheduling_worker_running")) <= 500
    assert sum(metrics.series("scheduling_worker_running").values()) == 1_000


async def test_a_token_is_shown_to_nobody_else(polled: Any) -> None:
    other = monitoring_apis.chronos()
    api = monitoring_apis.chronos(token="s3cret")
    async with other.served(), api.served():

        async def away(request: Any, body: bytes) -> Any:
            from aiohttp import web  # noqa: PLC0415

            return web.Response(status=307, headers={"Location": other.url + request.path})

        api.trouble[""] = away
        store = polled("chronos", api, token=Secret("s3cret"))
        await store.poll()
        assert other.asked == []
        assert {result for _, result in store.results()} == {"redirect"}


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


async def test_tls(polled: Any, authority: trustme.CA, tmp_path: Path) -> None:
    ca_file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(ca_file))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    stranger = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(stranger)
    async with monitoring_apis.chronos().served(context) as good, monitoring_apis.chronos().served(stranger) as bad:
        for api, options, result in (
            (good, {"ca_file": str(ca_file)}, "ok"),
            (good, {}, "tls"),
            (bad, {"ca_file": str(ca_file)}, "tls"),
            (bad, {"verify": False}, "ok"),
            (good, {"ca_file": str(tmp_path / "none.pem")}, "tls"),
        ):
            store = polled("chronos", api, **options)
            await store.poll("running")
            assert store.results() == {("/api/system/stats/live", result): 1.0}, options


async def test_an_api_that_is_asked_too_often_is_left_alone(polled: Any) -> None:
    pauses = {"3600": True, "Wed, 21 Oct 2026 07:28:00 GMT": False, "9" * 5000: False}
    now: list[str] = []

    async def too_many(_request: web.Request, _body: bytes) -> web.StreamResponse:
        return web.Response(status=429, headers={"Retry-After": now[-1]})

    async with monitoring_apis.chronos().served() as api:
        api.trouble[""] = too_many
        for pause, left_alone in pauses.items():
            now.append(pause)
            store = polled("chronos", api)
            await store.poll("health")
            asked = len(api.asked)
            await store.poll("running")
            assert (len(api.asked) == asked) is left_alone
            assert "HTTP status 429" in store.error("running")
            assert ("asked again in" in store.error("running")) is left_alone


async def test_an_execution_that_is_listed_twice_is_one(polled: Any) -> None:
    async with monitoring_apis.chronos().served() as api:
        entry = {"id": "log_1", "status": "FAILED", "attempt": 0, "error": "disk full"}
        logs = [entry, entry, entry | {"attempt": 1}, *({"id": n, "status": "SUCCESS"} for n in range(500))]
        api.answers["/api/logs/recent"] = {"success": True, "data": {"logs": logs}}
        store = polled("chronos", api)
        await store.poll("recent")
        ended = store.value("recent").executions
        assert [(e.id, e.attempt) for e in ended[:2]] == [("log_1", 0), ("log_1", 1)]
        assert len(ended) == 99
