"""What the paths of NativeLink's family share, and its workers, status, metrics and health.

snake_case, Unix seconds, ids as text. ``uptime_seconds`` is the sidecar's where the scheduler does not tell its own.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal

import msgspec
from aiohttp import web
from msgspec import Meta

from exporter.api.asking import HOUR, StoreAsked, from_state, snapshot_response, store_asked
from exporter.api.examples import example
from exporter.api.known import Known
from exporter.api.wire import unix
from exporter.domain import OPERATION_STAGES, Worker
from exporter.httpd.context import Context
from exporter.httpd.endpoint import Answer, Endpoint, Family, Query
from exporter.httpd.params import Text
from exporter.httpd.problems import HttpError, json_response
from exporter.httpd.roles import Role
from exporter.job_counts import by_state

FAMILY: Final = Family(
    name="nativelink",
    description="Workers and operations: snake_case, Unix seconds",
    prefixes=("/api/v1/workers", "/api/v1/operations", "/api/v1/scheduler/", "/api/v1/system/"),
)
#: How long finished executions count as completed operations, where the store has no operations of its own.
COMPLETED_SECONDS: Final = 24 * HOUR


class WorkerAsked(StoreAsked, frozen=True):
    """``worker_id`` in the path."""

    worker_id: Annotated[Text, Meta(min_length=1, description="The worker's id", examples=["worker-123"])] = ""


class WorkerRow(msgspec.Struct):
    """A worker. A lost one accepts no work."""

    id: str
    platform_properties: dict[str, str] | None
    last_update_timestamp: int | None
    is_paused: bool | None
    is_draining: bool | None
    can_accept_work: bool | None
    running_operations: list[str] | None
    connected_timestamp: int | None
    actions_completed: int | None


class StatusAnswer(msgspec.Struct):
    """``GET /api/v1/scheduler/status``. Lost workers, and operations in ``cache_check``, are in the totals only."""

    total_workers: int | None
    active_workers: int | None
    paused_workers: int | None
    draining_workers: int | None
    total_operations: int | None
    queued_operations: int | None
    executing_operations: int | None
    completed_operations: int | None
    uptime_seconds: int


class WorkerNumbers(msgspec.Struct):
    """Workers by state."""

    total: int | None
    active: int | None
    paused: int | None
    draining: int | None


class OperationNumbers(msgspec.Struct):
    """Operations by stage."""

    total: int | None
    queued: int | None
    executing: int | None
    completed: int | None


class MetricsAnswer(msgspec.Struct):
    """``GET /api/v1/scheduler/metrics``."""

    workers: WorkerNumbers
    operations: OperationNumbers
    uptime_seconds: int


class HealthAnswer(msgspec.Struct):
    """``GET /api/v1/system/health``; unhealthy: the store does not answer."""

    status: Literal["healthy", "degraded", "unhealthy"]
    timestamp: int
    uptime_seconds: int


def endpoints(context: Context) -> list[Endpoint]:
    """The five paths."""

    def uptime(store: Known) -> int:
        told = store.health.started_at if store.health is not None else None
        return max(0, int(time.time() - (context.started_at if told is None else told)))

    def answer(body: Any) -> web.StreamResponse:
        return snapshot_response(msgspec.json.encode(body), context.hub.current.published_at)

    def known(asked: StoreAsked) -> Known:
        return Known(context.hub.current, store_asked(asked.store, context.config()))

    async def workers(call: Query[StoreAsked]) -> web.StreamResponse:
        store = known(call.params)
        return answer([_row(store, worker) for worker in _listed(store)])

    async def worker(call: Query[WorkerAsked]) -> web.StreamResponse:
        store = known(call.params)
        for one in _listed(store):
            if one.id == call.params.worker_id:
                return answer(_row(store, one))
        raise HttpError(404, f"Worker {call.params.worker_id} not found")

    async def status(call: Query[StoreAsked]) -> web.StreamResponse:
        store = known(call.params)
        by_worker, by_stage = _worker_numbers(store), await operation_numbers(context, store)
        return answer(
            StatusAnswer(
                *(by_worker.total, by_worker.active, by_worker.paused, by_worker.draining),
                *(by_stage.total, by_stage.queued, by_stage.executing, by_stage.completed),
                uptime_seconds=uptime(store),
            )
        )

    async def metrics(call: Query[StoreAsked]) -> web.StreamResponse:
        store = known(call.params)
        return answer(MetricsAnswer(_worker_numbers(store), await operation_numbers(context, store), uptime(store)))

    async def health(call: Query[StoreAsked]) -> web.StreamResponse:
        store = known(call.params)
        verdict: Literal["healthy", "degraded", "unhealthy"] = "healthy"
        if store.up is False:
            verdict = "unhealthy"
        elif store.up is None or store.failing:
            verdict = "degraded"
        elif store.health is not None and not store.health.components.get("", True):
            verdict = "unhealthy"
        body = HealthAnswer(verdict, int(time.time()), uptime(store))
        return json_response(body, 503 if verdict == "unhealthy" else 200)

    def one(path: str, handler: Any, summary: str, kind: Any, **more: Any) -> Endpoint:
        answers = {200: Answer(kind=kind, example=example(more.pop("name")))}
        options = {"params": StoreAsked, "answers": answers, "fails": (404, 503), **more}
        return Endpoint(family=FAMILY, path=path, handler=handler, summary=summary, **options)

    unhealthy = Answer(kind=HealthAnswer, description="The store does not answer")
    return [
        one("/api/v1/workers", workers, "The workers", list[WorkerRow], name="nativelink_workers"),
        one(
            "/api/v1/workers/{worker_id}", worker, "One worker", WorkerRow,
            name="nativelink_worker", params=WorkerAsked,
        ),
        one(
            "/api/v1/scheduler/status", from_state(status), "Workers and operations in numbers", StatusAnswer,
            name="nativelink_status",
        ),
        one(
            "/api/v1/scheduler/metrics", from_state(metrics), "The same, grouped", MetricsAnswer,
            name="nativelink_metrics",
        ),
        one(
            "/api/v1/system/health", health, "Whether the scheduler's store answers", HealthAnswer,
            name="nativelink_health", role=Role.ANYONE, fails=(404,),
            answers={200: Answer(kind=HealthAnswer, example=example("nativelink_health")), 503: unhealthy},
        ),
    ]  # fmt: skip


async def operation_numbers(context: Context, store: Known) -> OperationNumbers:
    """Operations by stage; of a store without any: due jobs, running executions, those finished within a day."""
    if store.operations is not None:
        stages = store.operations.by_stage
        queued, _, executing, completed = (stages.get(stage) for stage in OPERATION_STAGES)
        return OperationNumbers(sum(stages.values()), queued, executing, completed)
    due = sum(queue.ready for queue in store.queues.queues.values()) if store.queues is not None else None
    finished = await context.history.statistics(store.store, COMPLETED_SECONDS)
    ended = sum(finished.overall.counts) if finished is not None else None
    running = store.running_count
    told = [number for number in (due, running, ended) if number is not None]
    return OperationNumbers(sum(told) if told else None, due, running, ended)


def _listed(store: Known) -> Sequence[Worker]:
    """The workers. HttpError 503 while they are not known; a store that has none of its own has none."""
    if store.workers is not None:
        return store.workers.workers
    if store.maps("workers") is False:
        return ()
    raise HttpError(503, f"nothing is known of the workers of store {store.store!r} at present", {"Retry-After": "5"})


def _worker_numbers(store: Known) -> WorkerNumbers:
    if store.workers is None:
        return WorkerNumbers(None, None, None, None)
    told = store.workers
    total = told.total if told.total is not None else len(told.workers)
    return WorkerNumbers(total, *(by_state(told).get(state) for state in ("active", "paused", "draining")))


def _row(store: Known, worker: Worker) -> WorkerRow:
    paused, draining = worker.is_paused, worker.is_draining
    accepts = worker.can_accept_work
    if worker.state == "lost":
        accepts = False
    elif accepts is None and paused is not None and draining is not None:
        accepts = not (paused or draining)
    return WorkerRow(
        id=worker.id,
        platform_properties=properties(worker.platform_properties),
        last_update_timestamp=unix(worker.last_seen),
        is_paused=paused,
        is_draining=draining,
        can_accept_work=accepts,
        running_operations=_running(store, worker.id),
        connected_timestamp=unix(worker.connected_at),
        actions_completed=worker.actions_completed,
    )


def _running(store: Known, worker: str) -> list[str] | None:
    """The ids of what a worker is busy with: operations, or else executions."""
    if store.workers is not None and store.workers.executing is not None:
        told = store.workers.executing.get(worker)
        return None if told is None else list(told)
    if store.operations is not None:
        return list(store.operations.executing.get(worker, ()))
    if store.running is None:
        return None
    return sorted(execution.id for execution in store.running.oldest if execution.worker_id == worker)


def properties(text: str | None) -> dict[str, str] | None:
    """A JSON object as texts by name; None for anything else."""
    if text is None:
        return None
    try:
        found = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError):
        return None
    if not isinstance(found, dict):
        return None
    return {key: _text(value) for key, value in found.items()}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
