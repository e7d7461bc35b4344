"""Names of the exporter's own metrics: what nobody else may give."""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType
from typing import cast

from exporter.instruments import ApiInstruments, QueryInstruments, RemediationInstruments, RequestInstruments
from exporter.metrics import COLLECTORS
from exporter.metrics.clientlib import from_client
from exporter.metrics.family import Family

#: The client library's, on every page.
_CLIENT = {
    "process_virtual_memory_bytes": "gauge",
    "process_resident_memory_bytes": "gauge",
    "process_start_time_seconds": "gauge",
    "process_cpu_seconds_total": "counter",
    "process_open_fds": "gauge",
    "process_max_fds": "gauge",
    "python_info": "gauge",
}


def families(module: ModuleType) -> Iterator[Family]:
    """The families that ``module`` declares at its top level, alone or in a tuple."""
    for value in vars(module).values():
        candidates = value if isinstance(value, tuple) else (value,)
        yield from (item for item in candidates if isinstance(item, Family))


def instruments() -> Iterator[Family]:
    """The families of the instruments, each observed once: the client library tells labels by its samples."""
    requests, queries, remedies = ApiInstruments(), QueryInstruments(), RemediationInstruments()
    requests.observe(method="GET", endpoint="/", status=200, seconds=0, request_bytes=0, response_bytes=0)
    queries.observe(query="running", seconds=0, store="main")
    remedies.know(["rule"])
    asked = RequestInstruments()
    asked.observe(store="main", endpoint="/", result="ok")
    for registry in (requests.registry, queries.registry, asked.registry, remedies.registry):
        yield from (family for family, _ in from_client(registry))


def ours() -> dict[str, str]:
    """Name -> type of every metric of the exporter's own."""
    found = dict(_CLIENT)
    for collector in COLLECTORS:
        found.update((family.name, family.kind) for family in families(cast(ModuleType, collector)))
    found.update((family.name, family.kind) for family in instruments())
    return found
