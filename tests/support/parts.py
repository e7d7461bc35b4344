"""What stores publish and the ledger adds up, made by hand."""

from __future__ import annotations

import time

from exporter.config.model import Config, Dsn, PostgresStore, Web
from exporter.domain import Figures, Statistics, TrendHour
from exporter.snapshot import Part


def part(collector: str, value: object, *, source: str = "main", age: float = 5.0, error: str | None = None) -> Part:
    """A part read ``age`` seconds ago; those of more than 300 s are stale."""
    return Part(
        collector=collector,
        source=source,
        value=value,
        success=error is None,
        collected_at=time.time() - age,
        collected_mono=time.monotonic() - age,
        duration=0.1,
        interval=15.0,
        staleness=300.0,
        error=error,
    )


def figures(*counts: int, retries: int = 0, mean: float | None = None, most: float | None = None) -> Figures:
    """Executions by FINAL_STATUSES, whose mean duration is ``mean`` seconds; None: none is known."""
    timed = sum(counts) if mean is not None else 0
    return Figures(
        counts=counts, retries=retries, timed=timed, sum=timed * (mean or 0.0), max=most, p50=mean, p95=mean, p99=mean
    )


def statistics(
    overall: Figures,
    by_label: dict[str, Figures] | None = None,
    trend: dict[int, tuple[int, ...]] | None = None,
    *,
    start: float,
    end: float,
    covered_since: float | None,
) -> Statistics:
    """What the ledger answers."""
    hours = tuple(TrendHour(start=hour, counts=counts) for hour, counts in (trend or {}).items())
    return Statistics(
        start=start, end=end, covered_since=covered_since, overall=overall, by_label=by_label or {}, trend=hours
    )


def stores(*names: str) -> Config:
    """A configuration of these stores."""
    return Config(
        web=Web(listen_address=("127.0.0.1:0",)),
        stores=tuple(PostgresStore(name=name, dsn=Dsn("postgres://x")) for name in names),
    )
