"""OpenTelemetry's SDK as the tracer of ``exporter.tracing``. Imported when traces are wanted: 3 MB.

Its own context is not used: a task inherits the span it was made in, and may live longer. Which span is open is kept
here, so that one that has ended is nobody's parent.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextvars import ContextVar, Token
from types import TracebackType
from typing import Any, Final, Self

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.sampling import ParentBased, Sampler, TraceIdRatioBased
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from structlog.contextvars import bind_contextvars, get_contextvars, reset_contextvars

from exporter import __version__
from exporter.errors import ExporterError
from exporter.logs import masked_text
from exporter.logs.pipeline import SERVICE
from exporter.tracing import Kind, Span, Value

_KINDS: Final = {"internal": SpanKind.INTERNAL, "server": SpanKind.SERVER, "client": SpanKind.CLIENT}
_PROPAGATOR: Final = TraceContextTextMapPropagator()


class Active:
    """A span that is open between ``__enter__`` and ``__exit__``."""

    __slots__ = ("_before", "_bound", "ended", "span")

    def __init__(self, span: trace.Span) -> None:
        self.span = span
        self.ended = False
        self._before: Token[Active | None]
        self._bound: Mapping[str, Token[Any]]

    def __enter__(self) -> Self:
        context = self.span.get_span_context()
        self._bound = bind_contextvars(
            trace_id=trace.format_trace_id(context.trace_id), span_id=trace.format_span_id(context.span_id)
        )
        self._before = _current.set(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        _current.reset(self._before)
        reset_contextvars(**self._bound)
        if isinstance(error, Exception):  # not what only ends: a cancelled task
            self.failed(type(error).__name__, str(error) if isinstance(error, ExporterError) else "")
        self.ended = True
        self.span.end()

    @property
    def recording(self) -> bool:
        """As of ``Span``."""
        return self.span.is_recording()

    def set(self, name: str, value: Value) -> None:
        """As of ``Span``."""
        if value is not None:
            self.span.set_attribute(name, masked_text(value) if isinstance(value, str) else value)

    def failed(self, kind: str, text: str = "") -> None:
        """As of ``Span``."""
        self.span.set_attribute("error.type", kind)
        self.span.set_status(Status(StatusCode.ERROR, masked_text(text) or None))


_current: ContextVar[Active | None] = ContextVar("exporter-span", default=None)


class Tracing:
    """Makes spans and hands those that are kept to ``exporter``, in a thread of the SDK's with a bounded queue."""

    def __init__(self, exporter: SpanExporter, *, ratio: float | None, attributes: Mapping[str, str]) -> None:
        # What it says of its queue and of failures would be a line every few seconds; ``Outage`` tells them.
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
        sampler: Sampler | None = None if ratio is None else ParentBased(TraceIdRatioBased(ratio))
        self._provider = TracerProvider(
            sampler=sampler, resource=Resource.create(dict(attributes)), shutdown_on_exit=False
        )
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer(SERVICE, __version__)

    def span(
        self,
        name: str,
        operation: str,
        kind: Kind,
        *,
        root: bool,
        caller: Mapping[str, str] | None,
        attributes: Mapping[str, Value],
    ) -> Span:
        """A span that begins now."""
        current = _current.get()
        context = Context()
        if caller is not None:
            context = _PROPAGATOR.extract(caller, context)
        elif current is not None and not current.ended and not root:
            context = trace.set_span_in_context(current.span, context)
        begun = Active(self._tracer.start_span(name, context, _KINDS[kind]))
        if begun.span.is_recording():
            begun.set("operation.type", operation)
            begun.set("request.id", get_contextvars().get("request_id"))
            for key, value in attributes.items():
                begun.set(key, value)
        return begun

    def carried(self) -> Mapping[str, str]:
        """``traceparent`` and ``tracestate`` of the open span."""
        current = _current.get()
        headers: dict[str, str] = {}
        if current is not None and not current.ended:
            _PROPAGATOR.inject(headers, trace.set_span_in_context(current.span, Context()))
        return headers

    def detach(self) -> None:
        """No span is open in this task."""
        _current.set(None)

    def close(self) -> None:
        """Send what is left. Blocks, for long where nobody takes it."""
        self._provider.shutdown()
