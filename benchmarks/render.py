"""The cost of a scrape: our renderer against the client library's writers, at equal series, in one run.

    python -m benchmarks.render [--series 5000] [--rounds 31]

Prints medians of process CPU time in milliseconds, and how many times the client library's OpenMetrics writer
takes. Budget: about 1.4 ms for 5,000 series of which every value changed, with prepared label strings. Half
of the samples are histogram lines, a quarter counters, a quarter Unix times; every value differs from round
to round.
"""

from __future__ import annotations

import argparse
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

DURATION = Family(
    "scheduling_execution_duration_seconds", "histogram", "x", ("store", "task_type"), EXECUTION_BUCKETS
)
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
        self.histograms = [
            ("main", f"send_email_{i}") for i in range(2 * quarter // (len(EXECUTION_BUCKETS) + 3))
        ]
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
        self.exposure = Exposure()
        for family in self.families:
            self.exposure._exposed.update(self.exposure.gate(family, data.samples(family, 0))[1])
        self.renderer = Renderer(
            self.hub,
            [
                SimpleNamespace(SCOPE="store", INPUTS=(f.name,), collect=self._collector(f))
                for f in self.families
            ],
            sources=lambda: {"store": ("main",)},
            exposure=self.exposure,
        )

    def _collector(self, family: Family) -> Collector:
        def collect(view: View) -> Families:
            yield family, view.parts[family.name].value

        return SimpleNamespace(SCOPE="store", INPUTS=(family.name,), collect=collect)  # type: ignore[return-value]

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


def cpu(work: Callable[[], object], rounds: int, before: Callable[[], object] = lambda: None) -> float:
    """The median of ``work``'s process CPU time in milliseconds; ``before`` is not counted."""
    found = []
    for _ in range(rounds + 1):
        before()
        start = time.process_time_ns()
        work()
        found.append((time.process_time_ns() - start) / 1e6)
    return statistics.median(found[1:])


def measure(series: int, rounds: int) -> dict[str, tuple[float, int]]:
    """Milliseconds and bytes by case."""
    data = Data(series)
    ours, peer, registry = Ours(data), Peer(data), CollectorRegistry()
    registry.register(peer)

    def page(*, gzip: bool) -> bytes:
        return ours.renderer.render(openmetrics=True, gzip=gzip).body

    def plain() -> bytes:
        return page(gzip=False)

    def zipped() -> bytes:
        return page(gzip=True)

    def openmetrics() -> bytes:
        return generate_openmetrics(registry)

    def text() -> bytes:
        return generate_latest(registry)

    def all_new() -> None:
        ours.publish(*Ours.families)

    def one_new() -> None:
        ours.publish(EXECUTIONS)

    all_new()
    few = rounds // 3
    return {
        "client library, OpenMetrics": (cpu(openmetrics, few, peer.prepare), len(openmetrics())),
        "client library, text": (cpu(text, few, peer.prepare), len(text())),
        "ours, every value changed": (cpu(plain, rounds, all_new), len(plain())),
        "ours, every value changed, gzip": (cpu(zipped, rounds, all_new), len(zipped())),
        "ours, one family changed": (cpu(plain, rounds, one_new), len(plain())),
        "ours, one family changed, gzip": (cpu(zipped, rounds, one_new), len(zipped())),
        "ours, nothing changed, gzip": (cpu(zipped, rounds), len(zipped())),
    }


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
