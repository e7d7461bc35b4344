"""One target's metrics as a page of their own, for ``/probe``: what its last check found, as the blackbox exporter says
it (``probe_success``), and everything that ``connections`` tells of it. Text format 0.0.4.
"""

from __future__ import annotations

import time
from typing import Final

from exporter.connections import COLLECTOR, ConnectionState
from exporter.metrics import connections
from exporter.metrics.exposition import body, header, prefixes, texts
from exporter.metrics.family import Family, Sample, View
from exporter.snapshot import Snapshot

_SUCCESS: Final = Family("probe_success", "gauge", "Whether the last check of the target reached the end: 1 or 0.")
_DURATION: Final = Family("probe_duration_seconds", "gauge", "Duration of the last check of the target.")


def page(snapshot: Snapshot, target: str) -> bytes:
    """The page of a target; only ``probe_success`` 0 while nothing is known of it that is fresh."""
    part = snapshot.part(COLLECTOR, target)
    fresh = part is not None and part.fresh(time.monotonic())
    known = {} if part is None else {COLLECTOR: part}
    view = View(target, known, frozenset(() if fresh else known))
    state = view.fresh(COLLECTOR)
    result = state.result if isinstance(state, ConnectionState) else None
    found: list[tuple[Family, list[Sample]]] = [
        (_SUCCESS, [((), float(result is not None and result.is_healthy))]),
        (_DURATION, [((), result.response_seconds)] if result is not None else []),
        *connections.collect(view),
    ]
    return b"".join(
        header(family, openmetrics=False)
        + body(prefixes(family, [labels for labels, _ in samples]), texts(family, samples))
        for family, samples in found
        if samples
    )
