"""Compares what is true, what the sidecar says and what Prometheus saw it say."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import psycopg
from support.exposition import Metrics
from support.prometheus_server import Prometheus

from chaos.record import USUAL, Record
from chaos.world import World

#: A scrape that failed after so many seconds was given up by Prometheus (scrape_timeout: 1s).
TIMEOUT = 0.95
#: The values of a series' labels, without those that are the same for all.
Labels = tuple[str, ...]
Counts = Counter[Labels]


@dataclass
class Verdict:
    """What a run came to. ``wrong`` is empty when everything is as it should be."""

    executions: int
    lost: int = 0
    double: int = 0
    figures: dict[str, int | str] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    def demand(self, holds: bool, otherwise: str) -> None:
        """Note ``otherwise`` unless it holds."""
        if not holds:
            self.wrong.append(otherwise)

    @property
    def text(self) -> str:
        """The report, for people."""
        figures = {"executions": self.executions, **self.figures, "lost": self.lost, "counted twice": self.double}
        lines = [f"{name:>24}  {value}" for name, value in figures.items()]
        return "\n".join([*lines, *(f"WRONG: {one}" for one in self.wrong), "failed" if self.wrong else "passed"])


@dataclass(frozen=True)
class Question:
    """A counter, its labels, and what it must be: how many audited attempts there are ``where``, by ``columns``."""

    metric: str
    labels: Labels
    columns: str
    where: str = "true"

    def truth(self, connection: psycopg.Connection) -> Counts:
        """What the audit says."""
        found = connection.execute(
            f"SELECT {self.columns}, count(*) FROM chaos.audit WHERE {self.where} GROUP BY {self.columns}".encode()
        )
        return Counter({tuple(labels): count for *labels, count in found})

    def counted(self, page: Metrics) -> Counts:
        """What the sidecar says."""
        counts: Counts = Counter()
        for labels, value in page.series(self.metric).items():
            counts[tuple(dict(labels)[name] for name in self.labels)] += int(value)
        return +counts

    def seen(self, prometheus: Prometheus, seconds: float) -> tuple[Counts, list[str]]:
        """How much Prometheus saw it grow, and what is wrong with its samples: none begins above 0, none falls.

        Unless Prometheus had given up an answer just before: that one had the 0.
        """
        faults: list[str] = []
        grown: Counts = Counter()
        given_up = _given_up(prometheus, seconds)
        for series in prometheus.api("query", query=f"{self.metric}[{seconds:.0f}s]")["result"]:
            labels = tuple(series["metric"].get(name, "") for name in self.labels)
            values = [float(value) for _, value in series["values"]]
            if values[0] and series["values"][0][0] in given_up:
                values = [0.0, *values]
            if values[0]:
                faults.append(f"Prometheus saw {self.metric}{labels} begin with {values[0]:g}")
            if any(after < before for before, after in pairwise(values)):
                faults.append(f"Prometheus saw {self.metric}{labels} fall")
            # As increase() does it: after a reset it is the new value that was added.
            grown[labels] += int(sum(new - old if new >= old else new for old, new in pairwise(values)))
        return +grown, faults


def _given_up(prometheus: Prometheus, seconds: float) -> set[float]:
    """When Prometheus got its next answer after one that it had waited for in vain; a refused connection is no wait."""

    def values(metric: str) -> list[tuple[float, str]]:
        [series] = prometheus.api("query", query=f"{metric}[{seconds:.0f}s]")["result"]
        return [(at, value) for at, value in series["values"]]

    came = dict(values("up"))
    next_ones, waited = set[float](), False
    for at, took in values("scrape_duration_seconds"):
        if came.get(at) == "1":
            if waited:
                next_ones.add(at)
            waited = False
        else:
            waited = waited or float(took) >= TIMEOUT
    return next_ones


QUESTIONS = (
    Question("scheduling_executions_total", ("task_type", "status"), "task_type, lower(status)"),
    Question("scheduling_worker_executions_total", ("worker", "status"), "worker_id, lower(status)"),
    Question("scheduling_execution_retries_total", ("task_type",), "task_type", "attempt > 0"),
    Question("scheduling_execution_duration_seconds_count", ("task_type",), "task_type", "timed"),
)


def judge(world: World, record: Record, seconds: float) -> Verdict:
    """Everything that can be compared, once nothing moves any more; ``seconds`` is how far back the run began."""
    page = world.sidecar.metrics()
    with world.database.connect() as connection:
        audit = _audit(connection)
        verdict = Verdict(executions=len(audit))
        verdict.demand(audit == record.committed, f"{len(audit)} are audited, the writers made {len(record.committed)}")
        for question in QUESTIONS:
            truth, counted = question.truth(connection), question.counted(page)
            verdict.lost = max(verdict.lost, (truth - counted).total())
            verdict.double = max(verdict.double, (counted - truth).total())
            _compare(verdict, question.metric, truth, counted)
            grown, faults = question.seen(world.prometheus, seconds)
            _compare(verdict, f"{question.metric} as Prometheus saw it", truth, grown)
            verdict.wrong += faults
    _sidecar(verdict, world, page)
    for name in USUAL:
        verdict.demand(record.happened[name] > 0, f"none of these: {name}")
    return verdict


def _audit(connection: psycopg.Connection) -> dict[tuple[int, int], tuple[str, str, str]]:
    found: Any = connection.execute("SELECT id, attempt, task_type, status, worker_id FROM chaos.audit")
    return {(row[0], row[1]): (row[2], row[3], row[4]) for row in found}


def _compare(verdict: Verdict, what: str, truth: Counts, counted: Counts) -> None:
    verdict.demand(truth == counted, f"{what}: too few {_some(truth - counted)}, too many {_some(counted - truth)}")


def _some(counts: Counts) -> str:
    """How many, and which series have most of them."""
    most = ", ".join(f"{'/'.join(labels)} {number}" for labels, number in counts.most_common(3))
    return f"{counts.total()} ({most})" if counts else "none"


def _sidecar(verdict: Verdict, world: World, page: Metrics) -> None:
    """What the sidecar says of itself."""
    late = int(page.value("scheduling_exporter_late_executions_total"))
    verdict.figures["late"] = late
    verdict.figures["read again"] = int(page.value("scheduling_exporter_duplicate_executions_total"))
    verdict.demand(late > 0, "nothing was late")
    verdict.demand(page.value("scheduling_exporter_counting_exact") == 1, "it does not call its counting exact")
    dropped = sum(page.series("scheduling_exporter_series_dropped").values())
    verdict.demand(not dropped, "series were left out")
    crashes = [e for e in world.sidecar.events() if "unexpected" in str(e.get("message", ""))]
    verdict.demand(not crashes, f"its log has {crashes[:3]}")
