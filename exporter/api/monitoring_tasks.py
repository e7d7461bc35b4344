"""``/api/v1/monitoring/tasks/...``: executions of all tasks and of one, and what runs now. The reviewer's family."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Any

import msgspec
from aiohttp import web
from msgspec import Meta

from exporter.api.asking import StoreAsked, from_state, store_asked
from exporter.api.counted import read_at
from exporter.api.estimates import usual_seconds
from exporter.api.examples import example
from exporter.api.from_store import from_store, reads_of
from exporter.api.kept import KeptAnswers
from exporter.api.known import Known
from exporter.api.masking import shown_error, shown_result
from exporter.api.recurring import job_log
from exporter.api.reviewer import FAMILY, PREFIX, RUNNING, STATES, everywhere
from exporter.api.wire import in_words, iso_second, lasted, number_or_text
from exporter.domain import RecentExecution, RunningExecution
from exporter.errors import StoreError
from exporter.httpd.context import Context
from exporter.httpd.endpoint import Answer, Endpoint, Query
from exporter.httpd.params import Text, limit_to
from exporter.httpd.problems import HttpError, json_body, json_response
from exporter.httpd.roles import Caller
from exporter.stores.asked import StoreReads
from exporter.stores.found import Job, LoggedExecution
from exporter.stores.reads import LogFilter

#: Ids where nobody knows the store's columns yet: those that look like numbers are numbers.
LOOKS: bool = True


class ExecutionsAsked(StoreAsked, frozen=True):
    """The newest executions of all tasks, or of one."""

    task_id: Annotated[Text, Meta(description="Only this task's")] | None = None
    limit: Annotated[int, limit_to(1000)] = 50


class TaskAsked(StoreAsked, frozen=True):
    """The newest executions of the task in the path."""

    task_id: Annotated[Text, Meta(min_length=1, description="The task's id", examples=["17"])] = ""
    limit: Annotated[int, limit_to(1000)] = 20


class ExecutionRow(msgspec.Struct):
    """One execution, running or finished.

    Where the store does not tell when it began, ``started_at`` is when it ended and ``duration_seconds`` null.
    """

    id: int | str
    task_id: int | str | None
    status: str
    started_at: str | None
    completed_at: str | None
    duration_seconds: int | None
    result: Any
    error_message: str | None


class RunningRow(msgspec.Struct):
    """One execution that runs now; ``id`` is its task's."""

    id: int | str
    name: str | None
    task_type: str | None
    connection_id: int | str | None
    execution_id: int | str
    execution_started_at: str | None
    estimated_duration: str | None


def endpoints(context: Context) -> list[Endpoint]:
    """The three paths, under all of the family's addresses."""

    kept = KeptAnswers()

    async def executions(call: Query[ExecutionsAsked]) -> web.StreamResponse:
        asked = call.params
        store = store_asked(asked.store, context.config())
        if asked.task_id is not None:
            try:
                return await of_task(store, asked.task_id, asked.limit, call.caller)
            except HttpError as exc:
                if exc.status != 404:
                    raise
                return json_response([])  # a filter that nothing passes
        known = Known(context.hub.current, store)
        read_at(context, store)
        body = await kept.get(
            ("executions", store, asked.limit, call.caller.role, context.config().setting),
            (known.ended, known.running),
            lambda: newest(store, asked.limit, call.caller),
        )
        return json_body(body)

    async def newest(store: str, limit: int, caller: Caller) -> list[ExecutionRow]:
        reads = context.reads(store)
        ids = await _Ids.of(reads)
        running = _newest_first(_running(context, store))[:limit]
        wanted = limit - len(running)
        finished = await context.history.recent(store, limit=wanted) if wanted else []
        results = await _results(reads, finished)
        rows = [_running_row(e, ids) for e in running]
        rows += [_row(e, results.get((e.id, e.attempt)), ids, caller, context.config().setting) for e in finished]
        return rows

    async def task(call: Query[TaskAsked]) -> web.StreamResponse:
        store = store_asked(call.params.store, context.config())
        return await of_task(store, call.params.task_id, call.params.limit, call.caller)

    async def of_task(store: str, task_id: str, limit: int, caller: Caller) -> web.StreamResponse:
        reads = reads_of(context, store)
        known = Known(context.hub.current, store)
        running = _newest_first(known.running_of(task_id))[:limit]
        job, _, page = await job_log(context, store, task_id, LogFilter(), limit=max(1, limit - len(running)))
        if job is None and page is None and not running:
            raise HttpError(404, f"task {task_id!r} not found")
        ids = await _Ids.of(reads)
        finished = page.executions[: limit - len(running)] if page is not None else ()
        rows = [_running_row(e, ids) for e in running]
        rows += [_row(e, e.result, ids, caller, context.config().setting) for e in finished]
        return json_response(rows)

    async def now(call: Query[StoreAsked]) -> web.StreamResponse:
        store = store_asked(call.params.store, context.config())
        known = Known(context.hub.current, store)
        made_of = (known.ended, known.running)
        return json_body(await kept.get(("running", store), made_of, lambda: running_now(store)))

    async def running_now(store: str) -> list[RunningRow]:
        reads = context.reads(store)
        ids = await _Ids.of(reads)
        running = _running(context, store)
        jobs = await _jobs(reads, running)
        usual = await usual_seconds(context.history, store, running)
        return [_running_now(e, jobs.get(e.job_id), usual.get(e.id), ids) for e in running]

    def one(path: str, handler: Any, params: type[StoreAsked], *, summary: str, kind: Any, name: str) -> Endpoint:
        return Endpoint(
            family=FAMILY, path=f"{PREFIX}/tasks/{path}", handler=from_store(from_state(handler)), params=params,
            summary=summary, answers={200: Answer(kind=kind, example=example(name))}, fails=(404, 503),
        )  # fmt: skip

    return everywhere(
        [
            one(
                "executions",
                executions,
                ExecutionsAsked,
                summary="The newest executions, running ones first",
                kind=list[ExecutionRow],
                name="monitoring_executions",
            ),
            one(
                "{task_id}/executions",
                task,
                TaskAsked,
                summary="One task's newest executions, running ones first",
                kind=list[ExecutionRow],
                name="monitoring_executions",
            ),
            one(
                "running",
                now,
                StoreAsked,
                summary="What runs now",
                kind=list[RunningRow],
                name="monitoring_running",
            ),
        ]
    )


