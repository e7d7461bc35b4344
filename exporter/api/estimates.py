"""How long what runs now usually takes: the median of recent successes, of the same job or else of the task type."""

from __future__ import annotations

from collections.abc import Sequence

from exporter.api.wire import lasted
from exporter.domain import RecentExecution, RunningExecution
from exporter.httpd.context import History

#: Recent successes of a task type that are looked at.
LOOKED_AT = 500


async def usual_seconds(history: History, store: str, running: Sequence[RunningExecution]) -> dict[str, float]:
    """Seconds by execution id, where there is something to go by."""
    from statistics import median  # noqa: PLC0415 - brings fractions and more, for those who look at what runs

    found: dict[str, float] = {}
    for task_type in {execution.task_type for execution in running}:
        recent = await history.recent(store, limit=LOOKED_AT, status="SUCCESS", task_type=task_type)
        of_type = _seconds(recent)
        for execution in running:
            if execution.task_type == task_type:
                seconds = _seconds([e for e in recent if e.job_id == execution.job_id]) or of_type
                if seconds:
                    found[execution.id] = median(seconds)
    return found


def _seconds(executions: Sequence[RecentExecution]) -> list[float]:
    durations = (lasted(e.started_at, e.completed_at) for e in executions)
    return [seconds for seconds in durations if seconds is not None]
