"""NativeLink's monitoring API: workers, operations, the scheduler's own numbers, its health.

Operations are executions here, of no task type; they have no start of their own: NativeLink tells when one was put into
the queue. The scheduler's numbers count, the lists tell one from the other.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Final, cast

import msgspec
from msgspec.structs import replace

from exporter.config.model import NativelinkStore
from exporter.domain import (
    OPERATION_STAGES,
    Operations,
    Queues,
    QueueState,
    Running,
    RunningByType,
    RunningExecution,
    Worker,
    Workers,
)
from exporter.poller import Collected
from exporter.reported import Health
from exporter.stores.asked import KnowsNothing
from exporter.stores.flights import Flights
from exporter.stores.found import Operation
from exporter.stores.http import nativelink_wire as wire
from exporter.stores.http.around import Around
from exporter.stores.http.client import LARGEST_LIST, Client, Missing, segment
from exporter.stores.http.store import Question

#: Operations that one answer lists: what the API lists by default.
LISTED: Final = 1_000
#: Those that are asked for at once on request: so many fit into an answer that is read to its end.
LIVE_MOST: Final = 5_000
_WORKERS: Final = "/api/v1/workers"
_OPERATIONS: Final = "/api/v1/operations"
_BY_STAGE: Final = ("queued", "executing")
_HEALTHY: Final = "healthy"


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """The operations of the last answer; ``whole``: there are no others."""

    operations: tuple[Operation, ...]
    whole: bool


class Nativelink:
    """One NativeLink scheduler."""

    lacks = ("executions", "jobs", "schedules", "backfill")

    def __init__(self, config: NativelinkStore, client: Client, around: Around) -> None:
        self._client = client
        self._around = around
        self._lost_after = config.worker_lost_after
        self.reads = NativelinkReads(client, around)

    @property
    def questions(self) -> Sequence[Question]:
        """Three; each of the API's lists and numbers is asked for by one of them."""
        return (
            Question(name="health", ask=self._health),
            Question(name="workers", ask=self._workers, requests=2),
            Question(name="operations", ask=self._operations, requests=4, also=("running", "queues", "listed")),
        )

    async def _health(self) -> Collected:
        # What is unhealthy may say so with 503: that is an answer.
        told = await self._client.get("/api/v1/system/health", wire.Health, accept=(200, 503))
        now = time.time()
        started = None if told.uptime_seconds is None else float(round(now - told.uptime_seconds))
        ahead = None if told.timestamp is None else told.timestamp - now
        return Collected(value=Health(components={"": told.status == _HEALTHY}, started_at=started, ahead=ahead))

    async def _workers(self) -> Collected:
        listed = await self._client.get(_WORKERS, list[wire.Worker], largest=LARGEST_LIST)
        status = await self._client.get("/api/v1/scheduler/status", wire.Status)
        now = await self._around.now()
        # By id: a worker that is listed twice must not be shown twice.
        workers = tuple({w.id: worker_of(w, now, self._lost_after) for w in listed}.values())
        executing = {w.id: tuple(w.running_operations) for w in listed if w.running_operations is not None}
        return Collected(value=replace(counted(workers, status), executing=executing))

    async def _operations(self) -> Collected:
        numbers = (await self._client.get("/api/v1/scheduler/metrics", wire.Metrics)).operations
        listed = await self._list()
        stages = by_stage(numbers)
        value = Operations(by_stage=stages, executing=_by_worker(listed.operations))
        also = {
            "running": running(stages, listed, self._around.fresh("workers", Workers)),
            "queues": queues(stages, listed),
            "listed": listed,
        }
        return Collected(value=value, also=also)

    async def _list(self) -> Listed:
        """All operations; of more than one answer takes, those that are queued or executing."""
        found = await ask(self._client, LISTED)
        if len(found) < LISTED:
            return Listed(operations=found, whole=True)
        parts = [await ask(self._client, LISTED, stage=stage) for stage in _BY_STAGE]
        return Listed(operations=tuple(operation for part in parts for operation in part), whole=False)


async def ask(client: Client, limit: int, **wanted: str | None) -> tuple[Operation, ...]:
    """Operations, of one ``stage`` or ``worker_id``."""
    query = [(name, value) for name, value in wanted.items() if value is not None]
    query.append(("limit", str(limit)))
    told = await client.get(_OPERATIONS, list[wire.Operation], query=query, largest=LARGEST_LIST)
    return tuple(map(operation_of, told))


def operation_of(told: wire.Operation) -> Operation:
    """An operation as stores have it."""
    properties = told.platform_properties
    return Operation(
        operation_id=told.operation_id,
        client_operation_id=told.client_operation_id,
        stage=stage_of(told.stage),
        worker_id=told.worker_id or None,
        action_digest=told.action_digest,
        command_digest=told.command_digest,
        input_root_digest=told.input_root_digest,
        priority=told.priority,
        timeout=None if told.timeout is None else int(told.timeout),
        platform_properties=None if properties is None else msgspec.json.encode(properties).decode(),
        load_timestamp=told.load_timestamp,
        insert_timestamp=told.insert_timestamp,
    )


def stage_of(told: str) -> str:
    """``executing`` of ``Executing``, ``cache_check`` of ``CacheCheck``; a stage that is not known stays as it is."""
    plain = told.lower().replace("_", "")
    return next((stage for stage in OPERATION_STAGES if stage.replace("_", "") == plain), told)


