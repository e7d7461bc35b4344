"""``/api/system/health``: database, scheduler, system, process. Open to anyone, and so without any error's text.

Database and scheduler are critical: 503 when one of them is unhealthy. The CHRONOS family.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import Any, Literal

import msgspec
import psutil
from aiohttp import web

from exporter.api.asking import StoreAsked, from_state, store_asked
from exporter.api.chronos import FAMILY
from exporter.api.counted import statistics_if_read
from exporter.api.examples import example
from exporter.api.known import Known, job_numbers
from exporter.api.system import LIVE_SECONDS
from exporter.api.wire import iso, milliseconds, percent
from exporter.dependencies import sights
from exporter.domain import Statistics
from exporter.httpd.context import Context
from exporter.httpd.endpoint import Answer, Endpoint, Query
from exporter.httpd.problems import json_response
from exporter.httpd.roles import Role

Health = Literal["healthy", "degraded", "unhealthy", "unknown"]


class Database(msgspec.Struct):
    """The store. ``latency``: milliseconds of the quickest of the latest questions to it."""

    status: Health
    state: Literal["connected", "disconnected", "connecting", "not configured"]
    latency: int | None


class Scheduler(msgspec.Struct, rename="camel"):
    """The scheduler's work: what ended within five minutes; PENDING, SCHEDULED and QUEUED jobs.

    Unhealthy: a job is due for longer than ``alerting.thresholds.no_execution_seconds``, nothing runs and nothing ended
    within five minutes.
    """

    status: Health
    recent_executions: int | None
    pending_jobs: int | None


class Memory(msgspec.Struct, rename="camel"):
    """The machine's memory in bytes."""

    total: int
    free: int
    usage_percent: str


class Cpu(msgspec.Struct, rename="camel"):
    """The machine's processors; load over 1, 5 and 15 minutes."""

    cores: int | None
    load_average: list[float] | None


class System(msgspec.Struct):
    """The machine."""

    status: Health
    memory: Memory
    cpu: Cpu


class ProcessMemory(msgspec.Struct, rename="camel"):
    """Resident memory and its limit in bytes."""

    heap_used: int
    heap_total: int | None


class Process(msgspec.Struct):
    """This process."""

    status: Health
    pid: int
    memory: ProcessMemory


class Dependency(msgspec.Struct):
    """A dependency. ``latency``: milliseconds of the last check."""

    status: Health
    kind: str
    latency: int | None


class Components(msgspec.Struct, omit_defaults=True):
    """What is looked at; ``dependencies`` by name, where some are configured."""

    database: Database
    scheduler: Scheduler
    system: System
    process: Process
    dependencies: dict[str, Dependency] | None = None


class HealthAnswer(msgspec.Struct, rename="camel"):
    """``GET /api/system/health``; ``uptime`` and ``responseTime`` in milliseconds."""

    status: Health
    timestamp: str | None
    uptime: int
    response_time: int
    components: Components


def endpoints(context: Context) -> list[Endpoint]:
    """The one path."""

    async def health(call: Query[StoreAsked]) -> web.StreamResponse:
        started = time.perf_counter()
        config = context.config()
        if config.stores or call.params.store is not None:
            store = store_asked(call.params.store, config)
            known = Known(context.hub.current, store)
            found = await statistics_if_read(context, store, LIVE_SECONDS)
            database = _database(known)
            scheduler = _scheduler(known, found, config.alerting.thresholds.no_execution_seconds)
        else:
            database = Database("unknown", "not configured", None)
            scheduler = Scheduler("unknown", None, None)
        components = Components(
            database,
            scheduler,
            _system(config.alerting.thresholds.memory_ratio),
            _process(context),
            dict(_dependencies(context)) or None,
        )
        status = _verdict(components)
        body = HealthAnswer(
            status=status,
            timestamp=iso(time.time()),
            uptime=milliseconds(max(0.0, time.time() - context.started_at)) or 0,
            response_time=milliseconds(time.perf_counter() - started) or 0,
            components=components,
        )
        return json_response(body, 503 if status == "unhealthy" else 200)

    return [
        Endpoint(
            family=FAMILY,
            path="/api/system/health",
            handler=from_state(health),
            params=StoreAsked,
            role=Role.ANYONE,
            summary="Database, scheduler, system and process",
            answers={
                200: Answer(kind=HealthAnswer, example=example("system_health")),
                503: Answer(kind=HealthAnswer, description="Database or scheduler is unhealthy"),
            },
            fails=(404,),
        )
    ]


def _verdict(components: Components) -> Health:
    critical = {components.database.status, components.scheduler.status}
    if "unhealthy" in critical:
        return "unhealthy"
    others = {components.system.status, components.process.status}
    others.update(dependency.status for dependency in (components.dependencies or {}).values())
    configured = components.database.state != "not configured"
    return "degraded" if "unhealthy" in others or (configured and "unknown" in critical) else "healthy"


def _database(known: Known) -> Database:
    up = known.up
    latency = milliseconds(known.latency)
    if up is None:
        return Database("unknown", "connecting", latency)
    told = known.health
    if up and told is not None and not told.components.get("database", True):
        return Database("unhealthy", "disconnected", milliseconds(told.database_seconds))
    return Database("healthy", "connected", latency) if up else Database("unhealthy", "disconnected", latency)


def _scheduler(known: Known, found: Statistics | None, patience: float) -> Scheduler:
    numbers = job_numbers(known.jobs, known.queues).by_status
    waiting = [number for name in ("PENDING", "SCHEDULED", "QUEUED") if (number := numbers[name]) is not None]
    recent = sum(found.overall.counts) if found is not None and found.counted else None
    if (told := known.health) is not None and "scheduler" in told.components:  # its own word for it
        verdict: Health = "healthy" if told.components["scheduler"] else "unhealthy"
        return Scheduler(verdict, recent if told.recent is None else told.recent, told.pending)
    status: Health = "healthy"
    if found is None or known.queues is None:
        status = "unknown"
    elif not recent and not known.running_count:
        due = [q.oldest_ready for q in known.queues.queues.values() if q.oldest_ready is not None]
        if due and time.time() - min(due) > patience:
            status = "unhealthy"
    if status == "unknown" and known.maps("queues") is False:  # a store without jobs: executions alone tell
        status = "healthy" if found is not None else "unknown"
    return Scheduler(status, recent, sum(waiting) if waiting else None)


def _system(memory_ratio: float) -> System:
    memory = psutil.virtual_memory()
    used = memory.total - memory.available
    try:
        load = [round(value, 2) for value in os.getloadavg()]
    except OSError:
        load = None
    return System(
        status="unhealthy" if used > memory_ratio * memory.total else "healthy",
        memory=Memory(memory.total, memory.available, percent(used, memory.total)),
        cpu=Cpu(psutil.cpu_count(), load),
    )


def _dependencies(context: Context) -> Iterator[tuple[str, Dependency]]:
    for sight in sights(context.hub.current, context.config().dependencies):
        yield sight.state.name, Dependency(sight.status, sight.state.kind, milliseconds(sight.state.response))


def _process(context: Context) -> Process:
    part = context.hub.current.part("process", "")
    sampled: Any = part.value if part is not None else None
    limit = sampled.memory_limit if sampled is not None else None
    used = psutil.Process().memory_info().rss
    checks = [check for check in context.liveness() if check.required]
    return Process(
        status="healthy" if all(check.ok for check in checks) else "unhealthy",
        pid=os.getpid(),
        memory=ProcessMemory(used, limit),
    )
