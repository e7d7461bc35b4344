"""A collector of traces: OTLP over HTTP, decoded with OpenTelemetry's own messages. It may be slow, refuse or hang."""

from __future__ import annotations

import contextlib
import gzip
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from support.polling import until


@dataclass(frozen=True)
class Received:
    """One span as it came over the wire; ids in hex, ``parent`` empty for a root."""

    name: str
    trace_id: str
    span_id: str
    parent: str
    kind: int
    status: int
    message: str
    seconds: float
    attributes: dict[str, Any]
    resource: dict[str, Any]


@dataclass
class Collector:
    """What was received; ``status`` is what is answered, and nothing is before ``answering`` is set."""

    status: int = 200
    spans: list[Received] = field(default_factory=list)
    requests: list[dict[str, str]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    answering: threading.Event = field(default_factory=threading.Event)
    #: Headers of what was no export: any page of any server.
    asked: list[dict[str, str]] = field(default_factory=list)
    #: Exports that were answered with another status than 200.
    refused: int = 0
    port: int = 0

    @property
    def url(self) -> str:
        """Its address, as users write it."""
        return f"http://127.0.0.1:{self.port}"

    def named(self, name: str) -> list[Received]:
        """The spans of this name."""
        return [span for span in self.spans if span.name == name]

    def wait(self, name: str, seconds: float = 60, **attributes: Any) -> Received:
        """The first span of this name with these attributes (``_`` for a dot), once it is there."""
        wanted = {key.replace("_", "."): value for key, value in attributes.items()}

        def found() -> Received | None:
            return next((s for s in self.named(name) if wanted.items() <= s.attributes.items()), None)

        span = until(found, seconds, f"a span {name!r} with {wanted}; there are {sorted({s.name for s in self.spans})}")
        assert span is not None
        return span

    def take(self, headers: dict[str, str], path: str, body: bytes) -> None:
        """Decode a request."""
        if headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        request = ExportTraceServiceRequest.FromString(body)
        self.requests.append(headers)
        self.paths.append(path)
        for group in request.resource_spans:
            resource = _attributes(group.resource.attributes)
            for scope in group.scope_spans:
                self.spans += [_received(span, resource) for span in scope.spans]


def _received(span: Any, resource: dict[str, Any]) -> Received:
    return Received(
        name=span.name,
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent=span.parent_span_id.hex(),
        kind=span.kind,
        status=span.status.code,
        message=span.status.message,
        seconds=(span.end_time_unix_nano - span.start_time_unix_nano) / 1e9,
        attributes=_attributes(span.attributes),
        resource=resource,
    )


def _attributes(pairs: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in pairs}


@contextlib.contextmanager
def running_collector(tls: ssl.SSLContext | None = None) -> Iterator[Collector]:
    """A collector that answers, on a free port."""
    collector = Collector()
    collector.answering.set()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            collector.answering.wait()
            if collector.status == 200:
                collector.take(headers, self.path, body)
            else:
                collector.refused += 1
            with contextlib.suppress(ConnectionError):
                self.send_response(collector.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

        def do_GET(self) -> None:
            collector.asked.append({name.lower(): value for name, value in self.headers.items()})
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing is logged."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        server.handle_error = lambda *_: None  # type: ignore[method-assign] # clients that do not trust it
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        collector.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield collector
        finally:
            collector.answering.set()
            server.shutdown()
            thread.join()
