"""Exports, as JSON and as CSV, whose cells are what JSON has, written as text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from contract.answers.asking import Get, Pair, lasting, moment
from contract.answers.figures import by_task_type
from contract.truth.model import Between, Run, Told

Export = Callable[[Get, Told], Pair]


def _asked(get: Get, kind: str, form: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = get(f"/api/scheduler-monitoring/export?type={kind}&period=24h&format={form}")
    return found


def _number(value: object) -> float | None:
    return None if value is None else float(value)  # type: ignore[arg-type]


def _run(run: Run) -> tuple[Any, ...]:
    """What the row has no more when the job has run again is asked of the store, not remembered."""
    lasted = None if "began" in run.passing else lasting(run)
    return (
        run.job, run.task_type, run.ended, run.status,
        None if run.retry is None else run.retry,
        None if "began" in run.passing else run.began,
        None if lasted is None else Between(low=1000 * lasted - 1, high=1000 * lasted + 1),
        None if "due" in run.passing else run.due,
        None if "worker" in run.passing else run.worker,
    )  # fmt: skip


def _row(row: dict[str, Any]) -> tuple[Any, ...]:
    attempt = _number(row["attempt"])
    ended, began, due = (moment(row[name]) for name in ("completedAt", "startedAt", "scheduledAt"))
    return (
        row["jobId"], row["taskType"], ended, row["status"], None if attempt is None else attempt > 0, began,
        _number(row["durationMs"]), due, row["workerId"],
    )  # fmt: skip


def executions(form: Literal["json", "csv"]) -> Export:
    """Each finished one, whole."""

    def compared(get: Get, told: Told) -> Pair:
        expected, shown = map(_run, told.runs or ()), map(_row, _asked(get, "executions", form))
        return dict(enumerate(sorted(expected, key=_order))), dict(enumerate(sorted(shown, key=_order)))

    return compared


def _order(row: tuple[Any, ...]) -> tuple[Any, ...]:
    return row[:3]


def jobs(form: Literal["json", "csv"]) -> Export:
    """Each once, with when it runs next."""

    def compared(get: Get, told: Told) -> Pair:
        expected = {job.id: (job.task_type, job.status, "ONE_TIME", job.due) for job in told.jobs if told.by_id}
        expected |= {job.id: (job.task_type, job.status, "RECURRING", job.next_run) for job in told.recurring}
        shown = _asked(get, "jobs", form)
        assert len(shown) == len({job["id"] for job in shown}), "each once"
        return expected, {
            job["id"]: (job["taskType"] or "", job["status"], job["type"], moment(job["nextRunAt"])) for job in shown
        }

    return compared


def metrics(form: Literal["json", "csv"]) -> Export:
    """A day's executions by task type."""

    def compared(get: Get, told: Told) -> Pair:
        shown = {row.pop("taskType"): row for row in _asked(get, "metrics", form)}
        return by_task_type(told), {
            task_type: {name: text if name == "successRate" else _number(text) for name, text in row.items()}
            for task_type, row in shown.items()
        }

    return compared
