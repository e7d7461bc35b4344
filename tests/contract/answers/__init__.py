"""The JSON about a scheduler, family by family, against what its own tables say (contract.truth).

A family is a function: it asks the sidecar, works out from the tables what has to be told, and gives both. None has to
be null: what the tables cannot tell is told as nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from contract.answers import figures, listed
from contract.answers.asking import Get, Pair
from contract.truth.model import Told

ANSWERS: Final[dict[str, Callable[[Get, Told], Pair]]] = {
    "system/stats": figures.stats,
    "system/stats/live": figures.live,
    "system/workers": figures.workers,
    "jobs/{id}": listed.jobs,
    "jobs/{id}/logs": listed.logs,
    "jobs/{id}/logs/summary": listed.summaries,
    "logs/recent": listed.recent,
    "v1/monitoring/tasks/executions": listed.executions,
    "v1/monitoring/tasks/{id}/executions": listed.tasks,
    "v1/monitoring/tasks/running": listed.running,
    "v1/workers": listed.workers,
    "v1/operations": listed.operations,
    "v1/scheduler/status": figures.scheduler_status,
    "v1/scheduler/metrics": figures.scheduler_metrics,
    "scheduler-monitoring/status": figures.status,
    "scheduler-monitoring/metrics": figures.metrics,
    "scheduler-monitoring/jobs": listed.history,
    "scheduler-monitoring/errors": listed.errors,
    "scheduler-monitoring/health": figures.health,
    "scheduler-monitoring/dashboard": figures.dashboard,
    "scheduler-monitoring/export jobs": listed.exported_jobs,
    "scheduler-monitoring/export executions": listed.exported_executions,
}
#: Where a scheduler keeps nothing that a family is made of.
OTHERWISE: Final[dict[tuple[str, str], Callable[[Get, Told], Pair]]] = {
    ("procrastinate", "scheduler-monitoring/errors"): listed.no_errors,
}
