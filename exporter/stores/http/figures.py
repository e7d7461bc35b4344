"""CHRONOS' numbers of a period as statistics. What it does not tell apart is marked as unknown, and never 0."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from exporter.domain import Figures, Statistics, TrendHour
from exporter.reported import LIVE_SECONDS, PERIODS
from exporter.stores.http import chronos_wire as wire
from exporter.stores.http.client import AnswerError

_OTHERS: Final = frozenset({"failed", "timeout", "cancelled", "retries"})
_SHARE: Final = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,6})?)\s*%")


def moment(text: str | None) -> float | None:
    """Unix seconds of an ISO time, which is UTC where it has no zone. Raises AnswerError."""
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
        return (found if found.tzinfo is not None else found.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        raise AnswerError("expected a time such as 2026-01-28T15:30:00.000Z in the answer", "answer") from None


def seconds(milliseconds: float | None) -> float | None:
    """Milliseconds as seconds."""
    return None if milliseconds is None else milliseconds / 1000


def of_period(told: wire.Stats, length: float, now: float) -> Statistics:
    """What ended in a period of ``length`` seconds up to ``now``."""
    start = moment(told.period_start)
    numbers = told.executions
    counted = numbers.total is not None and numbers.success is not None
    return Statistics(
        start=now - length if start is None else start,
        end=now,
        covered_since=None,
        overall=_overall(numbers) if counted else _NOTHING,
        by_label={row.task_type or "": _of_type(row) for row in told.executions_by_task_type},
        trend=tuple(_hour(row) for row in told.hourly_trend),
        counted=counted,
    )


def live(told: wire.LiveExecutions, now: float) -> Statistics:
    """What ended within five minutes."""
    total, failed = told.last_5min, told.failed_last_5min
    overall = _NOTHING
    if total is not None and failed is not None:
        overall = _figures(total, max(0, total - failed), unknown=_OTHERS - {"failed"})
    return _statistics(now - LIVE_SECONDS, now, overall, {}, counted=overall is not _NOTHING)


def by_worker(workers: Sequence[wire.Worker], now: float) -> Statistics:
    """What the workers' table says of each."""
    found = {str(worker.worker_id): _of_worker(worker) for worker in workers}
    total, success = (sum(f.counts[i] for f in found.values()) for i in (1, 0))
    overall = _figures(total + success, success, unknown=_OTHERS)
    return _statistics(now - PERIODS["24h"], now, overall, found, counted=True)


def _statistics(
    start: float, end: float, overall: Figures, by_label: dict[str, Figures], *, counted: bool
) -> Statistics:
    return Statistics(
        start=start, end=end, covered_since=None, overall=overall, by_label=by_label, trend=(), counted=counted
    )


def _figures(
    total: int, success: int, *, unknown: frozenset[str], mean: float | None = None, most: float | None = None
) -> Figures:
    if success > total:
        raise AnswerError(f"the answer has more successes ({success}) than executions ({total})", "answer")
    return Figures(
        counts=(success, total - success, 0, 0),
        retries=0,
        timed=0 if mean is None else total,
        sum=0.0 if mean is None else mean * total,
        max=most,
        p50=None,
        p95=None,
        p99=None,
        unknown=unknown,
    )


_NOTHING: Final = _figures(0, 0, unknown=_OTHERS | {"executions", "success"})


def _overall(told: wire.ExecutionNumbers) -> Figures:
    total, success, timeout = told.total or 0, told.success or 0, told.timeout
    names = {"failed": told.failed, "timeout": timeout, "cancelled": told.cancelled, "retries": told.retries}
    unknown = frozenset(name for name, number in names.items() if number is None)
    plain = _figures(total, success, unknown=unknown, mean=seconds(told.avg_duration), most=seconds(told.max_duration))
    failed = total - success - (timeout or 0) if told.failed is None else told.failed
    return Figures(
        counts=(success, max(0, failed), timeout or 0, told.cancelled or 0),
        retries=told.retries or 0,
        timed=plain.timed,
        sum=plain.sum,
        max=plain.max,
        p50=None,
        p95=None,
        p99=None,
        unknown=unknown,
    )


def _of_type(row: wire.TaskType) -> Figures:
    return _figures(row.count, row.success_count, unknown=_OTHERS, mean=seconds(row.avg_duration))


def _of_worker(worker: wire.Worker) -> Figures:
    if worker.executions is None:
        return _NOTHING
    share = _SHARE.fullmatch(worker.success_rate) if worker.success_rate is not None else None
    success = min(worker.executions, round(worker.executions * float(share[1]) / 100)) if share else 0
    unknown = _OTHERS if share else _OTHERS | {"success"}
    return _figures(worker.executions, success, unknown=unknown, mean=seconds(worker.avg_duration))


def _hour(row: wire.Hour) -> TrendHour:
    try:
        start = datetime.strptime(row.id, "%Y-%m-%d %H:%M").replace(tzinfo=UTC)
    except ValueError:
        raise AnswerError("expected an hour such as 2026-01-28 14:00 in the answer", "answer") from None
    rest = max(0, row.total - row.success - row.failed)
    return TrendHour(start=int(start.timestamp()), counts=(row.success, row.failed, rest, 0))
