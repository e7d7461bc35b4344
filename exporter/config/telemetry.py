"""The sections about what the exporter tells of itself beside metrics and logs: traces, and errors to Sentry."""

from __future__ import annotations

from typing import Literal

from exporter.config.base import Duration, HttpUrl, Positive, Ratio, Section, Text
from exporter.config.secrets import Secret


class Tracing(Section, frozen=True, kw_only=True):
    """Where traces go, by OTLP over HTTP; without ``otlp_endpoint`` the environment's OTEL_* variables say it.

    ``/v1/traces`` is added to an endpoint that does not end so. Without ``sampling_ratio`` OTEL_TRACES_SAMPLER decides,
    and then everything is traced.
    """

    otlp_endpoint: HttpUrl | None = None
    headers: dict[str, Secret] = {}
    sampling_ratio: Ratio | None = None
    resource_attributes: dict[str, str] = {}
    ca_file: Text | None = None
    timeout: Positive = Duration(10)


ErrorClass = Literal["critical", "error", "warning", "info"]


class Sentry(Section, frozen=True, kw_only=True):
    """Where errors go; without ``dsn`` SENTRY_DSN says it. What is of the class ``level`` or above it is sent."""

    dsn: Secret | None = None
    environment: Text | None = None
    release: Text | None = None
    level: ErrorClass = "warning"
    ca_file: Text | None = None
