"""Quantiles of durations: of the statistics within 2% of what the tables give, of a histogram within its bucket."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Final

from support.exposition import Metrics

from contract.answers.asking import Get, Pair, lasting, spans
from contract.truth.families import BOUNDS
from contract.truth.model import Between, Run, Told

QUANTILES: Final = (0.5, 0.95, 0.99)
#: How far one may be from the true value (docs/api.md).
ACCURACY: Final = 0.02


def _least(values: list[float], q: float) -> float:
    """The least of them up to which a share ``q`` lies, as PostgreSQL's percentile_disc has it."""
    return next(value for n, value in enumerate(sorted(values), start=1) if n >= q * len(values))


def _of(q: float) -> Callable[[list[float]], float]:
    return lambda values: _least(values, q)


def quantiles(runs: list[Run]) -> dict[str, Between | None]:
    """``p50Ms`` and the others in milliseconds."""
    found = {f"p{100 * q:g}Ms": spans(runs, _of(q)) for q in QUANTILES}
    return {name: None if one is None else one.widened(ACCURACY) for name, one in found.items()}


def histogram(get: Get, told: Told) -> Pair:
    """As Prometheus works them out of the buckets that a page of metrics has."""
    expected, shown = {}, {}
    page = get.metrics()
    runs = [run for run in told.runs or () if lasting(run) is not None]
    for task_type in {run.task_type for run in runs}:
        mine = [run for run in runs if run.task_type == task_type]
        spent = [lasting(run) or 0.0 for run in mine]
        passing = any("began" in run.passing for run in mine)
        for q in QUANTILES:
            bucket = _bucket(_least(spent, q))
            expected[task_type, q] = Between(low=0, high=_bucket(max(spent)).high) if passing else bucket
            shown[task_type, q] = _interpolated(_buckets(page, get.store, task_type), q)
    return expected, shown


def _bucket(seconds: float) -> Between:
    above = next(n for n, bound in enumerate(BOUNDS) if seconds <= bound)
    return Between(low=BOUNDS[above - 1] if above else 0, high=BOUNDS[above])


def _buckets(page: Metrics, store: str, task_type: str) -> list[tuple[float, float]]:
    found = page.series("scheduling_execution_duration_seconds_bucket", store=store, task_type=task_type)
    return sorted((float(dict(labels)["le"]), n) for labels, n in found.items())


def _interpolated(counts: list[tuple[float, float]], q: float) -> float | None:
    """PromQL's histogram_quantile; None of nothing."""
    if not counts or not counts[-1][1]:
        return None
    rank = q * counts[-1][1]
    for (low, below), (high, upto) in pairwise([(0.0, 0.0), *counts]):
        if upto >= rank and upto > below:
            return low + (high - low) * (rank - below) / (upto - below)
    return None
