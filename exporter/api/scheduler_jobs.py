"""``/api/scheduler-monitoring/jobs``: the history of executions, newest first.

The newest ones are in the state file; what goes beyond them, or looks for a text, is asked of the store, as far back as
the store answers within its deadline.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import aclosing
from typing import Annotated, Any, Literal

import msgspec
from aiohttp import web
from msgspec import Meta

from exporter.api.asking import StoreAsked, from_state, snapshot_response, store_asked
from exporter.api.counted import lists_none, read_at
from exporter.api.examples import example
from exporter.api.from_store import from_store, reads_of
from exporter.api.kept import KeptAnswers
from exporter.api.known import Known
from exporter.api.masking import shown_error
from exporter.api.scheduler_monitoring import FAMILY
from exporter.api.wire import iso, lasted, milliseconds
from exporter.domain import FINAL_STATUSES, RecentExecution
from exporter.httpd.context import Context
from exporter.httpd.endpoint import Answer, Endpoint, Query
from exporter.httpd.params import Text, limit_to
from exporter.httpd.roles import Caller
from exporter.stores.pages import Wanted

Status = Literal["SUCCESS", "FAILED", "TIMEOUT", "CANCELLED"]
#: How far back one may page; an export goes further.
DEEPEST = 10_000


class HistoryAsked(StoreAsked, frozen=True):
    """Which executions."""

    status: Annotated[Status, Meta(description="The final status")] | None = None
    taskType: Annotated[Text, Meta(description="The task type")] | None = None  # noqa: N815 - the wire's name
    q: Annotated[Text, Meta(description="A text in ids, job name, task type or error message")] | None = None
    limit: Annotated[int, limit_to(100)] = 50
    offset: Annotated[int, Meta(ge=0, le=DEEPEST)] = 0


class ErrorText(msgspec.Struct):
    """Why an execution failed."""

    message: str | None
    code: str | None


class HistoryEntry(msgspec.Struct, rename="camel"):
    """One finished execution."""

    id: str
    job_id: str | None
    job_name: str | None
    task_type: str
    queue: str | None
    status: str
    attempt: int | None
    scheduled_at: str | None
    started_at: str | None
    completed_at: str | None
    duration_ms: int | None
    worker_id: str | None
    error: ErrorText | None


class Pagination(msgspec.Struct, rename="camel"):
    """Where a page lies. ``total`` is null where nobody counted to the end."""

    total: int | None
    limit: int
    offset: int
    has_more: bool


class HistoryAnswer(msgspec.Struct):
    """``GET /api/scheduler-monitoring/jobs``."""

    items: list[HistoryEntry]
    pagination: Pagination


def endpoints(context: Context) -> list[Endpoint]:
    """The one path."""

    kept = KeptAnswers()

    async def history(call: Query[HistoryAsked]) -> web.StreamResponse:
        asked = call.params
        store = store_asked(asked.store, context.config())
        at, counts = read_at(context, store), Known(context.hub.current, store).ended
        shown = (call.caller.role, context.config().setting)
        key = (store, asked.status, asked.taskType, asked.q, asked.limit, asked.offset, *shown)
        body = await kept.get(key, (counts,), lambda: page_of(store, asked, call.caller))
        return snapshot_response(body, at)

    async def page_of(store: str, asked: HistoryAsked, caller: Caller) -> HistoryAnswer:
        found, end = await _newest(context, store, asked)
        page = found[asked.offset : asked.offset + asked.limit]
        more = len(found) > asked.offset + asked.limit
        total = len(found) if end else await _counted(context, store, asked)
        if total is not None:  # counted apart from the page: at least what the page shows
            total = max(total, asked.offset + len(page) + more if page else 0)
        environment = context.config().setting
        return HistoryAnswer(
            [_entry(execution, caller, environment) for execution in page],
            Pagination(total, asked.limit, asked.offset, more),
        )

    return [
        Endpoint(
            family=FAMILY,
            path="/api/scheduler-monitoring/jobs",
            handler=from_store(from_state(history)),
            params=HistoryAsked,
            summary="The history of executions, newest first",
            answers={200: Answer(kind=HistoryAnswer, example=example("scheduler_monitoring_jobs"))},
            fails=(404, 503),
        )
    ]


async def _newest(context: Context, store: str, asked: HistoryAsked) -> tuple[Sequence[RecentExecution], bool]:
    """Executions up to one beyond the page, and whether those are all there are."""
    if lists_none(context, store):
        return [], False
    wanted = asked.offset + asked.limit + 1
    if asked.q is None:
        recent = await context.history.recent(store, limit=wanted, status=asked.status, task_type=asked.taskType)
        if len(recent) >= wanted:
            return recent, False
        last = await context.history.recent(store, limit=1, offset=context.config().retention.recent_executions - 1)
        if not last and await _whole(context, store):  # none has left the ring
            return recent, True
    return await _from_store(context, store, asked, wanted)


async def _whole(context: Context, store: str) -> bool:
    """Whether the ring has all the executions that the statistics know."""
    retention = context.config().retention.statistics
    found = await context.history.statistics(store, retention)
    return found is not None and found.covered_since is not None and found.covered_since <= found.start


async def _from_store(
    context: Context, store: str, asked: HistoryAsked, wanted: int
) -> tuple[Sequence[RecentExecution], bool]:
    pages = await reads_of(context, store).pages()
    since = time.time() - context.config().retention.statistics
    found: list[RecentExecution] = []
    looking = pages.executions(Wanted(since=since, status=asked.status, task_type=asked.taskType, text=asked.q))
    try:
        async with asyncio.timeout(pages.patience), aclosing(looking):
            async for page in looking:
                found += page
                if len(found) >= wanted:
                    return found[:wanted], False
    except TimeoutError:
        return found, False
    return found, pages.whole


async def _counted(context: Context, store: str, asked: HistoryAsked) -> int | None:
    """How many there are within ``retention.statistics``, from the statistics; None for what they do not tell apart."""
    if asked.q is not None:
        return None
    found = await context.history.statistics(store, context.config().retention.statistics)
    if found is None:
        return None
    figures = found.overall if asked.taskType is None else found.by_label.get(asked.taskType)
    if figures is None:
        return 0
    return sum(figures.counts) if asked.status is None else figures.counts[FINAL_STATUSES.index(asked.status)]


def _entry(execution: RecentExecution, caller: Caller, environment: str) -> HistoryEntry:
    message, code = execution.error_message, execution.error_code
    return HistoryEntry(
        **execution_fields(execution),
        error=None if message is None and code is None else ErrorText(shown_error(message, caller, environment), code),
    )


def execution_fields(execution: RecentExecution) -> dict[str, Any]:
    """What is told of every finished execution, whoever asks."""
    return {
        "id": execution.id,
        "job_id": execution.job_id,
        "job_name": execution.job_name,
        "task_type": execution.task_type,
        "queue": execution.queue,
        "status": execution.status,
        "attempt": execution.attempt,
        "scheduled_at": iso(execution.scheduled_at),
        "started_at": iso(execution.started_at),
        "completed_at": iso(execution.completed_at),
        "duration_ms": milliseconds(lasted(execution.started_at, execution.completed_at)),
        "worker_id": execution.worker_id,
    }
