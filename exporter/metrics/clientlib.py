"""Families of a client library's registry as ours."""

from __future__ import annotations

from itertools import pairwise
from typing import cast

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric

from exporter.domain import Histogram
from exporter.metrics.family import Families, Family, Kind, Sample


def from_client(registry: CollectorRegistry) -> Families:
    """Every gauge, counter and histogram of ``registry`` as it is now, without ``_created`` or empty ones."""
    for metric in registry.collect():
        if metric.samples and metric.type in ("gauge", "counter", "histogram"):
            yield _histogram(metric) if metric.type == "histogram" else _scalar(metric)


def _scalar(metric: Metric) -> tuple[Family, list[Sample]]:
    name = f"{metric.name}_total" if metric.type == "counter" else metric.name
    found = [s for s in metric.samples if s.name == name]
    labels = tuple(found[0].labels)
    samples: list[Sample] = [(tuple(s.labels[k] for k in labels), s.value) for s in found]
    return Family(name, cast(Kind, metric.type), metric.documentation, labels), samples


def _histogram(metric: Metric) -> tuple[Family, list[Sample]]:
    """The library gives cumulative buckets, one sample each; ours are counts by bucket in one value."""
    labels = tuple(k for k in metric.samples[0].labels if k != "le")
    cumulative: dict[tuple[str, ...], dict[float, int]] = {}
    sums: dict[tuple[str, ...], float] = {}
    for s in metric.samples:
        key = tuple(s.labels[k] for k in labels)
        if s.name.endswith("_bucket"):
            cumulative.setdefault(key, {})[float(s.labels["le"])] = int(s.value)
        elif s.name.endswith("_sum"):
            sums[key] = s.value
    samples: list[Sample] = [
        (key, Histogram(tuple(b - a for a, b in pairwise((0, *buckets.values()))), sums[key]))
        for key, buckets in cumulative.items()
    ]
    bounds = tuple(next(iter(cumulative.values())))[:-1]
    return Family(metric.name, "histogram", metric.documentation, labels, bounds), samples
