"""Traces as a collector receives them: requests, polls, checks, Vault, requests of ours; and a collector that is away.

The wire is real: OTLP over HTTP, decoded with OpenTelemetry's messages.
"""

from __future__ import annotations

import re
import statistics
import time
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from support.otlp_receiver import Collector, running_collector
from support.polling import until
from support.ports import free_port
from support.scheduler import NativeStore
from support.sidecar import Sidecar, StartSidecar, one_store, target
from support.vault_server import VaultServer, running_vault

#: Batches leave at once rather than after five seconds.
QUICK = {"OTEL_BSP_SCHEDULE_DELAY": "100"}
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
ADMIN = "an-admins-token-of-this-test"


@pytest.fixture
def collector() -> Iterator[Collector]:
    with running_collector() as running:
        yield running


@pytest.fixture(scope="module")
def vault_server() -> Iterator[VaultServer]:
    with running_vault() as server:
        server.enable_kv()
        yield server


def traced(url: str, store: NativeStore, **sections: Any) -> dict[str, Any]:
    return {
        **one_store(store.dsn),
        "auth": {"tokens": [{"name": "ops", "role": "admin", "token": ADMIN}]},
        "tracing": {"otlp_endpoint": url, "headers": {"x-api-key": "the-key-of-the-collector"}},
        "logging": {"level": "debug", "format": "json"},
        **sections,
    }


def login(**headers: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {ADMIN}", **headers}


def test_a_request_is_a_span_of_its_callers_trace(
    collector: Collector, native: NativeStore, start_sidecar: StartSidecar
) -> None:
    sidecar = start_sidecar(traced(collector.url, native), environment=QUICK)
    given = {"traceparent": f"00-{TRACE}-{PARENT}-01", "X-Request-Id": "request-of-the-test"}
    assert sidecar.get("/api/v1/monitoring/tasks/running?password=hunter22", headers=login(**given)).status == 200
    span = collector.wait("GET /api/v1/monitoring/tasks/running")
    assert (span.trace_id, span.parent, span.kind) == (TRACE, PARENT, 2)
    about = span.attributes
    assert about["request.id"] == "request-of-the-test"
    assert about["enduser.id"] == "ops"
    assert about["operation.type"] == "read"
    assert about["http.response.status_code"] == 200
    assert about["http.request.method"] == "GET"
    assert "hunter22" not in str(span)
    assert span.resource["service.name"] == "scheduler-exporter"
    assert span.resource["deployment.environment.name"] == "production"
    assert set(collector.paths) == {"/v1/traces"}
    assert collector.requests[0]["x-api-key"] == "the-key-of-the-collector"
    assert ADMIN not in str(collector.spans)
    # A log line of the request leads to the trace.
    lines = until(lambda: [e for e in sidecar.events() if e.get("traceId") == TRACE], 60, "a line of the request")
    assert {line["spanId"] for line in lines} == {span.span_id}
    assert {line["correlationId"] for line in lines} == {"request-of-the-test"}


def test_a_span_says_which_route_was_asked_how_and_for_how_long(
    collector: Collector, native: NativeStore, start_sidecar: StartSidecar
) -> None:
    sidecar = start_sidecar(traced(collector.url, native), environment=QUICK)
    began = time.perf_counter()
    path, route = "/api/v1/monitoring/tasks/4711/execute", "/api/v1/monitoring/tasks/{task_id}/execute"
    assert sidecar.get(path, method="POST").status == 401
    most = time.perf_counter() - began
    span = collector.wait(f"POST {route}")
    about = span.attributes
    told = [about[f"http.{name}"] for name in ("request.method", "route", "response.status_code")]
    assert told == ["POST", route, 401]
    assert "enduser.id" not in about and "4711" not in str(span)
    [line] = until(lambda: [e for e in sidecar.events("request") if e["operation"] == f"POST {route}"], 60, "its line")
    assert line["duration"] / 1000 - 0.001 <= span.seconds <= most, "what the log says that it took, and little more"


def test_a_poll_is_a_trace_with_its_statements_and_without_their_values(
    collector: Collector, native: NativeStore, start_sidecar: StartSidecar
) -> None:
    start_sidecar(traced(collector.url, native), environment=QUICK)
    poll = collector.wait("poll executions", collector_source="main")
    assert poll.parent == ""
    assert poll.attributes["operation.type"] == "poll"
    statements = until(
        lambda: [s for s in collector.spans if s.parent == poll.span_id and s.name.startswith("sql ")], 60, "statements"
    )
    texts = [s.attributes["db.query.text"] for s in statements if "db.query.text" in s.attributes]
    assert any("pg_stat_activity" in text for text in texts)
    assert not any("'" in text for text in texts)
    assert all(s.attributes["db.system.name"] == "postgresql" for s in statements)


def test_a_check_and_what_it_asks_vault_are_one_trace(
    collector: Collector, native: NativeStore, vault_server: VaultServer, start_sidecar: StartSidecar
) -> None:
    server = native.database.server
    path = vault_server.put("secret/data/reports", username="monitor", password="a-password-in-vault")
    vault = {
        "address": vault_server.address,
        "auth": {"method": "token", "token": vault_server.new_token(ttl="1h")},
    }
    checked = target("Reports", server.port, database=native.database.name, vault={"path": path})
    start_sidecar(
        traced(collector.url, native, vault=vault, connections={"interval": "1s", "targets": [checked]}),
        environment=QUICK,
    )
    asked = collector.wait("vault read")
    check = until(lambda: next((s for s in collector.named("check connection") if s.span_id == asked.parent), None), 60)
    assert check.parent == ""
    assert check.trace_id == asked.trace_id
    assert check.attributes["connection.name"] == "Reports"
    assert check.attributes["operation.type"] == "check"
    assert check.attributes["check.result"] != "ok"  # there is no such user
    assert check.status == 2
    assert asked.attributes["vault.result"] == "success"
    assert asked.attributes["url.full"] == vault_server.address
    assert "a-password-in-vault" not in str(collector.spans)
    # The next check is a trace of its own.
    again = until(lambda: [s for s in collector.named("check connection") if s.trace_id != check.trace_id], 60)
    assert again[0].parent == ""


def test_requests_of_ours_carry_the_trace_on(
    collector: Collector, native: NativeStore, start_sidecar: StartSidecar
) -> None:
    with running_collector() as page:
        depends = {"name": "api", "kind": "http", "url": f"{page.url}/health?key=hunter22", "method": "GET"}
        start_sidecar(traced(collector.url, native, dependencies=[{**depends, "interval": "1s"}]), environment=QUICK)
        span = collector.wait(f"GET 127.0.0.1:{page.port}")
        poll = until(lambda: next((s for s in collector.spans if s.span_id == span.parent), None), 60)
        assert poll.name == "poll dependencies"
        sent = until(lambda: [h["traceparent"] for h in page.asked if span.span_id in h.get("traceparent", "")], 60)
        # Sampled, and in Trace Context's second version random: 01, 03.
        assert re.fullmatch(rf"00-{span.trace_id}-{span.span_id}-0[13]", sent[0])
        assert "hunter22" not in str(collector.spans)


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "{url}"}, "OTEL_EXPORTER_OTLP_ENDPOINT"),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "{url}/v1/traces"}, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, Mapping) else "",
)
def test_variables_of_opentelemetry_do_as_well(
    environment: dict[str, str],
    expected: str,
    collector: Collector,
    native: NativeStore,
    start_sidecar: StartSidecar,
) -> None:
    given = {name: value.format(url=collector.url) for name, value in environment.items()}
    others = {
        "OTEL_EXPORTER_OTLP_HEADERS": "api-key=the%20key%20of%20a%20vendor",
        "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip",
        "OTEL_SERVICE_NAME": "my-exporter",
        "OTEL_RESOURCE_ATTRIBUTES": "team=platform",
    }
    sidecar = start_sidecar(one_store(native.dsn), environment={**QUICK, **given, **others})
    span = collector.wait("poll executions")
    assert span.resource["service.name"] == "my-exporter"
    assert span.resource["team"] == "platform"
    assert collector.requests[0]["api-key"] == "the key of a vendor"
    assert collector.requests[0]["content-encoding"] == "gzip"
    assert collector.paths[0] == "/v1/traces"
    [said] = sidecar.events("traces are sent")
    assert said["origin"] == expected
    assert "the key of a vendor" not in sidecar.log


