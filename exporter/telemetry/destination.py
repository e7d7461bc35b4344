"""Where traces go, and how: the configuration's section ``tracing``, else OTEL_*, else JAEGER_ENDPOINT."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import unquote, urlsplit

import msgspec

from exporter.config.addresses import check_http_url
from exporter.config.model import Tracing
from exporter.config.secrets import Secret
from exporter.errors import ConfigError

PATH: Final = "/v1/traces"
#: Jaeger takes OTLP over HTTP here, whatever port its own collector's protocol had.
JAEGER_PORT: Final = 4318
_OTEL: Final = "OTEL_EXPORTER_OTLP_"


class Destination(msgspec.Struct, frozen=True, kw_only=True):
    """A collector: ``url`` as it is posted to, ``origin`` the key or variable that says so, ``timeout`` in seconds."""

    url: str
    origin: str
    headers: Mapping[str, Secret] = msgspec.field(default_factory=dict)
    ca_file: str | None = None
    certificate: tuple[str, str | None] | None = None
    compress: bool = False
    timeout: float = 10.0
    remarks: tuple[str, ...] = ()


def destination(config: Tracing, environ: Mapping[str, str]) -> Destination | None:
    """The collector that is configured, None if none is. ConfigError for a variable that means nothing."""
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return None
    if config.otlp_endpoint is not None:
        url, origin = _with_path(config.otlp_endpoint), "tracing.otlp_endpoint"
    elif environ.get("OTEL_TRACES_EXPORTER", "otlp").strip().lower() not in ("otlp", ""):
        return None
    elif given := _variable(environ, "ENDPOINT"):
        origin, text = given
        # As OpenTelemetry has it: an address for traces is taken as it is.
        url = _url(origin, text) if "TRACES" in origin else _with_path(_url(origin, text))
    elif jaeger := environ.get("JAEGER_ENDPOINT", "").strip():
        url, origin = _of_jaeger(jaeger), "JAEGER_ENDPOINT"
    else:
        return None
    headers = {**_headers(environ), **{name.lower(): value for name, value in config.headers.items()}}
    return Destination(
        url=url,
        origin=origin,
        headers=headers,
        ca_file=config.ca_file or _value(environ, "CERTIFICATE"),
        certificate=_certificate(environ),
        compress=_compress(environ),
        timeout=_timeout(config, environ),
        remarks=_remarks(environ, origin),
    )


def _variable(environ: Mapping[str, str], name: str) -> tuple[str, str] | None:
    """A variable of OTLP, that for traces first; an empty one is none."""
    for variable in (f"{_OTEL}TRACES_{name}", f"{_OTEL}{name}"):
        if text := environ.get(variable, "").strip():
            return variable, text
    return None


def _value(environ: Mapping[str, str], name: str) -> str | None:
    found = _variable(environ, name)
    return None if found is None else found[1]


def _with_path(url: str) -> str:
    return url if url.endswith(PATH) else url.rstrip("/") + PATH


def _url(variable: str, text: str) -> str:
    try:
        if "TRACES" in variable:  # some collectors have a query
            parts = urlsplit(text)
            check_http_url(f"{parts.scheme}://{parts.netloc}")
            return text
        return check_http_url(text)
    except ValueError:
        raise ConfigError([f"{variable}: expected a URL such as http://collector:4318, without a login"]) from None


def _of_jaeger(text: str) -> str:
    """Its host with the port and path of OTLP: what the variable names is Jaeger's own protocol, which is gone."""
    try:
        parts = urlsplit(text if "://" in text else f"http://{text}")
        host, scheme = parts.hostname, parts.scheme
    except ValueError:
        host, scheme = None, ""
    if not host or scheme not in ("http", "https"):
        raise ConfigError(["JAEGER_ENDPOINT: expected a URL such as http://jaeger:14268/api/traces"])
    shown = f"[{host}]" if ":" in host else host
    return f"{scheme}://{shown}:{JAEGER_PORT}{PATH}"


def _headers(environ: Mapping[str, str]) -> dict[str, Secret]:
    """``name=value,name=value``, values percent-encoded. Those of traces replace those of all signals."""
    found = {}
    for pair in (_value(environ, "HEADERS") or "").split(","):
        name, equals, value = pair.partition("=")
        if equals and name.strip() and value.strip():
            found[unquote(name.strip()).lower()] = Secret(unquote(value.strip()))
    return found


def _certificate(environ: Mapping[str, str]) -> tuple[str, str | None] | None:
    certificate = _value(environ, "CLIENT_CERTIFICATE")
    return None if certificate is None else (certificate, _value(environ, "CLIENT_KEY"))


def _compress(environ: Mapping[str, str]) -> bool:
    given = _variable(environ, "COMPRESSION")
    if given is None or given[1] == "none":
        return False
    if given[1] != "gzip":
        raise ConfigError([f"{given[0]}: expected gzip or none; got {given[1]!r}"])
    return True


def _timeout(config: Tracing, environ: Mapping[str, str]) -> float:
    """Seconds. OpenTelemetry's Python has always read this variable as such, against its own specification."""
    given = _variable(environ, "TIMEOUT")
    if config.otlp_endpoint is not None or given is None:
        return config.timeout
    try:
        seconds = float(given[1])
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < 1e6:
        raise ConfigError([f"{given[0]}: expected a number of seconds above 0; got {given[1]!r}"])
    return seconds


def _remarks(environ: Mapping[str, str], origin: str) -> tuple[str, ...]:
    said = []
    protocol = _variable(environ, "PROTOCOL")
    if protocol is not None and protocol[1] != "http/protobuf":
        said.append(f"{protocol[0]} is {protocol[1]}; http/protobuf is spoken all the same")
    if origin == "JAEGER_ENDPOINT":
        said.append("JAEGER_ENDPOINT names a protocol that is gone; its host gets OTLP over HTTP")
    elif environ.get("JAEGER_ENDPOINT"):
        said.append(f"JAEGER_ENDPOINT is not used: {origin} is set")
    return tuple(said)
