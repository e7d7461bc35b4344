"""What ended, out of the snapshot for stores that tell it themselves, out of the ledger for those that are counted."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Final, TypeVar

from exporter.config.model import Config, HttpStore
from exporter.domain import FINAL_STATUSES, ErrorGroup, RecentExecution, Statistics
from exporter.ledger.batch import Failure
from exporter.ledger.error_groups import HOUR, ErrorGroups
from exporter.ledger.finished import FAILURES
from exporter.ledger.jobs import JobState
from exporter.ledger.ledger import Ledger
from exporter.reported import LIVE_SECONDS, PERIODS, Live, Period, Recent, period_part
from exporter.snapshot import Hub

T = TypeVar("T")

_BY_SECONDS: Final = {seconds: period_part(period) for period, seconds in PERIODS.items()}


class History:
    """The history of all stores, wherever it comes from."""

    def __init__(self, counted: Ledger, hub: Hub, config: Callable[[], Config]) -> None:
        self._counted = counted
        self._hub = hub
        self._config = config

    async def statistics(self, store: str, seconds: float) -> Statistics | None:
        """What ended in the last ``seconds``, by task type; None where nobody tells."""
        if not self._tells(store):
            return await self._counted.statistics(store, seconds)
        if seconds == LIVE_SECONDS:
            live = self._fresh(store, "live", Live)
            return live.statistics if live is not None else None
        return self._period(store, _BY_SECONDS.get(seconds))

    async def workers(self, store: str, seconds: float) -> Statistics | None:
        """The same by worker. The table that is told has no period; it is taken for a day's."""
        if not self._tells(store):
            return await self._counted.workers(store, seconds)
        return self._period(store, "worker_stats" if seconds == PERIODS["24h"] else None)

    async def errors(self, store: str, seconds: float) -> list[ErrorGroup]:
        """The error groups of the last ``seconds``; of a store that tells its newest executions, of those."""
        if not self._tells(store):
            return await self._counted.errors(store, seconds)
        groups = ErrorGroups()
        groups.add(_failures(await self.recent(store, limit=sys.maxsize), time.time() - seconds))
        return groups.told()

    async def recent(
        self, store: str, *, limit: int, offset: int = 0, status: str | None = None, task_type: str | None = None
    ) -> list[RecentExecution]:
        """The newest finished executions, newest first."""
        if not self._tells(store):
            return await self._counted.recent(store, limit=limit, offset=offset, status=status, task_type=task_type)
        recent = self._fresh(store, "recent", Recent)
        told = recent.executions if recent is not None else ()
        found = [e for e in told if status in (None, e.status) and task_type in (None, e.task_type)]
        return found[offset : offset + limit]

    async def job(self, store: str, job_id: str) -> JobState | None:
        """What is remembered of a job."""
        return None if self._tells(store) else await self._counted.job(store, job_id)

    def _tells(self, store: str) -> bool:
        return any(s.name == store and isinstance(s, HttpStore) for s in self._config().stores)

    def _period(self, store: str, part: str | None) -> Statistics | None:
        told = self._fresh(store, part, Period) if part is not None else None
        return told.statistics if told is not None else None

    def _fresh(self, store: str, collector: str, kind: type[T]) -> T | None:
        part = self._hub.current.part(collector, store)
        fresh = part is not None and part.fresh(time.monotonic())
        return part.value if part is not None and fresh and isinstance(part.value, kind) else None


def _failures(executions: Iterable[RecentExecution], since: float) -> Iterator[Failure]:
    """Those with a message that ended in the hour of ``since`` or later."""
    failed = {FINAL_STATUSES[index] for index in FAILURES}
    start = since // HOUR * HOUR
    for e in executions:
        if (
            e.status in failed
            and e.error_message is not None
            and e.completed_at is not None
            and e.completed_at >= start
        ):
            yield Failure(e.completed_at, e.error_message, e.error_code, e.task_type, e.job_id, e.id)
