"""The sidecar's processor time at default intervals: one store, 100 targets without TLS, scraped every 15 s.

    python -m benchmarks.cpu

Budget: at most 2% of one core. Processor time as the kernel books it, so that others on the machine matter little. The
history has been read into the statistics before, by a sidecar that was allowed more load.
"""

from __future__ import annotations

import statistics
import time

from benchmarks import kept
from benchmarks.report import Row, Sizes, run, spread
from benchmarks.sidecar import ROUND, Sidecar, history_read, one_store, running, scratch, share, targets
from benchmarks.startup import EXECUTIONS, complete

TARGETS = 100


def measure(sizes: Sizes) -> list[Row]:
    """The rows of BENCHMARKS.md."""
    executions = min(sizes.executions, EXECUTIONS)
    with kept.server() as server:
        store = kept.store(server, executions=executions, jobs=sizes.jobs)
        config = one_store(store) | targets(store, TARGETS)
        with scratch() as directory:
            with running(one_store(store, max_db_load=1.0), directory) as sidecar:
                sidecar.until(lambda: history_read(sidecar), 600, every=0.5)
            with running(config, directory) as sidecar:
                sidecar.until(lambda: complete(sidecar) and all_up(sidecar), 60, every=1)
                time.sleep(ROUND)
                sidecar.get("/metrics")  # a series is 0 until one scrape has seen it
                checked = sidecar.value("scheduling_connection_checks_total") or 0
                shares = [share(sidecar) for _ in range(max(3, sizes.rounds))]
                checked = (sidecar.value("scheduling_connection_checks_total") or 0) - checked
                healthy = sidecar.value("scheduling_connection_up")
    rate = checked / (len(shares) * ROUND)
    return [
        Row(f"share of one core, {TARGETS} targets", spread(shares, "%", 2), "<= 2%", statistics.median(shares) <= 2),
        Row("checks each second", f"{rate:.1f}"),
        Row("targets that are up", f"{healthy:.0f}" if healthy is not None else "unknown"),
    ]


def all_up(sidecar: Sidecar) -> bool:
    """Whether every target has been checked and is up."""
    return sidecar.value("scheduling_connection_up") == TARGETS


if __name__ == "__main__":
    run("cpu", measure)
