"""What a scraper may ask for: gzip, OpenMetrics, HEAD, a choice of names. All give the same truth."""

from __future__ import annotations

import gzip

import pytest
from support.exposition import Key, Metrics
from support.polling import until
from support.scheduler import NativeStore
from support.sidecar import NAME, Sidecar, StartSidecar, one_store

OPENMETRICS = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"
#: Change from one request to the next, or count the requests themselves.
_MOVES = ("process_", "scheduling_api_", "scheduling_exporter_", "scheduling_system_", "scheduling_db_query_")


@pytest.fixture
def sidecar(native: NativeStore, start_sidecar: StartSidecar) -> Sidecar:
    """A sidecar that counted something and asks its store seldom from now on."""
    sidecar = start_sidecar(one_store(native.dsn))
    sidecar.settled(since=0)
    native.finish(3)
    sidecar.settled(since=native.finish(1, status="FAILED", attempt=1))
    return sidecar


def steady(metrics: Metrics) -> dict[Key, float]:
    """What the page says of the store, which stood still."""
    return {key: value for key, value in metrics.items() if not key[0].startswith(_MOVES)}


def test_gzip_and_openmetrics_say_the_same(sidecar: Sidecar) -> None:
    plain = sidecar.get()
    assert plain.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert "content-encoding" not in plain.headers
    packed = sidecar.get(headers={"Accept-Encoding": "gzip"})
    assert packed.headers["content-encoding"] == "gzip"
    assert len(packed.body) < len(plain.body) / 4
    unpacked = Metrics(gzip.decompress(packed.body).decode())
    expected = Metrics(plain.text)
    assert unpacked.types == expected.types
    assert steady(unpacked) == steady(expected)

    for headers in ({"Accept": OPENMETRICS}, {"Accept": OPENMETRICS, "Accept-Encoding": "gzip"}):
        answer = sidecar.get(headers=headers)
        assert answer.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
        body = gzip.decompress(answer.body) if "Accept-Encoding" in headers else answer.body
        assert body.endswith(b"# EOF\n")
        page = Metrics(body.decode(), openmetrics=True)
        assert steady(page) == steady(expected)
        assert page.types["scheduling_executions"] == "counter"
        assert not any(name.endswith("_created") for name in page.names())


def test_a_choice_of_names(sidecar: Sidecar) -> None:
    found = Metrics(sidecar.get("/metrics?name[]=scheduling_store_up&name[]=scheduling_executions_total").text)
    assert found.names() == {"scheduling_store_up", "scheduling_executions_total"}
    assert found.value("scheduling_store_up", store=NAME) == 1
    assert Metrics(sidecar.get("/metrics?name[]=no_such_metric").text) == {}


def test_head_shows_nothing_and_so_releases_no_new_series(native: NativeStore, sidecar: Sidecar) -> None:
    done = native.finish(2, task_type="unseen")
    cursor = "scheduling_exporter_cursor_timestamp_seconds"
    until(lambda: Metrics(sidecar.get(f"/metrics?name[]={cursor}").text).value(cursor) > done, 60)
    for _ in range(3):
        head = sidecar.get(method="HEAD")
        assert (head.status, head.body) == (200, b"")
    first = sidecar.metrics().by("status", "scheduling_executions_total", task_type="unseen")
    assert first["success"] == 0, "the first page that is read shows the series as 0"
    until(lambda: sidecar.metrics().value("scheduling_executions_total", task_type="unseen", status="success") == 2, 30)


def test_the_other_paths(sidecar: Sidecar) -> None:
    for path in ("/health", "/health/ready", "/health/live", "/-/healthy", "/-/ready", "/config", "/"):
        assert sidecar.get(path).status == 200, path
    assert 'href="/metrics"' in sidecar.get("/", headers={"Accept": "text/html"}).text
    assert sidecar.get("/nothing/here").status == 404
    assert sidecar.get("/metrics", method="POST").status == 405
    assert sidecar.get("/-/reload", method="POST").status == 403, "not enabled"
