"""Answers that list: executions, what runs, one job with its log, workers, operations, errors, exports."""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

from contract.answers.asking import (
    Get,
    Pair,
    counted,
    lasting,
    mean,
    moment,
    newest_streak,
    of_job,
    retried,
    share,
    spans,
    whole,
)
from contract.truth.model import OUTCOMES, Between, Run, Told

_STATES: Final = {"SUCCESS": "completed", "FAILED": "failed", "TIMEOUT": "failed", "CANCELLED": "cancelled"}


def _ended(runs: list[Run]) -> Counter[Any]:
    return Counter((run.job, run.task_type, run.status, whole(run.ended)) for run in runs)


def _shown(entries: list[dict[str, Any]]) -> Counter[Any]:
    return Counter((e["jobId"], e["taskType"], e["status"], whole(moment(e["completedAt"]))) for e in entries)


def _newest(told: Told, limit: int) -> list[Run]:
    return sorted(told.runs or (), key=lambda run: -run.ended)[:limit]


def recent(get: Get, told: Told) -> Pair:
    return _ended(_newest(told, 100)), _shown(get("/api/logs/recent?limit=100")["data"]["logs"])


def history(get: Get, told: Told) -> Pair:
    shown = get("/api/scheduler-monitoring/jobs?limit=100")
    return _ended(_newest(told, 100)), _shown(shown["items"])


def errors(get: Get, told: Told) -> Pair:
    """Groups are made of messages: what has none is in none."""
    items = get("/api/scheduler-monitoring/errors?period=24h&limit=100")["items"]
    failed = [run for run in told.runs or () if run.failed and run.said]
    return {"count": len(failed), "last": max((run.ended for run in failed), default=None)}, {
        "count": sum(group["count"] for group in items),
        "last": max((moment(group["lastSeen"]) for group in items), default=None),  # type: ignore[type-var]
    }


def no_errors(get: Get, told: Told) -> Pair:
    """None: its tables keep no messages."""
    return [], get("/api/scheduler-monitoring/errors?period=24h")["items"]


def executions(get: Get, told: Told) -> Pair:
    expected = Counter((run.job, _STATES[run.status], whole(run.ended)) for run in told.runs or ())
    expected += Counter((one.job, "running", None) for one in told.running or ())
    shown = get("/api/v1/monitoring/tasks/executions?limit=1000")
    return expected, Counter((str(e["task_id"]), e["status"], whole(moment(e["completed_at"]))) for e in shown)


def running(get: Get, told: Told) -> Pair:
    shown = get("/api/v1/monitoring/tasks/running")
    return {one.job: (one.task_type, whole(one.began)) for one in told.running or ()}, {
        str(e["id"]): (e["task_type"], whole(moment(e["execution_started_at"]))) for e in shown
    }


def _some(told: Told) -> list[str]:
    """One job of each task type and status, and each that recurs, listed or not."""
    found = {(job.task_type, job.status): job.id for job in told.jobs if told.by_id}
    return [*found.values(), *(job.id for job in told.recurring), *_unlisted(told)]


def _unlisted(told: Told) -> dict[str, Run]:
    """What recurs and is told of with its runs alone -> the latest of those."""
    listed = {None, *(job.id for job in told.recurring)}
    return {run.recurs: run for run in _newest(told, len(told.runs or ()))[::-1] if run.recurs not in listed}  # type: ignore[misc]


def jobs(get: Get, told: Told) -> Pair:
    """Each by its id: what it is, when it is due, how it ended of late."""
    there: dict[str, tuple[Any, ...]] = {job.id: (job.task_type, job.status, "ONE_TIME") for job in told.jobs}
    there |= {job.id: (job.task_type, job.status, "RECURRING") for job in told.recurring}
    there |= {job: (run.task_type, None, "RECURRING") for job, run in _unlisted(told).items()}
    due = {job.id: job.due for job in told.jobs} | {job.id: job.next_run for job in told.recurring}
    expected, shown = {}, {}
    for job in _some(told):
        runs = of_job(told, job)
        success = max((run.ended for run in runs if run.status == "SUCCESS"), default=None)
        expected[job] = (*there[job], due.get(job), success, newest_streak(runs))
        one = get(f"/api/jobs/{job}")["data"]
        times = (moment(one["nextRunAt"]), moment(one["lastSuccessAt"]), one["consecutiveFailures"])
        shown[job] = (one["taskType"], one["status"], one["type"], *times)
    return expected, shown


def logs(get: Get, told: Told) -> Pair:
    expected, shown = {}, {}
    for job in _some(told):
        found = get(f"/api/jobs/{job}/logs?limit=100")["data"]
        expected[job] = [(run.status, run.ended, _duration(run)) for run in _logged(told, job)]
        shown[job] = [(e["status"], moment(e["completedAt"]), e["duration"]) for e in found["logs"]]
    return expected, shown


def _logged(told: Told, job: str) -> list[Run]:
    """By their starts, what never began by its end; by their ends where starts pass, or each run has another id."""
    runs = of_job(told, job)
    if any(run.job != job or "began" in run.passing for run in runs):
        return runs
    return sorted(runs, key=lambda run: -(run.ended if run.began is None else run.began))


def _duration(run: Run) -> Between | None:
    """Nothing of a start that the row has no more: a log is asked of the store, not remembered."""
    return None if "began" in run.passing or lasting(run) is None else spans([run], mean)


def summaries(get: Get, told: Told) -> Pair:
    expected, shown = {}, {}
    whole_history = set(told.outcomes) == set(OUTCOMES)
    for job in _some(told):
        runs, found = of_job(told, job), get(f"/api/jobs/{job}/logs/summary")["data"]["summary"]
        numbers = counted(runs)
        total = sum(n for s, n in numbers.items() if s != "cancelled")
        expected[job] = {
            "totalExecutions": total if whole_history else None,
            **{f"{s}Count": n if s.upper() in told.outcomes else None for s, n in numbers.items()},
            "retryCount": retried(runs) if runs else found["retryCount"],
            "successRate": share(numbers["success"], total) if whole_history else None,
            "avgDuration": spans(runs, mean), "maxDuration": spans(runs, max), "minDuration": spans(runs, min),
            "capped": False,
        }  # fmt: skip
        shown[job] = {key: value for key, value in found.items() if not key.endswith("Execution")}
    return expected, shown


def tasks(get: Get, told: Told) -> Pair:
    expected, shown = {}, {}
    for job in _some(told):
        now = [("running", whole(one.began)) for one in told.running or () if one.job == job]
        expected[job] = Counter([*now, *((_STATES[r.status], whole(r.ended)) for r in of_job(told, job))])
        found = get(f"/api/v1/monitoring/tasks/{job}/executions?limit=1000")
        shown[job] = Counter((e["status"], whole(moment(e["completed_at"] or e["started_at"]))) for e in found)
    return expected, shown
