"""Spans of what the exporter does: free of charge where nothing is traced.

Belongs here: what a span is for those who make one. Does not: what is worth a span (whoever does it), where traces go
(``exporter.telemetry``, which brings OpenTelemetry's SDK where somebody wants it).

Logs: ``trace_id`` and ``span_id`` are bound in structlog's context while a span is open.
"""

from __future__ import annotations

from exporter.tracing.spans import Kind, Span, Value, carried, detach, span, told_by, use
from exporter.tracing.statements import without_values

__all__ = ["Kind", "Span", "Value", "carried", "detach", "span", "told_by", "use", "without_values"]
