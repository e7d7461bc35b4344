"""What traces and Sentry need beside their keys: packages that not everybody has installed."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Final

from exporter.config.problems import Where

#: What has to be there for each extra.
TRACING: Final = ("opentelemetry.sdk.trace", "opentelemetry.exporter.otlp.proto.common")
SENTRY: Final = ("sentry_sdk",)


def installed(modules: tuple[str, ...]) -> bool:
    """Whether all of them can be imported; none is."""
    try:
        return all(find_spec(name) is not None for name in modules)
    except ModuleNotFoundError:  # a package round it is missing
        return False


def remedy(extra: str) -> str:
    """How the packages of an extra are had."""
    return f"pip install 'scheduler-exporter[{extra}]'"


def check_tracing(tracing: Where) -> None:
    """OpenTelemetry is there."""
    if tracing.get("otlp_endpoint") is not None and not installed(TRACING):
        tracing.problem("otlp_endpoint", f"needs OpenTelemetry: {remedy('tracing')}")


def check_sentry(sentry: Where) -> None:
    """Sentry's client is there."""
    if sentry.get("dsn") is not None and not installed(SENTRY):
        sentry.problem("dsn", f"needs Sentry's client: {remedy('sentry')}")
