"""``/api/system/workers``: who works, how much and how well in the last 24 hours. The CHRONOS family, too."""

from __future__ import annotations

import msgspec
from aiohttp import web

from exporter.api.asking import HOUR, Kept, StoreAsked, from_state, snapshot_response, store_asked
from exporter.api.chronos import FAMILY
from exporter.api.counted import statistics_of, worker_statistics_of
from exporter.api.examples import example
from exporter.api.known import Known
from exporter.api.system import ended
from exporter.api.wire import iso, milliseconds, percent
from exporter.domain import OTHER, Running, Statistics, Workers
from exporter.httpd.context import Context
from exporter.httpd.endpoint import Answer, Endpoint, Query
from exporter.job_counts import by_state

#: What the table covers, in seconds.
COVERED = 24 * HOUR


class WorkerRow(msgspec.Struct, rename="camel"):
    """One worker; ``avgDuration`` in milliseconds. Null: neither the store nor its executions tell."""

    worker_id: str
    host: str | None
    executions: int | None
    success_rate: str | None
    avg_duration: int | None
    last_seen: str | None
    active_jobs: int | None


class WorkerTable(msgspec.Struct, rename="camel"):
    """``data`` of ``GET /api/system/workers``. Active is who was seen lately and is neither paused nor draining."""

    workers: list[WorkerRow]
    total_workers: int
    active_workers: int | None


class WorkersAnswer(msgspec.Struct):
    """``GET /api/system/workers``."""

    success: bool
    data: WorkerTable


def endpoints(context: Context) -> list[Endpoint]:
    """The one path."""
    kept = Kept()

    async def workers(call: Query[StoreAsked]) -> web.StreamResponse:
        store = store_asked(call.params.store, context.config())
        everything = await statistics_of(context, store, COVERED)
        found = await worker_statistics_of(context, store, COVERED)
        known = Known(context.hub.current, store)
        made_of = (found, everything, known.workers, known.running)
        body = kept.get(store, made_of, lambda: WorkersAnswer(True, _table(*made_of)))
        return snapshot_response(body, found.end)

    return [
        Endpoint(
            family=FAMILY,
            path="/api/system/workers",
            handler=from_state(workers),
            params=StoreAsked,
            summary="The workers and what they did in 24 hours",
            answers={200: Answer(kind=WorkersAnswer, example=example("system_workers"))},
            fails=(404, 503),
        )
    ]


def _table(found: Statistics, everything: Statistics, workers: Workers | None, running: Running | None) -> WorkerTable:
    listed = {worker.id: worker for worker in workers.workers} if workers is not None else {}
    busy = running.by_worker if running is not None else {}
    # Executions that no worker has are the mark of a store that does not say who ran them.
    told = found.counted and (bool(found.by_label) or not any(everything.overall.counts))
    attributed = running is not None and running.attributed and bool(busy or not running.by_task_type)
    own = {name: worker.running for name, worker in listed.items() if worker.running is not None}
    names = {*listed, *found.by_label, *busy}
    rows = []
    for name in names:
        figures, worker = found.by_label.get(name), listed.get(name)
        total, success, _ = ended(figures.counts) if figures is not None else (0, 0, 0)
        unknown = figures.unknown if figures is not None else frozenset()
        rows.append(
            WorkerRow(
                worker_id=name,
                host=worker.host if worker is not None else None,
                executions=total if told and "executions" not in unknown else None,
                success_rate=percent(success, total) if told and "success" not in unknown else None,
                avg_duration=milliseconds(figures.mean) if figures is not None else None,
                last_seen=iso(worker.last_seen) if worker is not None else None,
                active_jobs=own.get(name, busy.get(name, 0) if attributed else None),
            )
        )
    return WorkerTable(
        workers=sorted(rows, key=lambda row: (-(row.executions or 0), row.worker_id)),
        # What the series budget left out is a row, so that executions add up, but no worker.
        total_workers=max(len(names - ({OTHER} - listed.keys())), (workers.total or 0) if workers is not None else 0),
        active_workers=by_state(workers).get("active") if workers is not None else None,
    )
