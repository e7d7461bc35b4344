"""Our lines against the client library's own writers and parsers, and promtool's."""

from __future__ import annotations

import math
import re
import shutil
import subprocess
from collections.abc import Callable, Iterable
from itertools import accumulate
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.core import (
    Exemplar as LibraryExemplar,
)
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text
from prometheus_client.registry import CollectorRegistry
from prometheus_client.utils import floatToGoString

from exporter.domain import Exemplar, Histogram
from exporter.metrics.exposition import (
    EOF,
    annotate,
    body,
    go_float,
    header,
    prefixes,
    select,
    texts,
)
from exporter.metrics.family import Family, Sample

Page = list[tuple[Family, list[Sample]]]

ODD = [
    "",
    "plain",
    'quo"te',
    "back\\slash",
    "new\nline",
    "\\n",
    "é 漢字 🎉",
    "a=b,c}d{",
    " # ",
    "100%s",
    "\r\t",
    "\x00",
]
values = st.one_of(st.sampled_from(ODD), st.text(st.characters(exclude_categories=("Cs",)), max_size=12))
numbers = st.one_of(
    st.floats(),
    st.integers(-(10**9), 10**12),
    st.sampled_from([999999.0, 1e6, 1e9, 1e10, 1.5e15, 1e16, 1e21, 1e-5, 0.1, math.inf, -math.inf, math.nan]),
    st.floats(1.6e9, 1.9e9),
)
positive = st.one_of(st.floats(0, allow_nan=False), st.integers(0, 10**12), st.floats(1.6e9, 1.9e9))


@st.composite
def histograms(draw: st.DrawFn, buckets: int) -> Histogram:
    counts = draw(st.lists(st.integers(0, 10**7), min_size=buckets + 1, max_size=buckets + 1))
    exemplar = st.builds(
        Exemplar,
        execution_id=st.text(st.characters(exclude_categories=("Cs",)), max_size=140),
        value=st.floats(0, 1e9),
        timestamp=st.floats(1.6e9, 1.9e9),
    )
    some = st.lists(st.none() | exemplar, min_size=buckets + 1, max_size=buckets + 1)
    return Histogram(tuple(counts), draw(st.floats(0, 1e15)), tuple(draw(st.just([]) | some)))


@st.composite
def families(draw: st.DrawFn, number: int) -> tuple[Family, list[Sample]]:
    kind = draw(st.sampled_from(["gauge", "counter", "histogram"]))
    labels = tuple(draw(st.lists(st.sampled_from(["store", "a", "le_", "task_type", "z"]), unique=True)))
    bounds = draw(st.lists(st.floats(0, 1e7), unique=True, max_size=5)) if kind == "histogram" else []
    name = f"scheduling_f{number}" + ("_total" if kind == "counter" else "")
    text = draw(st.text(st.characters(exclude_categories=("Cs", "Cc", "Zs", "Zl", "Zp")), min_size=1)) + '\\ "\nx'
    family = Family(name, kind, text, labels, tuple(sorted(bounds)))
    value: st.SearchStrategy[Any] = {
        "gauge": numbers,
        "counter": positive,
        "histogram": histograms(len(bounds)),
    }[kind]
    series = st.tuples(*[values for _ in labels])
    found = draw(st.dictionaries(series, value, min_size=1, max_size=4))
    return family, list(found.items())


pages = st.tuples(*[families(n) for n in range(3)]).map(list)


def ours(page: Page, *, openmetrics: bool) -> str:
    parts = []
    for family, samples in page:
        lines = texts(family, samples)
        if openmetrics and family.kind == "histogram":
            annotate(samples, lines)
        parts += [
            header(family, openmetrics=openmetrics),
            body(prefixes(family, [s for s, _ in samples]), lines),
        ]
    return b"".join([*parts, *([EOF] if openmetrics else [])]).decode()


class Library:
    """The same families as the client library's own."""

    def __init__(self, page: Page) -> None:
        self.page = page

    def collect(self) -> Any:
        for family, samples in self.page:
            if family.kind == "histogram":
                metric: Any = HistogramMetricFamily(family.name, family.help, labels=family.labels)
                for labels, value in samples:
                    histogram = cast(Histogram, value)
                    metric.add_metric(labels, _buckets(family, histogram), histogram.sum)
            else:
                kind = {"gauge": GaugeMetricFamily, "counter": CounterMetricFamily}[family.kind]
                metric = kind(family.name, family.help, labels=family.labels)
                for labels, value in samples:
                    metric.add_metric(labels, value)
            yield metric


def _buckets(family: Family, histogram: Histogram) -> list[Any]:
    bounds = [*map(floatToGoString, family.buckets), "+Inf"]
    exemplars = histogram.exemplars or (None,) * len(bounds)
    return [
        (bound, count, LibraryExemplar({"execution_id": e.execution_id}, e.value, e.timestamp))
        if e is not None and len(e.execution_id) + len("execution_id") <= 128
        else (bound, count)
        for bound, count, e in zip(bounds, accumulate(histogram.counts), exemplars, strict=True)
    ]