def worker_of(told: wire.Worker, now: float, lost_after: float) -> Worker:
    """A worker as stores have it; ``now`` is the scheduler's clock."""
    seen, running = told.last_update_timestamp, told.running_operations
    if seen is not None and now - seen > lost_after:
        state = "lost"
    elif told.is_draining:
        state = "draining"
    else:
        state = "paused" if told.is_paused else "active"
    properties = told.platform_properties
    return Worker(
        id=told.id,
        host=None,
        last_seen=seen,
        connected_at=told.connected_timestamp,
        state=state,
        is_paused=told.is_paused,
        is_draining=told.is_draining,
        can_accept_work=told.can_accept_work,
        actions_completed=told.actions_completed,
        platform_properties=None if properties is None else msgspec.json.encode(properties).decode(),
        running=None if running is None else len(running),
    )


def counted(workers: tuple[Worker, ...], status: wire.Status) -> Workers:
    """Workers with the scheduler's own numbers, where those say more than the list."""
    total = status.total_workers
    if total is None or total == len(workers):
        return Workers(workers=workers)
    told = {"active": status.active_workers, "paused": status.paused_workers, "draining": status.draining_workers}
    return Workers(workers=workers, told={s: n for s, n in told.items() if n is not None}, total=total)


def by_stage(numbers: wire.Operations) -> dict[str, int]:
    """Operations by stage, as far as they are told; what is in no other stage is looked up in the cache."""
    told = {"queued": numbers.queued, "executing": numbers.executing, "completed": numbers.completed}
    found = {stage: number for stage, number in told.items() if number is not None}
    if numbers.total is not None and len(found) == len(told) and numbers.total >= sum(found.values()):
        found["cache_check"] = numbers.total - sum(found.values())
    return found


def running(stages: dict[str, int], listed: Listed, workers: Workers | None) -> Running | None:
    """What runs now; None where nobody tells how much."""
    if "executing" not in stages:
        return None
    executing = [operation for operation in listed.operations if operation.stage == "executing"]
    complete = listed.whole or len(executing) < LISTED
    orphaned = None
    if workers is not None and complete:
        there = {worker.id for worker in workers.workers if worker.state != "lost"}
        orphaned = sum(operation.worker_id not in there for operation in executing)
    by_worker = {worker: len(ids) for worker, ids in _by_worker(listed.operations).items()} if complete else {}
    executing.sort(key=lambda operation: operation.insert_timestamp or 0.0)
    of_all = RunningByType(running=stages["executing"], stuck=None, orphaned=orphaned, oldest_start=None)
    return Running(
        by_task_type={"": of_all},
        by_worker=by_worker,
        oldest=tuple(map(_execution, executing[:LISTED])),
        attributed=complete,
    )


def _execution(operation: Operation) -> RunningExecution:
    name = cast(str, operation.operation_id)
    return RunningExecution(
        id=name, job_id=operation.client_operation_id or name, task_type="", queue=None, attempt=None,
        started_at=None, worker_id=operation.worker_id, scheduled_at=operation.insert_timestamp,
    )  # fmt: skip


def queues(stages: dict[str, int], listed: Listed) -> Queues | None:
    """What waits; None where nobody tells how much. An operation is due as soon as there is one."""
    if not {"queued", "executing", "cache_check"} <= stages.keys():
        return None
    waiting = [o for o in listed.operations if o.stage in ("queued", "cache_check")]
    since = [o.insert_timestamp for o in waiting if o.insert_timestamp is not None]
    complete = listed.whole or len(waiting) < LISTED
    ready = stages["queued"] + stages["cache_check"]
    state = QueueState(
        ready=ready,
        scheduled=0,
        running=stages["executing"],
        oldest_ready=min(since, default=None) if complete and ready else None,
    )
    by_status = {"PENDING": stages["cache_check"], "QUEUED": stages["queued"], "RUNNING": stages["executing"]}
    return Queues(
        queues={"": state},
        by_status={(status, "ONE_TIME"): number for status, number in by_status.items()},
        overdue=(),
        overdue_count=None,
    )


def _by_worker(operations: Sequence[Operation]) -> dict[str, tuple[str, ...]]:
    found: dict[str, list[str]] = {}
    for operation in operations:
        if operation.stage == "executing" and operation.worker_id is not None:
            found.setdefault(operation.worker_id, []).append(cast(str, operation.operation_id))
    return {worker: tuple(sorted(ids)) for worker, ids in found.items()}


class NativelinkReads(KnowsNothing):
    """What requests ask: operations, out of the last answer where that has all of them."""

    def __init__(self, client: Client, around: Around) -> None:
        self._client = client
        self._around = around
        self._flights = Flights()

    async def has(self, entity: str) -> bool:
        """Operations it has."""
        return entity == "operations"

    async def operations(
        self, limit: int, *, operation_id: str | None = None, stage: str | None = None, worker_id: str | None = None
    ) -> tuple[Operation, ...]:
        """Operations as the scheduler lists them, of one id, stage, worker if they are given."""
        listed = self._around.fresh("listed", Listed)
        if listed is None or not listed.whole:
            key = (limit, operation_id, stage, worker_id)
            return await self._flights.join(key, lambda: self._live(*key))
        wanted = {"operation_id": operation_id, "stage": stage, "worker_id": worker_id}
        return tuple(o for o in listed.operations if _fits(o, wanted))[:limit]

    async def _live(
        self, limit: int, operation_id: str | None, stage: str | None, worker_id: str | None
    ) -> tuple[Operation, ...]:
        if operation_id is None:
            return await ask(self._client, min(limit, LIVE_MOST), stage=stage, worker_id=worker_id)
        name = segment(operation_id)
        if name is None:
            return ()
        try:
            told = await self._client.get(f"{_OPERATIONS}/{{id}}", wire.Operation, path=f"{_OPERATIONS}/{name}")
        except Missing:
            return ()
        return (operation_of(told),)


def _fits(operation: Operation, wanted: dict[str, Any]) -> bool:
    return all(value is None or getattr(operation, name) == value for name, value in wanted.items())
