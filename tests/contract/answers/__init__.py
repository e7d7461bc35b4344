"""The JSON about a scheduler, family by family, against what its own tables say (contract.truth).

A family is a function: it asks the sidecar, works out from the tables what has to be told, and gives both. None has to
be null: what the tables cannot tell is told as nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from support.polling import until
from support.sidecar import Sidecar

from contract.answers import exports, figures, health, listed, nativelink, quantiles
from contract.answers.asking import Get, Pair, differing
from contract.truth import SECONDS, tables_say
from contract.truth.model import Told

ANSWERS: Final[dict[str, Callable[[Get, Told], Pair]]] = {
    "system/health": health.system,
    "system/stats": figures.stats,
    "system/stats of each period": figures.periods,
    "system/stats/live": figures.live,
    "system/workers": figures.workers,
    "jobs/{id}": listed.jobs,
    "jobs/{id}/logs": listed.logs,
    "jobs/{id}/logs/summary": listed.summaries,
    "logs/recent": listed.recent,
    "v1/monitoring/tasks/executions": listed.executions,
    "v1/monitoring/tasks/{id}/executions": listed.tasks,
    "v1/monitoring/tasks/running": listed.running,
    "v1/workers": nativelink.workers,
    "v1/workers/{id}": nativelink.one_worker,
    "v1/operations": nativelink.operations,
    "v1/operations/{id}": nativelink.one_operation,
    "v1/system/health": health.store,
    "v1/scheduler/status": nativelink.scheduler_status,
    "v1/scheduler/metrics": nativelink.scheduler_metrics,
    "scheduler-monitoring/status": figures.status,
    "scheduler-monitoring/metrics": figures.metrics,
    "scheduler-monitoring/jobs": listed.history,
    "scheduler-monitoring/errors": listed.errors,
    "scheduler-monitoring/health": health.components,
    "scheduler-monitoring/dashboard": figures.dashboard,
    "scheduler-monitoring/export jobs": exports.jobs("json"),
    "scheduler-monitoring/export jobs, CSV": exports.jobs("csv"),
    "scheduler-monitoring/export executions": exports.executions("json"),
    "scheduler-monitoring/export executions, CSV": exports.executions("csv"),
    "scheduler-monitoring/export metrics": exports.metrics("json"),
    "scheduler-monitoring/export metrics, CSV": exports.metrics("csv"),
    "/metrics quantiles of histograms": quantiles.histogram,
}
#: Where a scheduler keeps nothing that a family is made of.
OTHERWISE: Final[dict[tuple[str, str], Callable[[Get, Told], Pair]]] = {
    ("procrastinate", "scheduler-monitoring/errors"): listed.no_errors,
    ("airflow", "scheduler-monitoring/errors"): listed.no_errors,
}


def agree(name: str, family: str, dsn: str, sidecar: Sidecar) -> None:
    """Look until an answer is what the tables say: polls are 2 s apart, and what waits becomes due meanwhile.

    AssertionError with the differences that there still are then.
    """
    ask = OTHERWISE.get((name, family), ANSWERS[family])

    def same() -> bool:
        different = "\n".join(differing(*ask(Get(sidecar, name), tables_say(name, dsn))))
        assert not different, different
        return True

    until(same, SECONDS, f"{name}: {family}", every=0.5)
