"""From the start of the process to a first complete page of /metrics.

    python -m benchmarks.startup

Budgets: at most 2 s, and at most 1 s beyond a process that imports the dependencies and nothing else. Complete: every
collector of a store of 1 M executions and 1 M jobs has answered. State and store are warm, as at a restart.
"""

from __future__ import annotations

import statistics

from benchmarks import kept
from benchmarks.imports import bare
from benchmarks.report import Row, Sizes, run, spread
from benchmarks.sidecar import Sidecar, one_store, scratch, targets

EXECUTIONS = 1_000_000
COLLECTORS = 7
STARTS = 7


def complete(sidecar: Sidecar) -> bool:
    """Whether every collector has succeeded."""
    return (sidecar.value("scheduling_exporter_collector_success", source="main") or 0) >= COLLECTORS


def measure(sizes: Sizes) -> list[Row]:
    """The rows of BENCHMARKS.md."""
    executions = min(sizes.executions, EXECUTIONS)
    with kept.server() as server, scratch() as directory:
        store = kept.store(server, executions=executions, jobs=sizes.jobs)
        first, whole, imports, cpu = [], [], [], []
        for _ in range(STARTS):
            sidecar = Sidecar(directory, one_store(store) | targets(store, 20))
            try:
                began = sidecar.start()
                first.append(began)
                whole.append(began + sidecar.until(lambda sidecar=sidecar: complete(sidecar), 60))  # type: ignore[misc]
                cpu.append(sidecar.cpu())
            finally:
                sidecar.stop()
            imports.append(bare()[0])
    beyond = [w - i for w, i in zip(whole, imports, strict=True)]
    return [
        Row("bare imports of the dependencies", spread(imports, " s", 2)),
        Row("first answer on /metrics", spread(first, " s", 2)),
        Row("first complete /metrics", spread(whole, " s", 2), "<= 2 s", statistics.median(whole) <= 2),
        Row("beyond the bare imports", spread(beyond, " s", 2), "<= 1 s", statistics.median(beyond) <= 1),
        Row("processor time up to there", spread(cpu, " s", 2)),
    ]


if __name__ == "__main__":
    run("startup", measure)