def test_jaegers_host_gets_otlp_and_that_is_said(native: NativeStore, start_sidecar: StartSidecar) -> None:
    given = {"JAEGER_ENDPOINT": "http://127.0.0.1:14268/api/traces"}
    sidecar = start_sidecar(one_store(native.dsn), environment=given)
    [said] = sidecar.events("traces are sent")
    assert said["to"] == "http://127.0.0.1:4318/v1/traces"
    assert "OTLP" in str(said["remarks"])


def quick_answers(sidecar: Sidecar) -> float:
    """What an answer takes (s), the median of some: others may have the processor."""
    taken = []
    for _ in range(20):
        began = time.monotonic()
        assert sidecar.get("/metrics").status == 200
        taken.append(time.monotonic() - began)
    return statistics.median(taken)


@pytest.mark.parametrize("fault", ["dead", "hangs", "refuses"])
def test_a_collector_that_takes_nothing_costs_one_line(
    fault: str, collector: Collector, native: NativeStore, start_sidecar: StartSidecar
) -> None:
    url = f"http://127.0.0.1:{free_port()}" if fault == "dead" else collector.url
    collector.status = 503
    if fault == "hangs":
        collector.answering.clear()
    config = traced(url, native)
    config["tracing"]["timeout"] = "1s"
    config["logging"]["level"] = "info"
    sidecar = start_sidecar(config, environment=QUICK)
    until(lambda: sidecar.events("traces cannot be sent"), 60, "it is said")
    assert quick_answers(sidecar) < 1
    now = time.time()
    until(lambda: sidecar.read_upto() > now, 60, "polls go on")
    began = time.monotonic()
    assert sidecar.stop() == 0
    assert time.monotonic() - began < 9, "it waits for a moment, not for as long as OpenTelemetry would"
    [said] = sidecar.events("traces cannot be sent")
    assert said["error"]
    assert "opentelemetry" not in sidecar.log
    assert "Traceback" not in sidecar.log


def test_what_is_lost_begins_again_when_the_collector_is_back(
    collector: Collector, native: NativeStore, start_sidecar: StartSidecar
) -> None:
    collector.status = 404
    sidecar = start_sidecar(traced(collector.url, native), environment=QUICK)
    until(lambda: sidecar.events("traces cannot be sent"), 60, "it is said")
    collector.status = 200
    collector.wait("poll executions")
    until(lambda: sidecar.events("traces are sent again"), 60, "its end is said")
    assert sidecar.stop() == 0
    # What was under way at the end came too.
    assert collector.named("poll executions")
