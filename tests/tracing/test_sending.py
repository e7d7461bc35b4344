"""Spans on their way: TLS, secret headers that change, batches that are sent again, and those that are lost."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from structlog.testing import capture_logs
from support.otlp_receiver import Collector, running_collector
from support.polling import until
from support.ports import free_port

from exporter.config.secrets import Secret
from exporter.credentials import CredentialsError
from exporter.telemetry import sending
from exporter.telemetry.destination import Destination
from exporter.telemetry.sending import Sender


def batch(name: str = "poll") -> list[ReadableSpan]:
    kept = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(kept))
    with provider.get_tracer("tests").start_as_current_span(name):
        pass
    return list(kept.get_finished_spans())


@pytest.fixture
def collector() -> Iterator[Collector]:
    with running_collector() as running:
        yield running


@pytest.fixture(autouse=True)
async def impatient(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    monkeypatch.setattr(sending, "_PAUSE", 0.1)
    yield


async def plain(secret: Secret) -> str:
    return secret.reveal()


async def sent(sender: Sender, name: str = "poll") -> bool:
    """Whether a batch was taken; from a thread, as the SDK does."""
    result = await asyncio.to_thread(sender.export, batch(name))
    return result is SpanExportResult.SUCCESS


def sender(url: str, reveal: Any = plain, **options: Any) -> Sender:
    to = Destination(url=f"{url}/v1/traces", origin="tests", **{"timeout": 60.0, **options})
    return Sender(to, reveal, asyncio.get_running_loop())


async def test_a_collector_over_tls_is_trusted_by_its_authority_alone(tmp_path: Path) -> None:
    ours, other = trustme.CA(), trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ours.issue_cert("127.0.0.1").configure_cert(context)
    context.verify_mode = ssl.CERT_REQUIRED
    ours.configure_trust(context)
    client = ours.issue_cert("client.example")
    for authority, name in ((ours, "ours.pem"), (other, "other.pem")):
        authority.cert_pem.write_to_path(tmp_path / name)
    client.private_key_and_cert_chain_pem.write_to_path(tmp_path / "client.pem")
    certificate = (str(tmp_path / "client.pem"), None)
    with running_collector(tls=context) as collector:
        url = collector.url.replace("http:", "https:")
        assert await sent(sender(url, ca_file=str(tmp_path / "ours.pem"), certificate=certificate))
        assert [span.name for span in collector.spans] == ["poll"]
        for options in (
            {"ca_file": str(tmp_path / "ours.pem")},  # nobody is shown
            {"ca_file": str(tmp_path / "other.pem"), "certificate": certificate},
            {"ca_file": str(tmp_path / "missing.pem")},
        ):
            assert not await sent(sender(url, timeout=1.0, **options))  # tried again until then
        assert len(collector.spans) == 1


async def test_a_secret_header_is_that_of_now_and_stays_while_nobody_can_tell_it(collector: Collector) -> None:
    values = iter(["first", "second"])

    async def reveal(_: Secret) -> str:
        value = next(values, None)
        if value is None:
            raise CredentialsError("Vault is sealed")
        return value

    to = sender(collector.url, reveal, headers={"api-key": Secret("x")})
    for name in ("a", "b", "c"):
        assert await sent(to, name)
    assert [headers["api-key"] for headers in collector.requests] == ["first", "second", "second"]


async def test_without_its_header_nothing_is_sent(collector: Collector) -> None:
    async def reveal(_: Secret) -> str:
        raise CredentialsError("Vault is sealed")

    assert not await sent(sender(collector.url, reveal, headers={"api-key": Secret("x")}))
    assert collector.requests == []


async def test_a_batch_is_sent_again_where_that_is_asked_for(collector: Collector) -> None:
    collector.status = 503
    sending_it = asyncio.create_task(sent(sender(collector.url)))
    await asyncio.to_thread(until, lambda: collector.refused > 1, 60)
    assert not sending_it.done()
    collector.status = 200
    assert await sending_it
    assert len(collector.named("poll")) == 1


async def test_a_batch_that_is_refused_is_not_sent_again(collector: Collector) -> None:
    collector.status = 400
    assert not await sent(sender(collector.url))
    assert collector.refused == 1


async def test_a_collector_that_hangs_is_waited_for_no_longer_than_that(collector: Collector) -> None:
    collector.answering.clear()
    began = time.monotonic()
    assert not await sent(sender(collector.url, timeout=0.5))
    assert 0.4 < time.monotonic() - began < 30


async def test_nothing_is_taken_after_the_end(collector: Collector) -> None:
    to = sender(collector.url)
    to.shutdown()
    assert not await sent(to)
    assert collector.requests == []


async def test_what_is_broken_off_at_the_end_is_told_with_what_kept_it() -> None:
    to = sender(f"http://127.0.0.1:{free_port()}", timeout=60.0)
    with capture_logs() as logs:
        sending_it = asyncio.create_task(sent(to))
        async with asyncio.timeout(60):
            while to._so_far is None:  # noqa: ASYNC110 - it was refused, and is tried again
                await asyncio.sleep(0.01)
        for task in asyncio.all_tasks():
            if getattr(task.get_coro(), "__name__", "") == "_deliver":
                task.cancel()
        assert not await sending_it
    assert [(line["event"], line["error"]) for line in logs] == [
        ("traces cannot be sent", "the exporter ended before: cannot be reached: Connection refused")
    ]
