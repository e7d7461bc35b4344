"""Writes docs/metrics.md from the code: ``python tools/metrics_doc.py``. A test holds the file to this output."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import cast, get_args

from exporter.config.model import AnyDependency, Config, Dsn, PostgresStore
from exporter.config.shapes import tag_of
from exporter.connections import BACKEND_STATES, STAGES, Result
from exporter.domain import (
    FINAL_STATUSES,
    JOB_STATUSES,
    JOB_TYPES,
    OPERATION_STAGES,
    WORKER_STATES,
)
from exporter.instruments import REMEDIES
from exporter.metrics import COLLECTORS, api
from exporter.metrics.exposition import go_float
from exporter.metrics.family import Family
from exporter.metrics.names import families, instruments, ours
from exporter.metrics.packs import family_of
from exporter.packs.load import load_packs, shipped
from exporter.vault import OPERATIONS, RESULTS

TARGET = Path(__file__).parents[1] / "docs" / "metrics.md"

#: Module name -> heading. A module that is missing here gets its name.
HEADINGS = {
    "store": "Stores",
    "jobs": "Jobs and queues",
    "executions": "Executions and how they are counted",
    "running": "What runs now, workers, operations",
    "reported": "What schedulers with an API of their own tell",
    "connections": "PostgreSQL connections",
    "connection_checks": "All connection checks together",
    "vault": "Vault",
    "dependencies": "Dependencies",
    "packs": "Packs",
    "sidecar": "The exporter itself",
    "collectors": "Collection",
    "process": "The system it runs on",
    "api": "Requests answered, queries run",
}

INTRODUCTION = """\
# Metrics

<!-- Written by tools/metrics_doc.py. Change the help texts in exporter/metrics/, then run it again. -->

What every metric keeps to:

- **Unknown is absent, never 0.** A profile that does not map an entity has no metrics of it. A gauge whose value is
  older than the store's `staleness` is withdrawn. Two say 0 for unknown, because alerts lean on them:
  `scheduling_store_up` and, once there was a check, `scheduling_connection_up` and `scheduling_dependency_up`.
- **Counters outlive restarts** where the table says *kept*: they are in the state file. Others begin at 0 with the
  process.
- **A new counter or histogram series is 0 until one scrape has been served**, then it takes its value. So
  `increase()` sees the first failure too.
- **Ages are start times** (`_timestamp_seconds`, Unix time). Write `time() - metric` in queries.
- Labels that can take many values are bounded by `limits.series_per_metric` (default 500 series of one metric in one
  store). What is left out is added up under the label value `other` where adding makes sense, and counted in
  `scheduling_exporter_series_dropped`.
- A label value has at most 256 characters. A longer one is cut, and ends in `…` and a digest of the whole, so that two
  remain two.
- OpenMetrics is negotiated. There, buckets of `scheduling_execution_duration_seconds` carry an exemplar with the
  `execution_id`.
- `/metrics?name[]=NAME` gives only the metrics so named; the parameter may be repeated.
"""


def label_values() -> Iterator[str]:
    """The values of labels that have a fixed set of them."""
    rows = (
        ("scheduling_jobs", "status", JOB_STATUSES),
        ("scheduling_jobs", "type", JOB_TYPES),
        ("scheduling_queue_jobs", "state", ("ready", "scheduled", "running")),
        ("scheduling_executions_total, scheduling_worker_executions_total", "status", _lower(FINAL_STATUSES)),
        ("scheduling_job_consecutive_failures", "critical", ("true", "false")),
        ("scheduling_workers", "state", WORKER_STATES),
        ("scheduling_operations", "stage", OPERATION_STAGES),
        ("scheduling_connection_check_stage_seconds", "stage", STAGES),
        ("scheduling_connection_check_failures_total", "result", tuple(r for r in get_args(Result) if r != "ok")),
        ("scheduling_db_connections", "state", BACKEND_STATES),
        ("scheduling_exporter_remediations_total", "result", REMEDIES),
        ("scheduling_vault_requests_total", "operation", OPERATIONS),
        ("scheduling_vault_requests_total", "result", RESULTS),
        (
            "scheduling_dependency_up, scheduling_dependency_response_seconds",
            "kind",
            tuple(str(tag_of(kind)) for kind in get_args(AnyDependency)),
        ),
    )
    yield "## Label values\n"
    yield "| metric | label | values |"
    yield "|---|---|---|"
    for metrics, label, values in rows:
        names = ", ".join(f"`{name}`" for name in metrics.split(", "))
        yield f"| {names} | {label} | {', '.join(f'`{value}`' for value in values)} |"


def _lower(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name.lower() for name in names)


def sections() -> Iterator[tuple[str, list[Family]]]:
    """(heading, families) of every collector that has families of its own, in the order of the page."""
    for collector in COLLECTORS:
        module = cast(ModuleType, collector)
        name = module.__name__.rpartition(".")[2]
        found = list(instruments() if module is api else families(module))
        if found:
            yield HEADINGS.get(name, name), found


def packs() -> Iterator[tuple[str, list[Family]]]:
    """(name, families) of every pack that comes with the program."""
    for name in shipped():
        config = Config(stores=(PostgresStore(name="main", dsn=Dsn("")),), packs=(name,))
        queries = load_packs(config, Path(), ours()).queries("main")
        yield (
            name,
            [family_of(metric, kept=query.cursor is not None) for _, query in queries for metric in query.metrics],
        )


def buckets(bounds: tuple[float, ...]) -> str:
    """Bucket bounds as ``le`` writes them."""
    return ", ".join(go_float(bound) for bound in bounds)


def table(heading: str, found: list[Family]) -> Iterator[str]:
    """A section: a row for each family."""
    yield from (f"## {heading}\n", "| metric | type | labels | meaning |", "|---|---|---|---|")
    for family in found:
        kind = f"{family.kind}, kept" if family.persistent else family.kind
        labels = ", ".join(family.labels) or "(none)"
        yield f"| `{family.name}` | {kind} | {labels} | {family.help} |"
    yield ""


def document() -> str:
    """The whole file."""
    lines = [INTRODUCTION]
    histograms: list[Family] = []
    for heading, found in sections():
        lines += table(heading, found)
        histograms += [family for family in found if family.kind == "histogram"]
    lines.append("Besides these, the Python client library's own `process_*` and `python_info`.\n")
    for name, found in packs():
        lines += table(f"The pack {name}", found)
        histograms += [family for family in found if family.kind == "histogram"]
    lines += [
        "[Packs](packs.md) of your own give metrics under names of your own.\n",
        *label_values(),
        "\nA result appears once it has been seen.\n",
        "## Buckets\n",
        "Upper bounds; `+Inf` comes after them.\n",
        "| histogram | bounds |",
        "|---|---|",
    ]
    lines += dict.fromkeys(f"| `{family.name}` | {buckets(family.buckets)} |" for family in histograms)
    lines.append("\nThe bounds of execution histograms are fixed: other bounds would be other counters.")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    TARGET.write_text(document(), encoding="utf-8")
    sys.stdout.write(f"{TARGET.relative_to(Path.cwd()) if TARGET.is_relative_to(Path.cwd()) else TARGET}\n")
