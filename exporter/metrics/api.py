"""Requests that the sidecar answered and queries that it ran. Reads the part ``process``."""

from __future__ import annotations

from typing import cast

from exporter.metrics.family import Families, View
from exporter.metrics.process import ProcessState

SCOPE = "process"
INPUTS = ("process",)


def collect(view: View) -> Families:
    """Counters and histograms only, so a stale part still shows."""
    part = view.parts.get("process")
    if part is not None:
        yield from cast(ProcessState, part.value).instruments
