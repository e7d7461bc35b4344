"""CHRONOS' monitoring API: health, statistics of five periods, the moment, workers, the newest executions.

Everything that it tells of the past is a window that slides: gauges and JSON, never counters.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final

from exporter.config.model import ChronosStore
from exporter.domain import (
    FINAL_STATUSES,
    JOB_STATUSES,
    JOB_TYPES,
    JobCounts,
    Running,
    RunningByType,
    Worker,
    Workers,
)
from exporter.poller import Collected
from exporter.reported import PERIODS, Health, Live, Period, Recent, period_part
from exporter.stores.http import chronos_wire as wire
from exporter.stores.http import figures
from exporter.stores.http.around import Around
from exporter.stores.http.chronos_reads import ChronosReads, execution_of
from exporter.stores.http.client import LARGEST_LIST, Client
from exporter.stores.http.figures import moment, seconds
from exporter.stores.http.store import Question

#: The newest executions that are asked for: as many as the API gives at most.
RECENT: Final = 100
#: The period whose answer is asked for most often; it has the jobs in it, too.
_MAIN: Final = "24h"
#: At every so many intervals each is asked for: the API's users are told 60 s, 30 s and 5 s.
_STATS, _WORKERS, _LIVE, _LONG = 4, 2, 1, 20
_LONG_PERIODS: Final = frozenset({"7d", "30d"})
_HEALTHY: Final = "healthy"


class Chronos:
    """One CHRONOS scheduler."""

    lacks = ("queues", "schedules", "operations", "backfill")

    def __init__(self, config: ChronosStore, client: Client, around: Around) -> None:
        self._client = client
        self._around = around
        self._lost_after = config.worker_lost_after
        self.reads = ChronosReads(client, around, timeout=config.timeout)

    @property
    def questions(self) -> Sequence[Question]:
        """One for each endpoint, and one for each period."""
        return (
            Question(name="health", ask=self._health, every=_LIVE),
            Question(name="running", ask=self._live, every=_LIVE, also=("live",)),
            Question(name="workers", ask=self._workers, every=_WORKERS, also=("worker_stats",)),
            Question(name="recent", ask=self._recent, every=_WORKERS),
            Question(name="jobs", ask=self._jobs, every=_STATS, also=(period_part(_MAIN),)),
            *(
                Question(name=period_part(p), ask=self._period(p), every=_LONG if p in _LONG_PERIODS else _STATS)
                for p in PERIODS
                if p != _MAIN
            ),
        )

    async def _health(self) -> Collected:
        # 503 is how it says that a critical component is unhealthy.
        told = await self._client.get("/api/system/health", wire.Health, accept=(200, 503))
        return Collected(value=health_of(told, time.time()))

    async def _live(self) -> Collected:
        told = await self._client.get("/api/system/stats/live", wire.Live)
        live = Live(scheduled=told.scheduled, statistics=figures.live(told.executions, time.time()))
        if told.running is None:
            return Collected(value=None, also={"live": live})
        of_all = RunningByType(running=told.running, stuck=None, orphaned=None, oldest_start=None)
        value = Running(by_task_type={"": of_all}, by_worker={}, oldest=(), attributed=False)
        return Collected(value=value, also={"live": live})

    async def _workers(self) -> Collected:
        told = (await self._client.get("/api/system/workers", wire.WorkersAnswer, largest=LARGEST_LIST)).data
        now = await self._around.now()
        # By id: a worker that is listed twice must not be shown twice.
        workers = tuple({str(w.worker_id): worker_of(w, now, self._lost_after) for w in told.workers}.values())
        stats = Period(statistics=figures.by_worker(told.workers, time.time()))
        return Collected(value=counted(workers, told), also={"worker_stats": stats})

    async def _recent(self) -> Collected:
        query = [("limit", str(RECENT))]
        told = (await self._client.get("/api/logs/recent", wire.RecentAnswer, query=query, largest=LARGEST_LIST)).data
        # Once each, and no more than were asked for.
        ended = {(entry.id, entry.attempt): entry for entry in told.logs[:RECENT] if entry.status in FINAL_STATUSES}
        return Collected(value=Recent(executions=tuple(map(execution_of, ended.values()))))

    async def _jobs(self) -> Collected:
        told = await self._stats(_MAIN)
        also = {period_part(_MAIN): Period(statistics=figures.of_period(told, PERIODS[_MAIN], time.time()))}
        return Collected(value=job_counts(told.jobs), also=also)

    def _period(self, period: str) -> Callable[[], Awaitable[Collected]]:
        return partial(self._of_period, period)

    async def _of_period(self, period: str) -> Collected:
        told = await self._stats(period)
        return Collected(value=Period(statistics=figures.of_period(told, PERIODS[period], time.time())))

    async def _stats(self, period: str) -> wire.Stats:
        return (await self._client.get("/api/system/stats", wire.StatsAnswer, query=[("period", period)])).data


def health_of(told: wire.Health, now: float) -> Health:
    """What the scheduler says of itself."""
    parts = told.components
    found: dict[str, wire.Database | wire.Scheduler | wire.Component | None] = {
        "database": parts.database,
        "scheduler": parts.scheduler,
        "system": parts.system,
        "process": parts.process,
    }
    components = {name: part.status == _HEALTHY for name, part in found.items() if part is not None}
    clock = moment(told.timestamp)
    return Health(
        components={"": told.status == _HEALTHY, **components},
        started_at=None if told.uptime is None else float(round(now - told.uptime / 1000)),
        ahead=None if clock is None else clock - now,
        database_seconds=seconds(parts.database.latency) if parts.database is not None else None,
        recent=parts.scheduler.recent_executions if parts.scheduler is not None else None,
        pending=parts.scheduler.pending_jobs if parts.scheduler is not None else None,
    )


def job_counts(told: wire.JobNumbers) -> JobCounts:
    """Jobs by status and by type. What is not listed is none, where what is listed adds up to all there are."""
    by_status, by_type = _numbers(told.by_status, JOB_STATUSES), _numbers(told.by_type or {}, JOB_TYPES)
    total = told.total
    if total is not None and sum(by_status.values()) == total:
        by_status = dict.fromkeys(JOB_STATUSES, 0) | by_status
    if total is not None and told.by_type is not None and sum(by_type.values()) == total:
        by_type = dict.fromkeys(JOB_TYPES, 0) | by_type
    return JobCounts(by_status={(s, ""): n for s, n in by_status.items()}, by_type=by_type, total=total)


def _numbers(told: dict[str, int | None], known: Sequence[str]) -> dict[str, int]:
    """By names that are known: others would be series that nobody asked for."""
    return {name.upper(): number for name, number in told.items() if number is not None and name.upper() in known}


def worker_of(told: wire.Worker, now: float, lost_after: float) -> Worker:
    """A worker as stores have it; ``now`` is the scheduler's clock."""
    seen = moment(told.last_seen)
    return Worker(
        id=str(told.worker_id),
        host=told.host,
        last_seen=seen,
        connected_at=None,
        state="lost" if seen is not None and now - seen > lost_after else "active",
        is_paused=None,
        is_draining=None,
        can_accept_work=None,
        actions_completed=None,
        running=told.active_jobs,
    )


def counted(workers: tuple[Worker, ...], told: wire.Workers) -> Workers:
    """Workers with the scheduler's own numbers. Which are lost is known where it lists all of them."""
    total = len(workers) if told.total_workers is None else told.total_workers
    states = [worker.state for worker in workers]
    found: dict[str, int] = {}
    if told.active_workers is not None:
        found["active"] = told.active_workers
    elif total == len(workers):
        found["active"] = states.count("active")
    if total == len(workers):
        found["lost"] = states.count("lost")
    return Workers(workers=workers, told=found, total=total)
