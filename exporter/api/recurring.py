"""A job and its executions, also those of a recurring one whose runs are jobs of their own, each with its id.

Such runs are found by ``recurring_id``. No index serves that: history is looked through from its newest end, within the
statistics' retention and the store's timeout.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing
from typing import NamedTuple

from exporter.api.from_store import reads_of
from exporter.api.known import Known
from exporter.domain import RecurringJob
from exporter.httpd.context import Context
from exporter.stores.found import Job, JobTotals, LoggedExecution
from exporter.stores.pages import Wanted
from exporter.stores.reads import LogFilter, LogPage

#: Executions that a summary is made of at most.
SUMMED_MOST = 1_000


class JobLog(NamedTuple):
    """A job as the store lists it by its id, and as one that recurs; a page of its log. Nones: nobody knows of it."""

    job: Job | None
    recurring: RecurringJob | None
    page: LogPage | None


async def job_log(
    context: Context, store: str, job_id: str, wanted: LogFilter, *, limit: int, offset: int = 0
) -> JobLog:
    """What is known of a job. StoreError."""
    job, page = await reads_of(context, store).log(job_id, wanted, limit, offset)
    recurring = await recurring_job(context, store, job_id, found=job is not None or page is not None)
    # The store may list a recurring job among its jobs, too: its own id has no executions then.
    if recurring is not None and (page is None or page.total == 0):
        page = await recurring_log(context, store, job_id, wanted, limit=limit, offset=offset)
    return JobLog(job, recurring, page)


async def recurring_job(context: Context, store: str, job_id: str, *, found: bool) -> RecurringJob | None:
    """The recurring job of this id: as the store lists it; if it ``found`` nothing at all, as its runs are remembered.

    Metrics and lists name a recurring job that fails by the ``recurring_id`` of its runs, listed or not.
    """
    listed = Known(context.hub.current, store).recurring_job(job_id)
    if listed is not None or found:
        return listed
    remembered = await context.history.job(store, job_id)
    if remembered is None or not remembered.recurring:
        return None
    return RecurringJob(
        job_id=job_id,
        name=remembered.name,
        task_type=remembered.task_type,
        status=None,
        schedule=None,
        time_zone=None,
        next_run=None,
        last_success=remembered.last_success,
        overdue_since=None,
    )


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
