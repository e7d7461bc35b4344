"""Resident memory with one store of 1 M executions and 1 M jobs and 20 targets, scraped every second for 3 minutes.

    python -m benchmarks.memory

Budget: at most 72 MB. Beside it the memory right after the start, the peak, and the bare imports of the dependencies.
"""

from __future__ import annotations

import statistics
import time

from benchmarks import kept
from benchmarks.imports import bare
from benchmarks.report import Row, Sizes, run
from benchmarks.sidecar import one_store, running, targets
from benchmarks.startup import EXECUTIONS, complete

MINUTES = 3
TARGETS = 20
BUDGET = 72


def measure(sizes: Sizes) -> list[Row]:
    """The rows of BENCHMARKS.md."""
    executions = min(sizes.executions, EXECUTIONS)
    with kept.server() as server:
        store = kept.store(server, executions=executions, jobs=sizes.jobs)
        with running(one_store(store) | targets(store, TARGETS)) as sidecar:
            sidecar.until(lambda: complete(sidecar), 60)
            first = sidecar.rss()
            found = []
            for _ in range(60 * MINUTES):
                time.sleep(1)
                sidecar.get("/metrics")
                found.append(sidecar.rss())
            peak = sidecar.peak_rss()
            backfilled = sidecar.value("scheduling_exporter_backfill_ratio", store="main")
    settled = statistics.median(found[-30:])
    imports = bare()[1]
    return [
        Row("bare imports of the dependencies", f"{imports:.1f} MB"),
        Row("right after the first complete /metrics", f"{first:.1f} MB"),
        Row(f"after {MINUTES} minutes", f"{settled:.1f} MB", f"<= {BUDGET} MB", settled <= BUDGET),
        Row("beyond the bare imports", f"{settled - imports:.1f} MB"),
        Row("peak", f"{peak:.1f} MB"),
        Row("history backfilled by then", "unknown" if backfilled is None else f"{backfilled:.0%}"),
    ]


if __name__ == "__main__":
    run("memory", measure)
