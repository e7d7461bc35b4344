"""Spans for those who make them: what belongs to what, what a log line has of it, and nothing where none is wanted."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from structlog.contextvars import bound_contextvars, get_contextvars

from exporter import tracing
from exporter.errors import StoreError
from exporter.logs import scrubber
from exporter.telemetry.outage import QUIET, Outage
from exporter.telemetry.provider import Tracing
from exporter.threads import in_thread

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
GIVEN = {"traceparent": f"00-{TRACE}-{PARENT}-01"}


class Made:
    """A tracer in use, and the spans that it made, by name."""

    def __init__(self, ratio: float | None = None) -> None:
        self._kept = InMemorySpanExporter()
        self._tracer = Tracing(self._kept, ratio=ratio, attributes={})
        tracing.use(self._tracer)

    def spans(self) -> dict[str, ReadableSpan]:
        """All that have ended; none is made afterwards."""
        tracing.use(None)
        self._tracer.close()
        return {span.name: span for span in self._kept.get_finished_spans()}


@pytest.fixture
async def made() -> AsyncIterator[Made]:
    world = Made()
    yield world
    world.spans()


def parent_of(span: ReadableSpan) -> int | None:
    return None if span.parent is None else span.parent.span_id


def id_of(span: ReadableSpan) -> int:
    assert span.context is not None
    return span.context.span_id


async def test_what_is_done_within_a_span_belongs_to_it(made: Made) -> None:
    async def inner() -> None:
        with tracing.span("inner", "sql"):
            await asyncio.sleep(0)

    with tracing.span("outer", "poll", attributes={"a": 1, "b": None}):
        await asyncio.create_task(inner())
        with tracing.span("apart", "check", root=True):
            pass
    spans = made.spans()
    assert parent_of(spans["inner"]) == id_of(spans["outer"])
    assert parent_of(spans["apart"]) is None
    assert dict(spans["outer"].attributes or {}) == {"a": 1, "operation.type": "poll"}


async def test_a_span_that_has_ended_is_nobodys_parent(made: Made) -> None:
    go = asyncio.Event()

    async def later() -> None:
        await go.wait()
        with tracing.span("later", "vault"):
            pass
        assert tracing.carried() == {}

    with tracing.span("first", "check"):
        task = asyncio.create_task(later())
        await asyncio.sleep(0)
    go.set()
    await task
    spans = made.spans()
    assert parent_of(spans["later"]) is None
    assert spans["later"].context is not None
    assert spans["first"].context is not None
    assert spans["later"].context.trace_id != spans["first"].context.trace_id


async def test_a_task_that_detaches_has_neither_trace_nor_request(made: Made) -> None:
    async def for_ever() -> dict[str, object]:
        tracing.detach()
        with tracing.span("poll", "poll"):
            return dict(get_contextvars())

    with bound_contextvars(request_id="r1"), tracing.span("reload", "request"):
        seen = await asyncio.create_task(for_ever())
    assert seen.keys() == {"trace_id", "span_id"}
    assert parent_of(made.spans()["poll"]) is None


async def test_a_callers_trace_is_gone_on_with_and_carried_on(made: Made) -> None:
    with tracing.span("request", "request", "server", caller={**GIVEN, "tracestate": "vendor=1"}):
        carried = tracing.carried()
        in_a_thread = await in_thread(tracing.carried, "tests")
        bound = get_contextvars()
    assert carried["traceparent"].startswith(f"00-{TRACE}-{bound['span_id']}-")
    assert carried["tracestate"] == "vendor=1"
    assert in_a_thread == carried
    assert bound["trace_id"] == TRACE
    assert get_contextvars() == {}
    assert f"{parent_of(made.spans()['request']):016x}" == PARENT


async def test_a_caller_who_is_not_sampled_is_not_traced_and_his_trace_goes_on(made: Made) -> None:
    with tracing.span("request", "request", "server", caller={"traceparent": f"00-{TRACE}-{PARENT}-00"}) as span:
        assert not span.recording
        assert tracing.carried()["traceparent"].endswith("-00")
        with tracing.span("inner", "sql") as inner:
            assert not inner.recording
    assert made.spans() == {}


async def test_nothing_is_kept_with_a_ratio_of_0() -> None:
    made = Made(ratio=0.0)
    with tracing.span("poll", "poll"), tracing.span("sql", "sql"):
        pass
    assert made.spans() == {}


async def test_errors_are_told_by_type_and_by_text_only_where_that_is_ours(made: Made) -> None:
    scrubber.add("a-password-that-was-fetched")
    for name, error in (("ours", StoreError("refused: a-password-that-was-fetched")), ("theirs", ValueError("row 17"))):
        with pytest.raises(type(error)), tracing.span(name, "poll") as span:
            span.set("dsn", "postgresql://u:a-password-that-was-fetched@db")
            raise error
    with pytest.raises(asyncio.CancelledError), tracing.span("ended", "poll"):
        raise asyncio.CancelledError
    spans = made.spans()
    assert spans["ours"].status.description == "refused: <secret>"
    assert spans["theirs"].status.description is None
    assert (spans["theirs"].attributes or {})["error.type"] == "ValueError"
    assert spans["ended"].status.is_unset
    assert spans["theirs"].events == ()
    assert "a-password" not in spans["ours"].to_json()


def test_where_nothing_is_traced_nothing_is_made_and_nothing_bound() -> None:
    assert tracing.span("a", "poll") is tracing.span("b", "check")
    with tracing.span("a", "poll", caller=GIVEN) as span:
        span.set("x", 1)
        span.failed("y")
        assert not span.recording
        assert get_contextvars() == {}
        assert tracing.carried() == {}


def test_a_callers_trace_is_in_the_log_whether_or_not_we_trace() -> None:
    assert tracing.told_by(GIVEN) == {"trace_id": TRACE}
    for bad in ("", "00-xyz", f"ff-{TRACE}-{PARENT}-01", f"00-{'0' * 32}-{PARENT}-01", f"00-{TRACE}-{'0' * 16}-01\n0"):
        assert tracing.told_by({"traceparent": bad}) == {}
    assert tracing.told_by({}) == {}


def test_neither_sdk_is_imported_by_a_program_that_wants_neither() -> None:
    code = (
        "import sys, exporter.app, exporter.telemetry;"
        "print([m for m in sys.modules if m.split('.')[0] in ('opentelemetry', 'sentry_sdk', 'google')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


class Said:
    """A logger that remembers, and the clock that it is about."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, dict[str, object]]] = []
        self.now = 1_000.0

    def warning(self, message: str, **fields: object) -> None:
        self.lines.append((message, fields))

    info = warning


def test_an_outage_is_one_line_an_hour_however_often_it_ends_and_begins() -> None:
    said = Said()
    outage = Outage(said, "lost", "again", clock=lambda: said.now, to="x")
    outage.taken()
    assert said.lines == []
    for _ in range(500):
        outage.failed("refused", 10)
    assert said.lines == [("lost", {"error": "refused", "lost": 10, "to": "x"})]
    outage.taken()
    for _ in range(100):
        outage.failed("refused", 1)
        outage.taken()
    assert [message for message, _ in said.lines] == ["lost", "again"]
    said.now += QUIET
    outage.failed("refused", 1)
    assert said.lines[-1] == ("lost", {"error": "refused", "lost": 101, "to": "x"})
