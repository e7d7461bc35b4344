"""``/jobs/{id}``: one job, and the timeline of its attempts, newest first.

The store is asked for it, within its deadline. While it does not answer, the page shows what the sidecar remembers.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from datetime import date
from typing import Annotated, Any, Final

import msgspec
from aiohttp import web
from msgspec import Meta

from exporter.api.asking import StoreAsked, store_asked
from exporter.api.from_store import unavailable
from exporter.api.job_detail import JobView, job_view
from exporter.api.known import Known
from exporter.api.masking import shown_error, shown_result
from exporter.api.recurring import job_log
from exporter.api.wire import lasted
from exporter.domain import RecentExecution
from exporter.errors import ExporterError, LedgerError
from exporter.httpd.context import Context
from exporter.httpd.endpoint import Endpoint, Family, Query
from exporter.httpd.params import Text
from exporter.httpd.problems import HttpError
from exporter.httpd.roles import Caller
from exporter.pages.frame import JOB, frame_of
from exporter.pages.home import PAGE
from exporter.pages.refused import refuser
from exporter.pages.responses import page_response
from exporter.pages.template import template
from exporter.pages.words import moment
from exporter.stores.found import LoggedExecution
from exporter.stores.reads import LogFilter

#: Attempts on one page.
SIZE: Final = 25
#: How many of the newest executions are looked through for a job's while its store is away.
LOOKED_THROUGH: Final = 2_000
#: Seconds for which a page waits for the state file.
PATIENCE: Final = 2.0


class JobAsked(StoreAsked, frozen=True):
    """``id`` in the path; ``page`` of its attempts."""

    id: Annotated[Text, Meta(min_length=1, description="The job's id", examples=["17"])] = ""
    page: Annotated[int, Meta(ge=1, le=10_000, description="The page of its attempts, from the newest on")] = 1


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One finished execution. ``new_day``: it ended on another day than the one that is shown above it."""

    execution: RecentExecution
    took: float | None
    said: str | None
    new_day: bool

    @property
    def good(self) -> bool | None:
        """True where it succeeded, None where it was cancelled."""
        return {"SUCCESS": True, "CANCELLED": None}.get(self.execution.status, False)


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a job. ``away`` says why the store could not be asked; ``job`` is None then."""

    job: JobView | None
    executions: tuple[RecentExecution, ...]
    more: bool
    away: str | None = None


def endpoints(context: Context) -> list[Endpoint]:
    """The one path."""

    async def page(call: Query[JobAsked]) -> web.StreamResponse:
        asked = call.params
        store = store_asked(asked.store, context.config())
        try:
            found = await _of_store(context, store, asked)
        except ExporterError as error:
            found = await _remembered(context, store, asked, unavailable(error).message)
        frame = frame_of(context, call)
        known = Known(context.hub.current, store)
        html = template("job.html.j2").render(
            frame=frame,
            now=time.time(),
            store=store,
            several=len(context.config().stores) > 1,
            id=asked.id,
            found=found,
            name=_name(found, known.running_of(asked.id)),
            running=known.running_of(asked.id),
            attempts=_attempts(found.executions, call.caller, context.config().setting),
            page=asked.page,
        )
        return page_response(html, frame)

    return [
        Endpoint(
            family=Family(name="job", description="A page for people about one job", refuse=refuser(context)),
            path=JOB,
            handler=page,
            params=JobAsked,
            session=True,
            summary="One job and the timeline of its attempts",
            answers={200: PAGE},
            fails=(404, 503),
        )
    ]


async def _of_store(context: Context, store: str, asked: JobAsked) -> Found:
    view = await job_view(context, store, asked.id)
    offset = SIZE * (asked.page - 1)
    _, _, log = await job_log(context, store, asked.id, LogFilter(), limit=SIZE, offset=offset)
    return Found(job=view, executions=log.executions if log is not None else (), more=log is not None and log.more)


async def _remembered(context: Context, store: str, asked: JobAsked, away: str) -> Found:
    """From the state file and the snapshot. HttpError 503 where neither has ever heard of the job."""
    newest: list[RecentExecution] = []
    state = None
    try:
        async with asyncio.timeout(PATIENCE):
            newest = await context.history.recent(store, limit=LOOKED_THROUGH)
            state = await context.history.job(store, asked.id)
    except (LedgerError, TimeoutError):
        pass  # the page says that this is all there is
    own = [one for one in newest if one.job_id == asked.id]
    if not own and state is None and not Known(context.hub.current, store).running_of(asked.id):
        raise HttpError(503, f"{away}, and nothing is remembered of this job", {"Retry-After": "5"})
    start = SIZE * (asked.page - 1)
    return Found(job=None, executions=tuple(own[start : start + SIZE]), more=len(own) > start + SIZE, away=away)


def _name(found: Found, running: Iterable[Any]) -> str | None:
    if found.job is not None:
        return found.job.name
    return next((one.job_name for one in (*found.executions, *running) if one.job_name), None)


def _attempts(executions: Iterable[RecentExecution], caller: Caller, environment: str) -> list[Attempt]:
    attempts = []
    day: date | None = None
    for one in executions:
        ended = moment(one.completed_at)
        before, day = day, ended.date() if ended is not None else None
        attempts.append(
            Attempt(
                execution=one,
                took=lasted(one.started_at, one.completed_at),
                said=_said(one, caller, environment),
                new_day=day is not None and day != before,
            )
        )
    return attempts


def _said(execution: RecentExecution, caller: Caller, environment: str) -> str | None:
    """Why it failed, else what came of it."""
    if execution.error_message is not None:
        return shown_error(execution.error_message, caller, environment)
    if isinstance(execution, LoggedExecution) and execution.result is not None:
        shown = shown_result(execution.result)
        return shown if isinstance(shown, str) else msgspec.json.encode(shown).decode()
    return execution.error_code
