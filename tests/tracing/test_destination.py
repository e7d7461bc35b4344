"""Where traces go: the configuration, OpenTelemetry's variables, Jaeger's old one; which comes first."""

from __future__ import annotations

from typing import Any

import pytest

from exporter.changes import refuse_fixed
from exporter.config.model import Config, Sentry, Tracing
from exporter.config.secrets import Secret
from exporter.errors import ConfigError
from exporter.telemetry.destination import destination
from exporter.telemetry.traces import attributes

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
TRACES = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"


def url(config: Tracing | None = None, **environ: str) -> str | None:
    found = destination(config or Tracing(), environ)
    return None if found is None else found.url


def test_nobody_who_asks_for_nothing_is_traced() -> None:
    assert url() is None
    assert url(**{ENDPOINT: " ", "JAEGER_ENDPOINT": ""}) is None


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("http://collector:4318", "http://collector:4318/v1/traces"),
        ("https://gateway.example.com/otlp", "https://gateway.example.com/otlp/v1/traces"),
        ("http://collector:4318/v1/traces", "http://collector:4318/v1/traces"),
    ],
)
def test_the_path_is_added_where_it_is_missing(given: str, expected: str) -> None:
    assert url(Tracing(otlp_endpoint=given)) == expected
    assert url(**{ENDPOINT: given + "/"}) == expected


def test_an_address_for_traces_is_taken_as_it_is() -> None:
    given = "https://agent.example.com/api/v0.2/traces?source=otlp"
    assert url(**{TRACES: given, ENDPOINT: "http://other:4318"}) == given


def test_the_configuration_comes_first_then_opentelemetry_then_jaeger() -> None:
    everything = {ENDPOINT: "http://otel:4318", "JAEGER_ENDPOINT": "http://jaeger:14268/api/traces"}
    configured = destination(Tracing(otlp_endpoint="http://mine:4318"), everything)
    assert configured is not None
    assert (configured.url, configured.origin) == ("http://mine:4318/v1/traces", "tracing.otlp_endpoint")
    assert url(**everything) == "http://otel:4318/v1/traces"
    assert url(JAEGER_ENDPOINT=everything["JAEGER_ENDPOINT"]) == "http://jaeger:4318/v1/traces"
    assert any("JAEGER_ENDPOINT is not used" in remark for remark in configured.remarks)


@pytest.mark.parametrize(
    ("given", "host"),
    [
        ("https://jaeger.example.com/api/traces", "https://jaeger.example.com"),
        ("jaeger:14268", "http://jaeger"),
        ("http://[2001:db8::1]:14268/api/traces", "http://[2001:db8::1]"),
        ("http://user:secret@jaeger:14268", "http://jaeger"),
    ],
)
def test_jaegers_host_gets_the_port_of_otlp(given: str, host: str) -> None:
    assert url(JAEGER_ENDPOINT=given) == f"{host}:4318/v1/traces"


def test_what_switches_tracing_off_does() -> None:
    assert url(OTEL_SDK_DISABLED="true", **{ENDPOINT: "http://otel:4318"}) is None
    assert url(OTEL_TRACES_EXPORTER="none", **{ENDPOINT: "http://otel:4318"}) is None


def test_how_it_is_sent_comes_from_the_variables_of_otlp() -> None:
    found = destination(
        Tracing(headers={"API-Key": Secret("mine")}),
        {
            ENDPOINT: "https://otel:4318",
            "OTEL_EXPORTER_OTLP_HEADERS": "api-key=theirs,x-scope=a%2Cb, empty= ,=x",
            "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip",
            "OTEL_EXPORTER_OTLP_TIMEOUT": "3",
            "OTEL_EXPORTER_OTLP_CERTIFICATE": "/ca.pem",
            "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE": "/client.pem",
            "OTEL_EXPORTER_OTLP_CLIENT_KEY": "/client.key",
            "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
        },
    )
    assert found is not None
    assert {name: secret.reveal() for name, secret in found.headers.items()} == {"api-key": "mine", "x-scope": "a,b"}
    assert (found.compress, found.timeout, found.ca_file) == (True, 3.0, "/ca.pem")
    assert found.certificate == ("/client.pem", "/client.key")
    assert "grpc" in found.remarks[0]
    assert "theirs" not in repr(found)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (ENDPOINT, "collector:4318"),
        (ENDPOINT, "http://user:hunter22@collector:4318"),
        (TRACES, "ftp://collector"),
        ("JAEGER_ENDPOINT", "ftp://jaeger"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "zstd"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "soon"),
    ],
)
def test_a_variable_that_means_nothing_is_refused_by_its_name(name: str, value: str) -> None:
    environ = {ENDPOINT: "http://otel:4318", name: value} if name != "JAEGER_ENDPOINT" else {name: value}
    with pytest.raises(ConfigError) as refused:
        destination(Tracing(), environ)
    assert refused.value.problems[0].startswith(f"{name}: expected")
    assert "hunter22" not in str(refused.value)


@pytest.mark.parametrize(
    ("environ", "configured", "expected"),
    [
        ({}, {}, {"service.name": "scheduler-exporter", "deployment.environment.name": "production"}),
        ({"OTEL_SERVICE_NAME": "theirs"}, {}, {"service.name": None}),
        ({"OTEL_RESOURCE_ATTRIBUTES": "service.name=x,team=y"}, {}, {"service.name": None}),
        ({"OTEL_SERVICE_NAME": "theirs"}, {"service.name": "mine"}, {"service.name": "mine"}),
    ],
)
def test_the_process_is_told_by_name_unless_others_say_it(
    environ: dict[str, str], configured: dict[str, str], expected: dict[str, Any]
) -> None:
    found = attributes(Config(tracing=Tracing(resource_attributes=configured)), environ)
    assert {name: found.get(name) for name in expected} == expected


@pytest.mark.parametrize(
    ("key", "after"),
    [
        ("tracing", Config(tracing=Tracing(otlp_endpoint="http://x:4318"))),
        ("sentry", Config(sentry=Sentry(level="info"))),
    ],
)
def test_a_reload_that_changes_where_it_goes_is_refused(key: str, after: Config) -> None:
    refuse_fixed(after, after)
    with pytest.raises(ConfigError) as refused:
        refuse_fixed(Config(), after)
    assert refused.value.problems == [f"{key}: cannot change while running; restart to apply it"]
