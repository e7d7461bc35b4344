"""Names of metrics and labels: which are allowed, which are taken."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

METRIC_NAME: Final = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
LABEL_NAME: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
#: Names of our own that a pack may give too, of the same type: the scheduling worker's spec has them, and a series of a
#: pack is always told from ours by its label ``store``.
SHARED: Final = frozenset(
    {
        "scheduling_api_requests_total",
        "scheduling_api_request_duration_seconds",
        "scheduling_api_request_size_bytes",
        "scheduling_api_response_size_bytes",
        "scheduling_db_connections_active",
        "scheduling_db_query_duration_seconds",
        "scheduling_redis_operations_total",
        "scheduling_kafka_messages_produced_total",
        "scheduling_kafka_messages_consumed_total",
    }
)
#: Labels that are set by us, or mean something to Prometheus.
_RESERVED_LABELS: Final = {
    "store": "the exporter sets it to the store's name",
    "le": "histograms have it for their buckets",
    "quantile": "summaries have it for their quantiles",
}


def metric_fault(name: str) -> str | None:
    """What is wrong with a metric's name."""
    if METRIC_NAME.fullmatch(name):
        return None
    return "expected a metric's name: letters, digits, _ and :, no digit first"


def label_fault(name: str) -> str | None:
    """What is wrong with a label's name, and what to do."""
    rename = "give the column another name in the SELECT (AS ...)"
    if name in _RESERVED_LABELS:
        return f"the label {name} is reserved: {_RESERVED_LABELS[name]}; {rename}"
    if name.startswith("__"):
        return f"labels that begin with __ are Prometheus' own; {rename}"
    if not LABEL_NAME.fullmatch(name):
        return f"expected a label's name: letters, digits and _, no digit first; {rename}"
    return None


def samples(name: str, kind: str) -> Iterator[str]:
    """The names under which a family is on the page, in either format."""
    yield name
    if kind == "histogram":
        yield from (f"{name}_bucket", f"{name}_count", f"{name}_sum")
    if kind == "counter":
        yield name.removesuffix("_total")


class Taken:
    """Which names are taken on one page, and by whom. ``ours``: name -> type of the exporter's own metrics."""

    def __init__(self, ours: Mapping[str, str]) -> None:
        self._ours = ours
        self._by: dict[str, str] = {}
        for name, kind in ours.items():
            self._by.update(dict.fromkeys(samples(name, kind), f"the exporter's own {kind} {name}"))

    def take(self, name: str, kind: str, by: str) -> str | None:
        """Take a metric's names; why they cannot be had, if they cannot."""
        if name in SHARED and self._ours.get(name) == kind:
            mine = [f"\x1f{sample}" for sample in samples(name, kind)]  # apart from ours, not from each other
        else:
            mine = list(samples(name, kind))
        for sample in mine:
            if sample in self._by:
                shown = sample.removeprefix("\x1f")
                what = f"the name {shown}" if shown == name else f"its sample {shown}"
                return f"{what} is taken by {self._by[sample]}; choose another name"
        self._by.update(dict.fromkeys(mine, by))
        return None
