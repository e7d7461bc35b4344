"""Whether a scheduler is well, as each family tells it."""

from __future__ import annotations

from typing import Final

from contract.answers.asking import Get, Pair
from contract.answers.figures import between, by_status, running
from contract.truth import families
from contract.truth.model import Between, Told

#: Nobody works if something has been due for so long, nothing runs and nothing has ended (s): the default threshold.
NO_EXECUTION: Final = 300.0
#: No answer of a store on this machine takes longer (ms).
SLOW: Final = 60_000


def _scheduler(told: Told) -> str:
    due = [float(at) for at in families.oldest_ready(told).values()]  # type: ignore[arg-type]
    idle = not running(told) and not any(run.ended > told.now - 300 for run in told.runs or ())
    return "unhealthy" if idle and due and told.now - min(due) > NO_EXECUTION else "healthy"


def system(get: Get, told: Told) -> Pair:
    """Its critical parts: the store, and whether it works. What ended is counted from a whole minute on."""
    shown = get("/api/system/health")
    numbers, runs = by_status(told), told.runs or []
    sure = [run for run in runs if run.ended > told.now - 295]
    most = [run for run in runs if run.ended > told.now - 380]
    expected = {
        "database": {"status": "healthy", "state": "connected", "latency": Between(low=0, high=SLOW)},
        "scheduler": {
            "status": _scheduler(told),
            "recentExecutions": between(told, len(sure), len(most)),
            "pendingJobs": sum(numbers[status] for status in ("PENDING", "SCHEDULED", "QUEUED")),
        },
        "unhealthy": _scheduler(told) == "unhealthy",
    }
    parts = {name: shown["components"][name] for name in ("database", "scheduler")}
    return expected, {**parts, "unhealthy": shown["status"] == "unhealthy"}


def store(get: Get, told: Told) -> Pair:
    """NativeLink's: whether the store answers."""
    return {"status": "healthy"}, {"status": get("/api/v1/system/health")["status"]}


def components(get: Get, told: Told) -> Pair:
    """Each store is one."""
    shown = get("/api/scheduler-monitoring/health")["components"]
    return {"status": "healthy", "detail": None}, next(
        {"status": one["status"], "detail": one["detail"]} for one in shown if one["name"] == f"store:{get.store}"
    )
