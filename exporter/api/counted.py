"""Statistics for answers: what was counted; of a store whose profile lists no executions nothing, which is not zero."""

from __future__ import annotations

import time

from exporter.api.asking import polled
from exporter.api.known import Known
from exporter.domain import FINAL_STATUSES, Figures, Statistics
from exporter.httpd.context import Context
from exporter.httpd.problems import HttpError

_NONE = Figures(counts=(0,) * len(FINAL_STATUSES), retries=0, timed=0, sum=0.0, max=None, p50=None, p95=None, p99=None)


async def statistics_of(context: Context, store: str, seconds: float) -> Statistics:
    """What ended in the last ``seconds``, by task type. HttpError 503 before the store's first poll."""
    return polled(await statistics_if_read(context, store, seconds), store)


async def statistics_if_read(context: Context, store: str, seconds: float) -> Statistics | None:
    """The same; None before the store's first poll."""
    return _known(context, store, seconds, await context.history.statistics(store, seconds))


async def worker_statistics_of(context: Context, store: str, seconds: float) -> Statistics:
    """The same by worker."""
    return polled(_known(context, store, seconds, await context.history.workers(store, seconds)), store)


def _known(context: Context, store: str, seconds: float, found: Statistics | None) -> Statistics | None:
    if found is None and lists_none(context, store):
        return uncounted(seconds)
    if set(Known(context.hub.current, store).outcomes) < set(FINAL_STATUSES):
        return uncounted(seconds)  # some outcomes are not kept: sums and rates of the rest would mislead
    return found


def read_at(context: Context, store: str) -> float:
    """When executions were last read. HttpError 503 before that, unless the store has none to be read."""
    known = Known(context.hub.current, store)
    if known.counts is not None and known.counts.read_at is not None:
        return known.counts.read_at
    recent = context.hub.current.part("recent", store)
    if known.ended is not None and recent is not None and recent.collected_at is not None:
        return recent.collected_at
    if lists_none(context, store):
        return context.hub.current.published_at
    raise HttpError(503, f"nothing is known of store {store!r} yet: its executions have not been read")


def lists_none(context: Context, store: str) -> bool:
    """Whether the store's profile lists no executions."""
    return Known(context.hub.current, store).maps("executions") is False


def uncounted(seconds: float) -> Statistics:
    """Statistics of a store that lists no executions."""
    now = time.time()
    return Statistics(
        start=now - seconds, end=now, covered_since=None, overall=_NONE, by_label={}, trend=(), counted=False
    )
