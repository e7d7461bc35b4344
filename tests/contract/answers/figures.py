"""Answers in numbers: jobs, executions, workers and operations, in each family's own words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sized
from datetime import UTC, datetime
from typing import Any, Final

from contract.answers.asking import Get, Pair, counted, mean, moment, retried, share, spans
from contract.truth import families
from contract.truth.model import LIVE, OUTCOMES, Between, Run, Told

_STATUSES: Final = (*LIVE, "COMPLETED", "FAILED", "CANCELLED")


def _by_status(told: Told) -> dict[str, int]:
    found = Counter([*(job.status for job in told.jobs), *(job.status for job in told.recurring)])
    return {status: found[status] for status in _STATUSES}


def stats(get: Get, told: Told) -> Pair:
    shown, by_status, runs = get("/api/system/stats?period=24h")["data"], _by_status(told), _summed(told)
    hours = Counter(datetime.fromtimestamp(run.ended, UTC).strftime("%Y-%m-%d %H:00") for run in runs)
    good = Counter(run.task_type for run in runs if run.status == "SUCCESS")
    types = Counter(run.task_type for run in runs)
    expected = {
        "jobs": {
            "total": len(told.jobs) + len(told.recurring),
            "byStatus": by_status,
            "byType": {"ONE_TIME": len(told.jobs), "RECURRING": len(told.recurring)},
            "active": sum(by_status[status] for status in ("SCHEDULED", "QUEUED", "RUNNING")),
            "failed": by_status["FAILED"],
        },
        "executions": _executions(told, runs, "avgDuration", "maxDuration"),
        "trend": dict(hours),
        "types": {t: (n, good[t], share(good[t], n), _mean(runs, t)) for t, n in types.items()},
    }
    return expected, {
        "jobs": shown["jobs"],
        "executions": shown["executions"],
        "trend": {hour["_id"]: hour["total"] for hour in shown["hourlyTrend"]},
        "types": {
            row["taskType"]: (row["count"], row["successCount"], row["successRate"], row["avgDuration"])
            for row in shown["executionsByTaskType"]
        },
    }


def _mean(runs: list[Run], task_type: str) -> Between | None:
    return spans([run for run in runs if run.task_type == task_type], mean)


def _whole(told: Told) -> bool:
    """Whether each outcome is kept: sums and shares of some of them would mislead."""
    return told.runs is not None and told.outcomes == OUTCOMES


def _number(found: Sized | None) -> int | None:
    """How many there are; None where nobody can know."""
    return None if found is None else len(found)


def _summed(told: Told) -> list[Run]:
    return (told.runs or []) if _whole(told) else []


def _executions(told: Told, runs: list[Run], average: str, longest: str) -> dict[str, Any]:
    numbers = counted(runs)
    total = sum(n for s, n in numbers.items() if s != "cancelled")
    figures = {average: spans(runs, mean), longest: spans(runs, max)}
    rate = share(numbers["success"], total)
    expected = {"total": total, **numbers, "retries": retried(runs), "successRate": rate, **figures}
    return expected if _whole(told) else dict.fromkeys(expected)


def _running(told: Told) -> int:
    """What runs; where only jobs are listed those that are called running."""
    return _by_status(told)["RUNNING"] if told.running is None else len(told.running)


def live(get: Get, told: Told) -> Pair:
    shown, runs = get("/api/system/stats/live"), told.runs or []
    # Counted from a whole minute on.
    sure = [run for run in runs if run.ended > told.now - 295]
    most = [run for run in runs if run.ended > told.now - 380]
    expected = {
        "running": _running(told),
        "scheduled": _by_status(told)["SCHEDULED"],
        "last5min": _between(told, len(sure), len(most)),
        "failedLast5min": _between(told, sum(run.failed for run in sure), sum(run.failed for run in most)),
    }
    return expected, {"running": shown["running"], "scheduled": shown["scheduled"], **shown["executions"]}


def _between(told: Told, low: int, high: int) -> Between | None:
    return Between(low=low, high=high) if _whole(told) else None


def workers(get: Get, told: Told) -> Pair:
    shown = get("/api/system/workers")["data"]
    seen = {worker.id: worker.seen for worker in told.workers or ()}
    ran_by = families.by_worker(told) or {}
    busy = Counter(one.worker for one in told.running or () if one.worker is not None)
    tells = bool(ran_by) or not told.runs
    names = {*seen, *busy, *(name for (name, _), n in ran_by.items() if isinstance(n, Between) and n.high)}
    active = None if told.workers is None else sum(w.state(told.now) == "active" for w in told.workers)

    def executions(name: str) -> Between | None:
        mine = [n for (worker, s), n in ran_by.items() if worker == name and s != "cancelled"]
        return sum((n for n in mine if isinstance(n, Between)), Between(low=0, high=0)) if tells else None

    attributed = bool(busy) or not told.running
    expected = {name: (executions(name), busy[name] if attributed else None, seen.get(name)) for name in names}
    return {"active": active, "total": len(names), **expected}, {
        "active": shown["activeWorkers"],
        "total": shown["totalWorkers"],
        **{r["workerId"]: (r["executions"], r["activeJobs"], moment(r["lastSeen"])) for r in shown["workers"]},
    }


def health(get: Get, told: Told) -> Pair:
    shown = get("/api/scheduler-monitoring/health")
    stores = [one for one in shown["components"] if one["name"].startswith("store")]
    return {"healthy"}, {one["status"] for one in stores}


def status(get: Get, told: Told) -> Pair:
    shown = get("/api/scheduler-monitoring/status")
    expected = {
        "jobs": _by_status(told),
        "running": _running(told),
        "stuck": None if told.running is None else int(sum((families.stuck(told) or {}).values())),  # type: ignore[arg-type]
        "overdue": int(families.overdue_jobs(told)[()]),  # type: ignore[arg-type]
        "up": [True],
    }
    return expected, {
        **{name: shown[name] for name in ("jobs", "running", "stuck", "overdue")},
        "up": [store["up"] for store in shown["stores"]],
    }


def metrics(get: Get, told: Told) -> Pair:
    shown, runs = get("/api/scheduler-monitoring/metrics?period=24h"), _summed(told)
    keys = ("total", "success", "failed", "timeout", "cancelled", "retries", "successRate", "avgDurationMs", "maxMs")
    types = {run.task_type: [other for other in runs if other.task_type == run.task_type] for run in runs}
    states = Counter(worker.state(told.now) for worker in told.workers or ())
    unknown = told.workers is None
    return {
        "executions": _executions(told, runs, "avgDurationMs", "maxMs"),
        "types": {name: _executions(told, mine, "avgDurationMs", "maxMs")["failed"] for name, mine in types.items()},
        "workers": {name: None if unknown else states[name] for name in ("active", "lost")},
    }, {
        "executions": {key: shown["executions"][key] for key in keys},
        "types": {row["taskType"]: row["failed"] for row in shown["byTaskType"]},
        "workers": {name: shown["workers"][name] for name in ("active", "lost")},
    }


def dashboard(get: Get, told: Told) -> Pair:
    shown = get("/api/scheduler-monitoring/dashboard")
    failing = sorted((families.failures(told) or {}).items(), key=lambda item: -float(item[1]))  # type: ignore[arg-type]
    return {
        "running": _running(told),
        "failures": {labels[0]: n for labels, n in failing},
        "overdue": {labels[0] for labels in families.overdue(told)},
    }, {
        "running": shown["status"]["running"],
        "failures": {job["jobId"]: job["consecutiveFailures"] for job in shown["topFailures"]},
        "overdue": {job["jobId"] for job in shown["overdue"]},
    }


def _operations(told: Told) -> dict[str, int | None]:
    ready = sum(int(n) for (_, state), n in families.queue_jobs(told).items() if state == "ready")  # type: ignore[arg-type]
    numbers = {"queued": ready, "executing": _running(told), "completed": _number(told.runs)}
    return {"total": sum(n for n in numbers.values() if n is not None), **numbers}


def _states(told: Told) -> dict[str, int | None]:
    states = Counter(worker.state(told.now) for worker in told.workers or ())
    numbers = {"total": len(told.workers or ()), **{name: states[name] for name in ("active", "paused", "draining")}}
    return dict.fromkeys(numbers) if told.workers is None else {**numbers}


def scheduler_metrics(get: Get, told: Told) -> Pair:
    shown = get("/api/v1/scheduler/metrics")
    return {"workers": _states(told), "operations": _operations(told)}, {
        name: shown[name] for name in ("workers", "operations")
    }


def scheduler_status(get: Get, told: Told) -> Pair:
    shown = get("/api/v1/scheduler/status")
    both = {"workers": _states(told), "operations": _operations(told)}
    expected = {f"{name}_{what}": n for what, numbers in both.items() for name, n in numbers.items()}
    return expected, {name: n for name, n in shown.items() if name != "uptime_seconds"}