def registry(page: Page) -> CollectorRegistry:
    found = CollectorRegistry()
    found.register(Library(page))
    return found


def parsed(parse: Callable[[str], Iterable[Metric]], text: str) -> list[str]:
    """What the library's parser reads, or its complaint: an exemplar with a quote is too much for it."""
    try:
        return [*map(repr, parse(text))]
    except ValueError as error:
        assert "\\" in text
        return [str(error)]


@given(numbers)
def test_numbers_are_written_as_the_library_does(number: float) -> None:
    assert go_float(float(number)) == floatToGoString(number)


@settings(deadline=None, max_examples=60)
@given(pages)
def test_the_text_format_is_the_librarys(page: Page) -> None:
    expected = generate_latest(registry(page)).decode()
    assert ours(page, openmetrics=False) == expected
    assert parsed(parse_text, ours(page, openmetrics=False)) == parsed(parse_text, expected)


@settings(deadline=None, max_examples=60)
@given(pages)
def test_openmetrics_is_the_librarys(page: Page) -> None:
    expected = generate_openmetrics(registry(page)).decode()
    assert ours(page, openmetrics=True) == expected
    assert parsed(parse_openmetrics, ours(page, openmetrics=True)) == parsed(parse_openmetrics, expected)


@settings(max_examples=15, deadline=None)
@given(pages)
@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_promtool_reads_the_text_format(page: Page) -> None:
    """Prometheus's own parser accepts odd labels and numbers."""
    text = ours(page, openmetrics=False).encode()
    command = ["promtool", "check", "metrics"]
    found = subprocess.run(command, input=text, capture_output=True, check=False)
    assert (found.returncode, found.stderr) == (0, b""), found.stdout


def test_a_lone_surrogate_costs_a_character_not_the_page() -> None:
    family = Family("x", "gauge", "h", ("a",))
    assert body(prefixes(family, [("\udcff",)]), ["1.0"]) == b'x{a="?"} 1.0\n'


def test_a_label_value_of_kilobytes_is_cut_and_stays_the_only_one_of_its_kind() -> None:
    family = Family("tasks", "Tasks.", "gauge", ("task_type",))
    longest = "\u00fc" * 256
    told = prefixes(family, [(longest,), (longest + "a",), (longest + "b",), ("x" * 10_000,)])
    found = [line.partition('"')[2].rpartition('"')[0] for line in told]
    assert found[0] == longest, "as it is"
    assert len(set(found)) == 4
    assert all(len(value) == 256 for value in found)
    assert all(re.fullmatch(r"(\u00fc{239}|x{239})\u2026[0-9a-f]{16}", value) for value in found[1:])
    assert prefixes(family, [("x" * 10_000,)])[0] == told[3].removeprefix("\n"), "always the same"
    assert '\\"' in prefixes(family, [('"' * 300,)])[0], "escaped after it is cut"


def test_label_values_must_match_the_labels() -> None:
    family = Family("x", "gauge", "h", ("a", "b"))
    with pytest.raises(ValueError, match="zip"):
        prefixes(family, [("1",)])


def test_a_histogram_must_have_its_buckets() -> None:
    family = Family("x", "histogram", "h", (), (1.0,))
    samples: list[Sample] = [((), Histogram((1, 2, 3), 1.0))]
    with pytest.raises(ValueError, match="slice"):
        body(prefixes(family, [()]), texts(family, samples))


HISTOGRAM = b"""\
h_bucket{le="1.0"} 1.0
h_bucket{le="+Inf"} 2.0
h_count 2.0
h_sum 3.0
"""


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ({"h"}, HISTOGRAM),
        ({"h_sum"}, b"h_sum 3.0\n"),
        ({"h_count", "h_sum"}, b"h_count 2.0\nh_sum 3.0\n"),
        ({"h_bucket"}, b'h_bucket{le="1.0"} 1.0\nh_bucket{le="+Inf"} 2.0\n'),
        ({"h_s", "other"}, b""),
    ],
)
def test_samples_are_selected_by_name(names: set[str], expected: bytes) -> None:
    assert select(Family("h", "histogram", "h", (), (1.0,)), HISTOGRAM, frozenset(names)) == expected


def test_a_counter_goes_by_either_of_its_names() -> None:
    family = Family("c_total", "counter", "h")
    assert [select(family, b"c_total 1.0\n", frozenset({n})) for n in ("c", "c_total", "c_to")] == [
        b"c_total 1.0\n",
        b"c_total 1.0\n",
        b"",
    ]


def test_a_carriage_return_ends_no_line() -> None:
    family = Family("h", "histogram", "h", ("a",))
    lines = b'h_sum{a="x\rh_count{"} 1.0\n'
    assert select(family, lines, frozenset({"h_sum"})) == lines
