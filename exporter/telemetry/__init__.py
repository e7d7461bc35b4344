"""What the exporter tells of itself beside metrics and logs: traces by OpenTelemetry, errors to Sentry.

Belongs here: where that goes, how it gets there, what becomes of it when nobody takes it. Does not: spans
(``exporter.tracing``), logs. Neither SDK, nor what drives it here, is imported before a configuration or the
environment asks for it.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from exporter.config.model import Config
    from exporter.outbound import Reveal


@contextlib.asynccontextmanager
async def telling(config: Config, reveal: Reveal) -> AsyncIterator[None]:
    """Send errors and traces of what is done within, as ``config`` or the environment wants them. ConfigError."""
    environ = os.environ
    async with contextlib.AsyncExitStack() as stack:
        if config.sentry.dsn is not None or environ.get("SENTRY_DSN"):
            from exporter.telemetry.errors import reporting  # noqa: PLC0415

            await stack.enter_async_context(reporting(config, reveal, environ))
        if config.tracing.otlp_endpoint is not None or any(name.startswith(("OTEL_", "JAEGER_")) for name in environ):
            from exporter.telemetry.traces import traced  # noqa: PLC0415

            await stack.enter_async_context(traced(config, reveal, environ))
        yield
