"""The cost of a scrape: our renderer against the client library's writers, at equal series, in one run.

    python -m benchmarks.render [--series 5000] [--rounds 31]

Prints medians of process CPU time in milliseconds, and how many times the client library's OpenMetrics writer
takes. Budget: about 1.4 ms for 5,000 series of which every value changed, with prepared label strings. Half
of the samples are histogram lines, a quarter counters, a quarter Unix times; every value differs from round
to round.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time
from collections.abc import Callable, Iterator
from itertools import accumulate
from types import SimpleNamespace
from typing import cast

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.utils import floatToGoString

from exporter.domain import EXECUTION_BUCKETS, Histogram
from exporter.metrics.exposure import Exposure
from exporter.metrics.family import Families, Family, Sample, View
from exporter.metrics.render import Collector, Renderer
from exporter.snapshot import Hub, Part

DURATION = Family("scheduling_execution_duration_seconds", "histogram", "x", ("store", "task_type"), EXECUTION_BUCKETS)
EXECUTIONS = Family("scheduling_executions_total", "counter", "x", ("store", "task_type", "status"))
NEXT_RUN = Family(
    "scheduling_job_next_run_timestamp_seconds", "gauge", "x", ("store", "job_id", "job_name", "task_type")
)
LINES = len(EXECUTION_BUCKETS) + 3  # +Inf, _count, _sum
STATUSES = ("success", "failed", "timeout", "cancelled")


class Data:
    """The same series again and again, with other values in every round."""

    def __init__(self, series: int) -> None:
        quarter = series // 4
        self.histograms = [("main", f"send_email_{i}") for i in range(2 * quarter // (len(EXECUTION_BUCKETS) + 3))]
        self.counters = [("main", f"send_email_{i // 4}", STATUSES[i % 4]) for i in range(quarter)]
        self.gauges = [("main", str(i), f"job {i}", f"t{i % 20}") for i in range(quarter)]
        self.buckets = range(len(EXECUTION_BUCKETS) + 1)

    def samples(self, family: Family, turn: int) -> list[Sample]:
        """The samples of one family in one round."""
        if family is DURATION:
            return [
                (s, Histogram(tuple((i * 7 + b + turn) % 97 for b in self.buckets), i * 1.37 + turn))
                for i, s in enumerate(self.histograms)
            ]
        if family is EXECUTIONS:
            return [(s, i * 7 + turn) for i, s in enumerate(self.counters)]
        return [(s, 1.7e9 + i * 0.5 + turn) for i, s in enumerate(self.gauges)]


class Peer:
    """A client library's collector that yields the same families."""

    def __init__(self, data: Data) -> None:
        self.data, self.turn = data, 0
        self.prepare()

    def prepare(self) -> None:
        """The values that the next collection shows."""
        self.turn += 1
        self.samples = {family.name: self.data.samples(family, self.turn) for family in Ours.families}

    def collect(self) -> Iterator[Metric]:
        """Metric families of the client library."""
        bounds = [*map(floatToGoString, EXECUTION_BUCKETS), "+Inf"]
        duration = HistogramMetricFamily(DURATION.name, "x", labels=DURATION.labels)
        for labels, value in self.samples[DURATION.name]:
            histogram = cast(Histogram, value)
            counts = zip(bounds, accumulate(histogram.counts), strict=True)
            duration.add_metric(labels, list(counts), histogram.sum)
        yield duration
        executions = CounterMetricFamily(EXECUTIONS.name, "x", labels=EXECUTIONS.labels)
        for labels, value in self.samples[EXECUTIONS.name]:
            executions.add_metric(labels, cast(float, value))
        yield executions
        next_run = GaugeMetricFamily(NEXT_RUN.name, "x", labels=NEXT_RUN.labels)
        for labels, value in self.samples[NEXT_RUN.name]:
            next_run.add_metric(labels, cast(float, value))
        yield next_run


class Ours:
    """A renderer with one collector for each family, so that one may change alone."""

    families = (DURATION, EXECUTIONS, NEXT_RUN)

    def __init__(self, data: Data) -> None:
        self.data, self.turn, self.hub = data, 0, Hub()
        self.renderer = Renderer(
            self.hub,
            [self._collector(family) for family in self.families],
            sources=lambda: {"store": ("main",)},
            exposure=Exposure(),
        )

    def _collector(self, family: Family) -> Collector:
        def collect(view: View) -> Families:
            yield family, view.parts[family.name].value

        return SimpleNamespace(SCOPE="store", INPUTS=(family.name,), collect=collect)

    def publish(self, *families: Family) -> None:
        """New samples of ``families``."""
        self.turn += 1
        self.hub.publish(*(_part(f.name, self.data.samples(f, self.turn)) for f in families))


def _part(name: str, value: list[Sample]) -> Part:
    return Part(
        collector=name,
        source="main",
        value=value,
        success=True,
        collected_at=time.time(),
        collected_mono=time.monotonic(),
        duration=0.01,
        interval=15,
        staleness=300,
    )


Case = tuple[Callable[[], object], Callable[[], bytes]]


def cases(data: Data) -> dict[str, Case]:
    """What is done before (not counted) and what is measured."""
    ours, peer, registry = Ours(data), Peer(data), CollectorRegistry()
    registry.register(peer)

    def plain() -> bytes:
        return ours.renderer.render(openmetrics=True, gzip=False).body

    def zipped() -> bytes:
        return ours.renderer.render(openmetrics=True, gzip=True).body

    def openmetrics() -> bytes:
        return bytes(generate_openmetrics(registry))  # type: ignore[no-untyped-call]

    def text() -> bytes:
        return generate_latest(registry)

    def all_new() -> None:
        ours.publish(*Ours.families)

    def one_new() -> None:
        zipped()
        ours.publish(EXECUTIONS)

    all_new()
    asyncio.run(ours.renderer.served(ours.renderer.render(openmetrics=True, gzip=False)))
    return {
        "client library, OpenMetrics": (peer.prepare, openmetrics),
        "client library, text": (peer.prepare, text),
        "ours, every value changed": (all_new, plain),
        "ours, every value changed, gzip": (all_new, zipped),
        "ours, one family changed": (one_new, plain),
        "ours, one family changed, gzip": (one_new, zipped),
        "ours, nothing changed, gzip": (zipped, zipped),
    }


def measure(series: int, rounds: int) -> dict[str, tuple[float, int]]:
    """Milliseconds and bytes by case. The cases take turns, so that a slow spell of the machine meets all."""
    measured = cases(Data(series))
    spent: dict[str, list[int]] = {case: [] for case in measured}
    sizes: dict[str, int] = {}
    for _ in range(rounds):
        for case, (before, work) in measured.items():
            before()
            start = time.process_time_ns()
            page = work()
            spent[case].append(time.process_time_ns() - start)
            sizes[case] = len(page)
    return {case: (statistics.median(found) / 1e6, sizes[case]) for case, found in spent.items()}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="The cost of a scrape against the client library's writers.")
    parser.add_argument("--series", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=31)
    arguments = parser.parse_args()
    found = measure(arguments.series, arguments.rounds)
    peer = found["client library, OpenMetrics"][0]
    print(f"{arguments.series} series, medians of {arguments.rounds} rounds")
    print(f"{'case':<34}{'ms CPU':>10}{'times':>10}{'bytes':>10}")
    for case, (spent, size) in found.items():
        print(f"{case:<34}{spent:>10.3f}{peer / max(spent, 1e-3):>10.0f}{size:>10}")


if __name__ == "__main__":
    main()
