"""What the exporter tells of itself beside metrics and logs: traces by OpenTelemetry, errors to Sentry.

Belongs here: where that goes, how it gets there, what becomes of it when nobody takes it. Does not: spans
(``exporter.tracing``), logs. Neither SDK is imported before a configuration or the environment asks for it.
"""

from __future__ import annotations

from exporter.telemetry.errors import reporting
from exporter.telemetry.traces import traced

__all__ = ["reporting", "traced"]
