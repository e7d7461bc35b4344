"""An account as the rest of the program sees it: immutable values."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter.domain import Backfill, Counts, Histogram
from exporter.ledger.cursor import BackfillState
from exporter.ledger.tally import histogram

if TYPE_CHECKING:
    from exporter.ledger.account import Account


def counts(account: Account) -> Counts:
    """What is committed, as an immutable value."""
    by_metric: dict[str, dict[str, list[float]]] = {}
    for (metric, label), numbers in account.tally.series.items():
        by_metric.setdefault(metric, {})[label] = numbers
    cursor = account.cursor
    return Counts(
        executions=_whole(by_metric.get("executions", {})),
        retries={label: int(numbers[0]) for label, numbers in by_metric.get("retries", {}).items()},
        durations=_histograms(account, "duration", by_metric),
        waits=_histograms(account, "wait", by_metric),
        workers=_whole(by_metric.get("worker", {})),
        failing=account.book.failing(),
        dropped=account.tally.dropped(),
        newest=account.totals.newest,
        late=account.totals.late,
        duplicate=account.totals.duplicate,
        last_success={i: s.last_success for i, s in account.book.jobs.items() if s.recurring and s.last_success},
        last_started={i: s.last_started for i, s in account.book.jobs.items() if s.recurring and s.last_started},
        read_at=cursor.read_at if cursor else None,
        upto=cursor.counted_to if cursor else None,
        backfill=progress(account.backfill) if account.backfill is not None else None,
        version=account.version,
    )


def progress(state: BackfillState) -> Backfill:
    """The backfill's state as others see it."""
    return Backfill(
        ratio=state.ratio,
        complete=state.done,
        executions=state.executions,
        reached=state.reached,
        problem=state.problem,
    )


def _histograms(account: Account, metric: str, by_metric: dict[str, dict[str, list[float]]]) -> dict[str, Histogram]:
    return {
        label: histogram(numbers, account.tally.exemplars.get((metric, label)))
        for label, numbers in by_metric.get(metric, {}).items()
    }


def _whole(series: dict[str, list[float]]) -> dict[str, tuple[int, ...]]:
    return {label: tuple(int(n) for n in numbers) for label, numbers in series.items()}
