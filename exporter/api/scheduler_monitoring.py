"""``/api/scheduler-monitoring/``: the state of every store in one answer. camelCase, ISO times, milliseconds."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Final, Literal

import msgspec
from aiohttp import web

from exporter.alertmanager import active_alerts
from exporter.api.asking import StoreAsked, snapshot_response, store_asked
from exporter.api.examples import example
from exporter.api.known import Known, job_numbers
from exporter.api.wire import iso, milliseconds
from exporter.domain import JOB_STATUSES, Backfill
from exporter.httpd.context import Context
from exporter.httpd.endpoint import Answer, Endpoint, Family, Query
from exporter.logs import masked_text
from exporter.snapshot import Snapshot

FAMILY: Final = Family(
    name="scheduler-monitoring", description="Schedulers as a whole: camelCase, ISO times, milliseconds"
)
Verdict = Literal["healthy", "degraded", "unhealthy"]


class BackfillState(msgspec.Struct):
    """How far history has been read: ``ratio`` 0 to 1, back to ``reached``; ``problem``: why it ended early."""

    ratio: float
    complete: bool
    executions: int
    reached: str | None
    problem: str | None


class StoreState(msgspec.Struct, rename="camel"):
    """One store. ``up`` is null before it was asked, ``ageMs`` the time since it last answered."""

    name: str
    profile: str | None
    up: bool | None
    last_success_at: str | None
    age_ms: int | None
    backfill: BackfillState | None


class StatusAnswer(msgspec.Struct, rename="camel"):
    """``GET /api/scheduler-monitoring/status``. Numbers are sums over the stores that know them, null if none does."""

    status: Verdict
    environment: str
    uptime_seconds: int
    stores: list[StoreState]
    jobs: dict[str, int | None]
    running: int | None
    stuck: int | None
    overdue: int | None
    alerts_firing: int | None


def endpoints(context: Context) -> list[Endpoint]:
    """The one path; the family's others are in modules of their own."""

    async def status(call: Query[StoreAsked]) -> web.StreamResponse:
        config, snapshot = context.config(), context.hub.current
        names = [store.name for store in config.stores]
        if call.params.store is not None:
            names = [store_asked(call.params.store, config)]
        known = [Known(snapshot, name) for name in names]
        return snapshot_response(msgspec.json.encode(status_of(context, known)), snapshot.published_at)

    return [
        Endpoint(
            family=FAMILY,
            path="/api/scheduler-monitoring/status",
            handler=status,
            params=StoreAsked,
            summary="Every store in short, and a verdict",
            answers={200: Answer(kind=StatusAnswer, example=example("scheduler_monitoring_status"))},
            fails=(404,),
        )
    ]


def status_of(context: Context, stores: list[Known]) -> StatusAnswer:
    """The state of these stores."""
    now = time.time()
    jobs = [job_numbers(store.jobs, store.queues).by_status for store in stores]
    stuck, overdue = _total(store.stuck for store in stores), _total(store.overdue for store in stores)
    return StatusAnswer(
        status=_verdict(stores, troubled=bool(stuck or overdue)),
        environment=context.config().setting,
        uptime_seconds=max(0, int(now - context.started_at)),
        stores=[_store(store, now) for store in stores],
        jobs={status: _total(numbers[status] for numbers in jobs) for status in JOB_STATUSES},
        running=_total(store.running_count for store in stores),
        stuck=stuck,
        overdue=overdue,
        alerts_firing=_alerts_firing(context.hub.current),
    )


def _alerts_firing(snapshot: Snapshot) -> int | None:
    known = active_alerts(snapshot)
    return known.total if known is not None else None


def _verdict(stores: list[Known], *, troubled: bool) -> Verdict:
    """Unhealthy: every store is down. Degraded: not each is up, a question fails, something is stuck or overdue."""
    if stores and all(store.up is False for store in stores):
        return "unhealthy"
    answering = all(store.up and not store.failing for store in stores)
    return "healthy" if answering and not troubled else "degraded"


def _store(store: Known, now: float) -> StoreState:
    answered = store.answered_at
    return StoreState(
        name=store.store,
        profile=store.profile,
        up=store.up,
        last_success_at=iso(answered),
        age_ms=None if answered is None else milliseconds(max(0.0, now - answered)),
        backfill=_backfill(store.backfill),
    )


def _backfill(backfill: Backfill | None) -> BackfillState | None:
    if backfill is None:
        return None
    return BackfillState(
        ratio=backfill.ratio,
        complete=backfill.complete,
        executions=backfill.executions,
        reached=iso(backfill.reached),
        problem=None if backfill.problem is None else masked_text(backfill.problem),
    )


def _total(numbers: Iterable[int | None]) -> int | None:
    known = [number for number in numbers if number is not None]
    return sum(known) if known else None
