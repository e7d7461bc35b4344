"""The executions of a recurring job whose runs are jobs of their own, each with its id: found by ``recurring_id``.

No index serves that: history is looked through from its newest end, within the statistics' retention and the store's
timeout.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing

from exporter.api.from_store import reads_of
from exporter.httpd.context import Context
from exporter.stores.found import JobTotals, LoggedExecution
from exporter.stores.pages import Wanted
from exporter.stores.reads import LogFilter, LogPage

#: Executions that a summary is made of at most.
SUMMED_MOST = 1_000


async def recurring_log(
    context: Context, store: str, recurring_id: str, wanted: LogFilter, *, limit: int, offset: int = 0
) -> LogPage:
    """A page of its log, newest first. Unless history was looked through to its end, ``total`` is capped."""
    until = wanted.until
    found: list[LoggedExecution] = []
    ended = False
    pages = await reads_of(context, store).pages()
    since = time.time() - context.config().retention.statistics
    if wanted.since is not None:
        since = max(since, wanted.since)
    looking = pages.executions(Wanted(since=since, status=wanted.status, recurring_id=recurring_id, results=True))
    try:
        async with asyncio.timeout(pages.patience), aclosing(looking):
            async for page in looking:
                found += [e for e in page if until is None or (e.started_at or e.completed_at or 0.0) <= until]
                if len(found) > offset + limit:
                    break
            else:
                ended = True
    except TimeoutError:
        pass
    shown = tuple(found[offset : offset + limit])
    return LogPage(executions=shown, total=len(found), capped=not ended, more=len(found) > offset + limit)


def ran_as_others(page: LogPage | None) -> bool:
    """Whether the log by a recurring job's own id, which the store may list among its jobs, has nothing at all."""
    return page is None or page.total == 0


def summed_up(page: LogPage) -> JobTotals:
    """A log added up."""
    by_status = [e.status for e in page.executions]
    spans = [(e.started_at, e.completed_at) for e in page.executions]
    lasted = [ended - began for began, ended in spans if began is not None and ended is not None]
    begun = [began for began, _ in spans if began is not None]
    attempts = [e.attempt for e in page.executions if e.attempt is not None]
    return JobTotals(
        counts=tuple(by_status.count(status) for status in ("SUCCESS", "FAILED", "TIMEOUT", "CANCELLED")),
        retries=sum(attempt > 0 for attempt in attempts) if attempts else None,
        mean=sum(lasted) / len(lasted) if lasted else None,
        max=max(lasted, default=None),
        min=min(lasted, default=None),
        first=min(begun, default=None),
        last=max(begun, default=None),
        capped=page.capped,
    )
