"""``/api/v1/operations``: the store's operations; of a store without any, its due jobs and its executions.

An execution's operation has the execution's id, a due job's ``job:`` and the job's: the two never get mixed up.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Final, Literal

import msgspec
from aiohttp import web
from msgspec import Meta

from exporter.api.asking import StoreAsked, from_state, store_asked
from exporter.api.examples import example
from exporter.api.from_store import from_store, reads_of
from exporter.api.known import Known
from exporter.api.nativelink import COMPLETED_SECONDS, FAMILY, properties
from exporter.api.wire import unix
from exporter.domain import OPERATION_STAGES, RecentExecution, RunningExecution
from exporter.httpd.context import Context
from exporter.httpd.endpoint import Answer, Endpoint, Query
from exporter.httpd.params import Text, limit_to
from exporter.httpd.problems import HttpError, json_response
from exporter.stores.found import Job, Operation

#: What is asked -> what is answered.
STAGES: Final = dict(zip(OPERATION_STAGES, ("Queued", "CacheCheck", "Executing", "Completed"), strict=True))
MOST: Final = 10_000
OF_JOB: Final = "job:"


class OperationsAsked(StoreAsked, frozen=True):
    """Which operations."""

    stage: Annotated[
        Literal["queued", "cache_check", "executing", "completed"], Meta(description="Only those in this stage")
    ] | None = None  # fmt: skip
    worker_id: Annotated[Text, Meta(description="Only this worker's")] | None = None
    limit: Annotated[int, limit_to(MOST)] = 1000


class OperationAsked(StoreAsked, frozen=True):
    """``operation_id`` in the path."""

    operation_id: Annotated[Text, Meta(min_length=1, description="The operation's id", examples=["17"])] = ""


class OperationRow(msgspec.Struct):
    """An operation; ``timeout`` in seconds."""

    operation_id: str | None
    client_operation_id: str | None
    stage: str | None
    worker_id: str | None
    action_digest: str | None
    command_digest: str | None
    input_root_digest: str | None
    priority: int | None
    timeout: int | None
    platform_properties: dict[str, str] | None
    load_timestamp: int | None
    insert_timestamp: int | None
    is_finished: bool | None


def endpoints(context: Context) -> list[Endpoint]:
    """Both paths."""

    async def operations(call: Query[OperationsAsked]) -> web.StreamResponse:
        asked = call.params
        store = store_asked(asked.store, context.config())
        if await _has_operations(context, store):
            found = await reads_of(context, store).operations(asked.limit, stage=asked.stage, worker_id=asked.worker_id)
            return json_response([_row(operation) for operation in found])
        rows: list[OperationRow] = []
        for stage in ("executing", "queued", "completed"):
            if asked.stage in (None, stage) and len(rows) < asked.limit:
                rows += await _stand_ins(context, store, stage, asked.worker_id, asked.limit - len(rows))
        return json_response(rows[: asked.limit])

    async def operation(call: Query[OperationAsked]) -> web.StreamResponse:
        wanted = call.params.operation_id
        store = store_asked(call.params.store, context.config())
        if await _has_operations(context, store):
            found = await reads_of(context, store).operations(1, operation_id=wanted)
            rows = [_row(one) for one in found]
        else:
            rows = [
                row
                for stage in ("executing", "queued", "completed")
                for row in await _stand_ins(context, store, stage, None, MOST)
                if row.operation_id == wanted
            ]
        if not rows:
            raise HttpError(404, f"Operation {wanted} not found")
        return json_response(rows[0])

    return [
        Endpoint(
            family=FAMILY,
            path="/api/v1/operations",
            handler=from_store(from_state(operations)),
            params=OperationsAsked,
            summary="Operations, newest first",
            answers={200: Answer(kind=list[OperationRow], example=example("nativelink_operations"))},
            fails=(404, 503),
        ),
        Endpoint(
            family=FAMILY,
            path="/api/v1/operations/{operation_id}",
            handler=from_store(from_state(operation)),
            params=OperationAsked,
            summary="One operation",
            answers={200: Answer(kind=OperationRow, example=example("nativelink_operation"))},
            fails=(404, 503),
        ),
    ]


async def _has_operations(context: Context, store: str) -> bool:
    return await reads_of(context, store).has("operations")


async def _stand_ins(
    context: Context, store: str, stage: str, worker_id: str | None, limit: int
) -> Iterable[OperationRow]:
    """What a store without operations has in their place."""
    if stage == "executing":
        running = Known(context.hub.current, store).running
        listed = running.oldest if running is not None else ()
        return [_of_running(e) for e in listed if worker_id in (None, e.worker_id)]
    if stage == "queued":
        return [_of_job(job) for job in await reads_of(context, store).due()] if worker_id is None else []
    finished = await context.history.statistics(store, COMPLETED_SECONDS)
    since = finished.end - COMPLETED_SECONDS if finished is not None else 0.0
    recent = await context.history.recent(store, limit=MOST if worker_id is not None else limit)
    lately = (e for e in recent if (e.completed_at or 0.0) >= since)
    return [_of_finished(e) for e in lately if worker_id in (None, e.worker_id)]


def _row(operation: Operation) -> OperationRow:
    stage = operation.stage
    return OperationRow(
        operation_id=operation.operation_id,
        client_operation_id=operation.client_operation_id,
        stage=STAGES.get(stage, stage) if stage is not None else None,
        worker_id=operation.worker_id,
        action_digest=operation.action_digest,
        command_digest=operation.command_digest,
        input_root_digest=operation.input_root_digest,
        priority=operation.priority,
        timeout=operation.timeout,
        platform_properties=properties(operation.platform_properties),
        load_timestamp=unix(operation.load_timestamp),
        insert_timestamp=unix(operation.insert_timestamp),
        is_finished=stage == "completed" if stage is not None else None,
    )


def _stand_in(
    operation_id: str, job_id: str | None, stage: str, worker_id: str | None, *, load: float | None,
    insert: float | None, priority: int | None = None,
) -> OperationRow:  # fmt: skip
    return OperationRow(
        operation_id=operation_id,
        client_operation_id=job_id,
        stage=STAGES[stage],
        worker_id=worker_id,
        action_digest=None,
        command_digest=None,
        input_root_digest=None,
        priority=priority,
        timeout=None,
        platform_properties=None,
        load_timestamp=unix(load),
        insert_timestamp=unix(insert),
        is_finished=stage == "completed",
    )


def _of_running(e: RunningExecution) -> OperationRow:
    insert = e.scheduled_at if e.scheduled_at is not None else e.started_at
    return _stand_in(e.id, e.job_id, "executing", e.worker_id, load=e.started_at, insert=insert)


def _of_finished(e: RecentExecution) -> OperationRow:
    insert = e.scheduled_at if e.scheduled_at is not None else e.started_at
    return _stand_in(e.id, e.job_id, "completed", e.worker_id, load=e.started_at, insert=insert)


def _of_job(job: Job) -> OperationRow:
    insert = job.created_at if job.created_at is not None else job.next_run_at
    return _stand_in(OF_JOB + job.id, job.id, "queued", None, load=None, insert=insert, priority=job.priority)