class _Ids:
    """Which ids are numbers in the store."""

    def __init__(self, *, executions: bool, jobs: bool, connections: bool) -> None:
        self.executions, self.jobs, self.connections = executions, jobs, connections

    @classmethod
    async def of(cls, reads: StoreReads | None) -> _Ids:
        async def integral(*places: tuple[str, str]) -> bool:
            for entity, column in places:
                found = await reads.integral(entity, column) if reads is not None else None
                if found is not None:
                    return found
            return LOOKS

        try:
            return cls(
                executions=await integral(("executions", "id"), ("running", "id")),
                jobs=await integral(("executions", "job_id"), ("jobs", "id"), ("running", "id")),
                connections=await integral(("running", "connection_id"), ("jobs", "connection_id")),
            )
        except StoreError:
            return cls(executions=LOOKS, jobs=LOOKS, connections=LOOKS)


def _running(context: Context, store: str) -> Sequence[RunningExecution]:
    """What runs now; nothing is known of it while it is too old to be shown."""
    running = Known(context.hub.current, store).running
    return running.oldest if running is not None else ()


def _newest_first(running: Iterable[RunningExecution]) -> list[RunningExecution]:
    return sorted(running, key=lambda e: e.started_at or 0.0, reverse=True)


async def _results(reads: StoreReads | None, finished: Sequence[RecentExecution]) -> dict[tuple[str, int | None], str]:
    """What the executions gave; nothing while the store does not answer: unknown is null."""
    try:
        return await reads.results({e.id for e in finished}) if reads is not None and finished else {}
    except StoreError:
        return {}


async def _jobs(reads: StoreReads | None, running: Sequence[RunningExecution]) -> dict[str, Job]:
    """The jobs of executions that do not name theirs."""
    unnamed = {e.job_id for e in running if e.job_name is None}
    try:
        return await reads.jobs(unnamed) if reads is not None and unnamed else {}
    except StoreError:
        return {}


def _row(
    execution: RecentExecution | LoggedExecution, result: str | None, ids: _Ids, caller: Caller, environment: str
) -> ExecutionRow:
    seconds = lasted(execution.started_at, execution.completed_at)
    begun = execution.started_at if execution.started_at is not None else execution.completed_at
    return ExecutionRow(
        id=number_or_text(execution.id, integral=ids.executions) or execution.id,
        task_id=number_or_text(execution.job_id, integral=ids.jobs),
        status=STATES[execution.status],
        started_at=iso_second(begun),
        completed_at=iso_second(execution.completed_at),
        duration_seconds=None if seconds is None else round(seconds),
        result=shown_result(result),
        error_message=shown_error(execution.error_message, caller, environment),
    )


def _running_row(execution: RunningExecution, ids: _Ids) -> ExecutionRow:
    return ExecutionRow(
        id=number_or_text(execution.id, integral=ids.executions) or execution.id,
        task_id=number_or_text(execution.job_id, integral=ids.jobs),
        status=RUNNING,
        started_at=iso_second(execution.started_at),
        completed_at=None,
        duration_seconds=None,
        result=None,
        error_message=None,
    )


def _running_now(execution: RunningExecution, job: Job | None, usual: float | None, ids: _Ids) -> RunningRow:
    connection = execution.connection_id or (job.connection_id if job is not None else None)
    return RunningRow(
        id=number_or_text(execution.job_id, integral=ids.jobs) or execution.job_id,
        name=execution.job_name or (job.name if job is not None else None),
        task_type=execution.task_type or None,
        connection_id=number_or_text(connection, integral=ids.connections),
        execution_id=number_or_text(execution.id, integral=ids.executions) or execution.id,
        execution_started_at=iso_second(execution.started_at),
        estimated_duration=in_words(usual),
    )
