"""A Sentry as its SDK speaks to it: envelopes over HTTP, unpacked. It may refuse or hang."""

from __future__ import annotations

import contextlib
import gzip
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from support.polling import until

KEY = "0123456789abcdef0123456789abcdef"


@dataclass
class SentryServer:
    """What was received; ``status`` is what is answered, and nothing is before ``answering`` is set."""

    status: int = 200
    events: list[dict[str, Any]] = field(default_factory=list)
    #: Items that are no events: sessions, reports, whatever the SDK would send unasked.
    others: list[str] = field(default_factory=list)
    bodies: list[str] = field(default_factory=list)
    answering: threading.Event = field(default_factory=threading.Event)
    port: int = 0

    @property
    def dsn(self) -> str:
        """The DSN of its project 7."""
        return f"http://{KEY}@127.0.0.1:{self.port}/7"

    def with_message(self, message: str) -> list[dict[str, Any]]:
        """The events whose message begins so."""
        return [event for event in self.events if event["logentry"]["formatted"].startswith(message)]

    def wait(self, message: str, seconds: float = 60) -> dict[str, Any]:
        """The first event of that message, once it is there."""
        return until(lambda: self.with_message(message), seconds, f"an event {message!r}")[0]

    def take(self, body: bytes) -> None:
        """Unpack an envelope: lines of JSON, each item after a header of its own."""
        text = body.decode()
        self.bodies.append(text)
        lines = text.splitlines()[1:]
        for header, payload in zip(lines[::2], lines[1::2], strict=False):
            kind = json.loads(header)["type"]
            if kind == "event":
                self.events.append(json.loads(payload))
            else:
                self.others.append(kind)


@contextlib.contextmanager
def running_sentry() -> Iterator[SentryServer]:
    """A Sentry that answers."""
    sentry = SentryServer()
    sentry.answering.set()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            assert self.path == "/api/7/envelope/"
            assert KEY in self.headers["X-Sentry-Auth"]
            sentry.answering.wait()
            if sentry.status == 200:
                sentry.take(gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body)
            with contextlib.suppress(ConnectionError):
                self.send_response(sentry.status)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing is logged."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        sentry.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield sentry
        finally:
            sentry.answering.set()
            server.shutdown()
            thread.join()
