"""Answers in numbers: jobs, executions, workers and operations, in each family's own words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sized
from datetime import UTC, datetime
from typing import Any, Final

from contract.answers.asking import Get, Pair, counted, mean, moment, retried, share, spans, summed
from contract.answers.quantiles import quantiles
from contract.truth import families
from contract.truth.model import LIVE, OUTCOMES, Between, Run, Told

_STATUSES: Final = (*LIVE, "COMPLETED", "FAILED", "CANCELLED")
#: A period -> how long it is, and the bucket that it begins with (s).
_PERIODS: Final = {
    "1h": (3600, 60), "6h": (6 * 3600, 60), "24h": (86400, 60), "7d": (7 * 86400, 3600), "30d": (30 * 86400, 3600),
}  # fmt: skip


def by_status(told: Told) -> dict[str, int]:
    found = Counter([*(job.status for job in told.jobs), *(job.status for job in told.recurring)])
    return {status: found[status] for status in _STATUSES}


def stats(get: Get, told: Told) -> Pair:
    shown, numbers, runs = get("/api/system/stats?period=24h")["data"], by_status(told), _summed(told)
    hours = {_hour(run) for run in summed(runs)}
    types = {run.task_type for run in summed(runs)}
    expected = {
        "jobs": {
            "total": len(told.jobs) + len(told.recurring),
            "byStatus": numbers,
            "byType": {"ONE_TIME": len(told.jobs), "RECURRING": len(told.recurring)},
            "active": sum(numbers[status] for status in ("SCHEDULED", "QUEUED", "RUNNING")),
            "failed": numbers["FAILED"],
        },
        "executions": _executions(told, runs, "avgDuration", "maxDuration"),
        "trend": {hour: _shares([run for run in runs if _hour(run) == hour]) for hour in hours},
        "types": {name: _type([run for run in runs if run.task_type == name]) for name in types},
    }
    return expected, {
        "jobs": shown["jobs"],
        "executions": shown["executions"],
        "trend": {hour["_id"]: (hour["total"], hour["success"], hour["failed"]) for hour in shown["hourlyTrend"]},
        "types": {
            row["taskType"]: (row["count"], row["successCount"], row["successRate"], row["avgDuration"])
            for row in shown["executionsByTaskType"]
        },
    }


def _hour(run: Run) -> str:
    return datetime.fromtimestamp(run.ended, UTC).strftime("%Y-%m-%d %H:00")


def _shares(runs: list[Run]) -> tuple[int, int, int]:
    """All, successes and failures, those cancelled left out."""
    return len(summed(runs)), counted(runs)["success"], sum(run.failed for run in runs)


def _type(runs: list[Run]) -> tuple[Any, ...]:
    """A duration is also one of what was cancelled."""
    total, good, _ = _shares(runs)
    return total, good, share(good, total), spans(runs, mean)


def periods(get: Get, told: Told) -> Pair:
    """What ended in each period, which begins at a whole minute or hour, so that it is as much longer."""
    runs = summed(_summed(told))

    def ended(seconds: float) -> int:
        return sum(run.ended > told.now - seconds for run in runs)

    expected, shown = {}, {}
    for period, (seconds, bucket) in _PERIODS.items():
        most = Between(low=ended(seconds - families.AGE), high=ended(seconds + bucket + families.AGE))
        expected[period] = most if _whole(told) else None
        shown[period] = get(f"/api/system/stats?period={period}")["data"]["executions"]["total"]
    return expected, shown


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


def running(told: Told) -> int:
    """What runs; where only jobs are listed those that are called running."""
    return by_status(told)["RUNNING"] if told.running is None else len(told.running)


def live(get: Get, told: Told) -> Pair:
    shown, runs = get("/api/system/stats/live"), summed(told.runs or [])
    # Counted from a whole minute on.
    sure = [run for run in runs if run.ended > told.now - 295]
    most = [run for run in runs if run.ended > told.now - 380]
    expected = {
        "running": running(told),
        "scheduled": by_status(told)["SCHEDULED"],
        "last5min": between(told, len(sure), len(most)),
        "failedLast5min": between(told, sum(run.failed for run in sure), sum(run.failed for run in most)),
    }
    return expected, {"running": shown["running"], "scheduled": shown["scheduled"], **shown["executions"]}


def between(told: Told, low: int, high: int) -> Between | None:
    return Between(low=low, high=high) if _whole(told) else None


def workers(get: Get, told: Told) -> Pair:
    shown = get("/api/system/workers")["data"]
    seen = {worker.id: worker.seen for worker in told.workers or ()}
    ran_by = families.by_worker(told) or {}
    busy = Counter(one.worker for one in told.running or () if one.worker is not None)
    tells = bool(ran_by) or told.runs == []
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


def status(get: Get, told: Told) -> Pair:
    shown = get("/api/scheduler-monitoring/status")
    expected = {
        "jobs": by_status(told),
        "running": running(told),
        "stuck": None if told.running is None else int(sum((families.stuck(told) or {}).values())),  # type: ignore[arg-type]
        "overdue": int(families.overdue_jobs(told)[()]),  # type: ignore[arg-type]
        "up": [True],
    }
    return expected, {
        **{name: shown[name] for name in ("jobs", "running", "stuck", "overdue")},
        "up": [store["up"] for store in shown["stores"]],
    }


def measured(told: Told, runs: list[Run]) -> dict[str, Any]:
    """A day's executions with quantiles; a day has at most a minute more."""
    figures = _executions(told, runs, "avgDurationMs", "maxMs")
    minutes, total = 24 * 60, len(summed(runs))
    rate = Between(low=total / (minutes + 1), high=total / minutes)
    found = {**figures, **quantiles(runs), "perMinute": rate}
    return found if _whole(told) else dict.fromkeys(found)


def by_task_type(told: Told) -> dict[str, dict[str, Any]]:
    """The same of each."""
    runs = _summed(told)
    types = {run.task_type for run in runs}
    return {name: measured(told, [run for run in runs if run.task_type == name]) for name in types}


def metrics(get: Get, told: Told) -> Pair:
    shown, runs = get("/api/scheduler-monitoring/metrics?period=24h"), _summed(told)
    states = Counter(worker.state(told.now) for worker in told.workers or ())
    unknown = told.workers is None
    return {
        "executions": measured(told, runs),
        "types": by_task_type(told),
        "workers": {name: None if unknown else states[name] for name in ("active", "lost")},
    }, {
        "executions": shown["executions"],
        "types": {row.pop("taskType"): row for row in shown["byTaskType"]},
        "workers": {name: shown["workers"][name] for name in ("active", "lost")},
    }


def dashboard(get: Get, told: Told) -> Pair:
    shown = get("/api/scheduler-monitoring/dashboard")
    failing = sorted((families.failures(told) or {}).items(), key=lambda item: -float(item[1]))  # type: ignore[arg-type]
    return {
        "running": running(told),
        "executions": measured(told, _summed(told)),
        "failures": {labels[0]: n for labels, n in failing},
        "overdue": {labels[0] for labels in families.overdue(told)},
    }, {
        "running": shown["status"]["running"],
        "executions": shown["metrics"]["executions"],
        "failures": {job["jobId"]: job["consecutiveFailures"] for job in shown["topFailures"]},
        "overdue": {job["jobId"] for job in shown["overdue"]},
    }
