"""Resident memory with one store of 1 M executions and 1 M jobs and 20 targets, scraped every second for 3 minutes.

    python -m benchmarks.memory

Budgets: at most 72 MB once the history has been read into the statistics (at full load, so that nobody waits for it);
50 MB that are its own, as the image runs it. Beside it the memory right after the start, the peak meanwhile, and the
bare imports of the dependencies.
"""

from __future__ import annotations

import statistics
import time

from benchmarks import kept
from benchmarks.imports import bare
from benchmarks.report import Row, Sizes, run
from benchmarks.sidecar import IMAGE, Sidecar, history_read, one_store, running, targets
from benchmarks.startup import EXECUTIONS, complete

MINUTES = 3
TARGETS = 20
BUDGET = 72
#: What would be free without it: the specification's promise.
PRIVATE = 50


def measure(sizes: Sizes) -> list[Row]:
    """The rows of BENCHMARKS.md."""
    executions = min(sizes.executions, EXECUTIONS)
    with kept.server() as server:
        store = kept.store(server, executions=executions, jobs=sizes.jobs)
        config = one_store(store, max_db_load=1.0) | targets(store, TARGETS)
        with running(config) as sidecar:
            sidecar.until(lambda: complete(sidecar), 60)
            first = sidecar.rss()
            waited = sidecar.until(lambda: history_read(sidecar), 600, every=0.5)
            peak = sidecar.peak_rss()
            settled = scraped(sidecar, MINUTES)
            private, written = sidecar.uss(), sidecar.written()
        with running(config, environment=IMAGE) as sidecar:
            pass  # compiles, as the image is
        with running(config, environment=IMAGE) as sidecar:
            sidecar.until(lambda: history_read(sidecar), 600, every=0.5)
            scraped(sidecar, MINUTES)
            of_image = sidecar.uss()
    imports = bare()[1]
    return [
        Row("bare imports of the dependencies", f"{imports:.1f} MB"),
        Row("right after the first complete /metrics", f"{first:.1f} MB"),
        Row(f"{MINUTES} minutes after history was read", f"{settled:.1f} MB", f"<= {BUDGET} MB", settled <= BUDGET),
        Row("private memory that was written, then", f"{written:.1f} MB"),
        Row("private memory (USS) then", f"{private:.1f} MB", f"<= {PRIVATE} MB", private <= PRIVATE),
        Row("private memory (USS) then, in the image", f"{of_image:.1f} MB", f"<= {PRIVATE} MB", of_image <= PRIVATE),
        Row("beyond the bare imports", f"{settled - imports:.1f} MB"),
        Row(f"peak while history is read ({waited:.0f} s)", f"{peak:.1f} MB"),
    ]


def scraped(sidecar: Sidecar, minutes: int) -> float:
    """Resident memory in MB at the end of so many minutes of a scrape each second: the last 30 s' median."""
    found = []
    for _ in range(60 * minutes):
        time.sleep(1)
        sidecar.get("/metrics")
        found.append(sidecar.rss())
    return statistics.median(found[-30:])


if __name__ == "__main__":
    run("memory", measure)
