"""Packs on the page: hostile labels, types in both formats, totals of others, what is left when a part is old."""

from __future__ import annotations

from support.exposition import Metrics
from support.parts import part

from exporter.domain import Histogram
from exporter.metrics import packs
from exporter.metrics.exposure import Exposure
from exporter.metrics.render import Renderer
from exporter.packs.answer import PackAnswer, Shown
from exporter.snapshot import SEPARATOR, Hub

HOSTILE = 'a"b\\c\n{}=,\u2028é'
COLLECTOR = "pack:p:q"


def page(*shown: Shown, openmetrics: bool = False, age: float = 5) -> str:
    """What a first scrape gets."""
    hub = Hub()
    answer = PackAnswer(pack="p", query="q", shown=shown, cursor_time=5.0, exact=True)
    hub.publish(part(COLLECTOR, answer, age=age))
    sources = {"pack": (f"{COLLECTOR}{SEPARATOR}main",)}
    renderer = Renderer(hub, (packs,), sources=lambda: sources, exposure=Exposure())
    return renderer.render(openmetrics=openmetrics, gzip=False).body.decode()


def shown(name: str, kind: str, value: float | Histogram, *, kept: bool = False) -> Shown:
    """A metric with one sample that has a hostile label."""
    return Shown(
        name=name,
        kind=kind,  # type: ignore[arg-type]
        help="With a \\ and\na new line.",
        labels=("name",),
        samples=(((HOSTILE,), value),),
        buckets=(1.0,) if kind == "histogram" else (),
        kept=kept,
    )


ALL = (
    shown("x_gauge", "gauge", 1.5),
    shown("x_reads", "counter", 7),
    shown("x_plain", "untyped", 3),
    shown("x_seconds", "histogram", Histogram((1, 2), 4.0)),
    shown("x_rows_total", "counter", 9, kept=True),
)


def test_hostile_labels_and_types_in_both_formats() -> None:
    text, openmetrics = Metrics(page(*ALL)), Metrics(page(*ALL, openmetrics=True), openmetrics=True)
    for metrics in (text, openmetrics):
        assert metrics.value("x_gauge", store="main", name=HOSTILE) == 1.5
        assert metrics.value("x_seconds_count", name=HOSTILE) == 3
        assert metrics.value("x_rows_total", name=HOSTILE) == 0, "ours begins at 0 until a scrape has seen it"
    # The library's parser of the text format gives such a counter the name that OpenMetrics would.
    assert text.value("x_reads_total", name=HOSTILE) == 7, "somebody else's total is never first 0"
    assert openmetrics.value("x_reads", name=HOSTILE) == 7
    assert "\nx_reads{" in page(*ALL)
    assert (text.types["x_reads"], text.types["x_plain"]) == ("counter", "unknown")
    assert (openmetrics.types["x_reads"], openmetrics.types["x_plain"]) == ("unknown", "unknown")
    assert openmetrics.types["x_rows"] == "counter"


def test_what_was_counted_outlives_its_part() -> None:
    metrics = Metrics(page(*ALL, age=1000))
    assert metrics.names() == {"x_rows_total"}
