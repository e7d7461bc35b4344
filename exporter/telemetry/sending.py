"""Spans on their way to a collector: encoded in the SDK's thread, posted by the event loop, lost without harm.

Imported when traces are wanted: the encoder is OpenTelemetry's, and brings protobuf.
"""

from __future__ import annotations

import asyncio
import gzip
import ssl
import time
from collections.abc import Sequence
from concurrent.futures import CancelledError
from typing import Final

import aiohttp
import structlog
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from yarl import URL

from exporter.errors import ExporterError
from exporter.outbound import Reveal, in_words, trusting
from exporter.telemetry.destination import Destination
from exporter.telemetry.outage import Outage

log = structlog.get_logger(component="tracing")

#: Statuses after which OTLP wants the same batch again.
_AGAIN: Final = (429, 502, 503, 504)
#: Seconds before a batch is sent again; doubled each time.
_PAUSE: Final = 1.0


class Sender(SpanExporter):
    """Posts batches to ``to``. Called by the SDK in its own thread; ``loop`` does the waiting."""

    def __init__(self, to: Destination, reveal: Reveal, loop: asyncio.AbstractEventLoop) -> None:
        self._to = to
        self._reveal = reveal
        self._loop = loop
        self._headers: dict[str, str] = {}
        self._closed = False
        #: What kept the batch that is on its way from being taken so far.
        self._so_far: str | None = None
        self._outage = Outage(log, "traces cannot be sent", "traces are sent again", to=_place(to.url))

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send ``spans`` within the destination's timeout; they are lost if that fails, which is said once an hour."""
        if self._closed:
            return SpanExportResult.FAILURE
        data = encode_spans(spans).SerializeToString()
        sending = asyncio.run_coroutine_threadsafe(self._deliver(data), self._loop)
        try:
            error = sending.result(self._to.timeout + 1)
        except TimeoutError:
            sending.cancel()
            error = "the exporter was too busy to send them"
        except CancelledError:
            error = f"the exporter ended before: {self._so_far or 'they were on their way'}"
        if error is not None:
            self._outage.failed(error, len(spans))
            return SpanExportResult.FAILURE
        self._outage.taken()
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        """Take nothing any more."""
        self._closed = True

    async def _deliver(self, data: bytes) -> str | None:
        """Why the batch could not be delivered; None: it is."""
        body = await asyncio.to_thread(gzip.compress, data, 1) if self._to.compress else data
        pause, deadline = _PAUSE, time.monotonic() + self._to.timeout
        self._so_far = None
        while True:
            again, error = await self._post(body, deadline - time.monotonic())
            self._so_far = error
            if error is None or not again or time.monotonic() + pause >= deadline:
                return error
            await asyncio.sleep(pause)
            pause *= 2

    async def _post(self, body: bytes, seconds: float) -> tuple[bool, str | None]:
        """Whether it is worth while to send it again, and why it was not taken."""
        try:
            async with asyncio.timeout(seconds):
                connector = aiohttp.TCPConnector(ssl=self._trust(), force_close=True)
                async with (
                    aiohttp.ClientSession(connector=connector, trust_env=True) as session,
                    session.post(
                        self._to.url, data=body, headers=await self._all_headers(), allow_redirects=False
                    ) as response,
                ):
                    if response.ok and response.status < 300:
                        return False, None
                    return response.status in _AGAIN, f"answered with status {response.status}"
        except TimeoutError:
            return False, f"did not answer within {self._to.timeout:g} s"
        except aiohttp.ClientConnectorError as error:
            return True, f"cannot be reached: {in_words(error.os_error)}"
        except ExporterError as error:
            return False, str(error)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return False, f"gave no answer: {type(error).__name__}"

    async def _all_headers(self) -> dict[str, str]:
        """The headers of now: secrets are followed at each use; those that cannot be had are what they were."""
        sent = {"Content-Type": "application/x-protobuf", "User-Agent": "scheduler-exporter"}
        if self._to.compress:
            sent["Content-Encoding"] = "gzip"
        for name, secret in self._to.headers.items():
            try:
                self._headers[name] = await self._reveal(secret)
            except ExporterError:
                if name not in self._headers:
                    raise
        return {**sent, **self._headers}

    def _trust(self) -> ssl.SSLContext | bool:
        if URL(self._to.url).scheme != "https":
            return True
        if self._to.certificate is None:
            return trusting(self._to.ca_file)
        context = ssl.create_default_context(cafile=self._to.ca_file)
        context.load_cert_chain(*self._to.certificate)
        return context


def _place(url: str) -> str:
    where = URL(url)
    return f"{where.scheme}://{where.raw_authority}{where.raw_path}"
