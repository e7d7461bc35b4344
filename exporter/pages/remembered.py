"""What the state file tells the page, and told last: a page waits for a disk for a moment and no longer."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Final

import msgspec

from exporter.api.known import Known
from exporter.domain import Counts, RecentExecution, Statistics
from exporter.errors import LedgerError
from exporter.httpd.context import Context

#: What the figures cover, in seconds.
PERIOD: Final = 86_400.0
#: Seconds for which a page waits; after that it shows what was told last, with its age.
PATIENCE: Final = 0.5
#: Failures that are listed of each store.
FAILURES: Final = 100


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """Of one store: what ended within 24 hours, by task type and by worker; its latest failures, newest first."""

    executions: Statistics | None = None
    workers: Statistics | None = None
    failures: tuple[RecentExecution, ...] = ()
    #: What the failures were read for: none can have come while the store's counts are the same.
    counts: Counts | None = None


class Remembered:
    """The last answer for each store."""

    def __init__(self) -> None:
        self._told: dict[str, Told] = {}

    async def of(self, context: Context, stores: Iterable[Known]) -> dict[str, Told]:
        """By store, as new as the state file tells in time."""
        listed = list(stores)
        wanted = {known.store: asyncio.ensure_future(self._ask(context, known)) for known in listed}
        if wanted:
            await asyncio.wait(wanted.values(), timeout=PATIENCE)
        for name, task in wanted.items():
            if not task.done():
                task.cancel()
            elif not task.cancelled() and task.exception() is None:
                self._told[name] = task.result()
            elif not task.cancelled() and not isinstance(task.exception(), LedgerError):
                task.result()
        self._told = {known.store: self._told.get(known.store, Told()) for known in listed}
        return self._told

    async def _ask(self, context: Context, known: Known) -> Told:
        before = self._told.get(known.store, Told())
        counts, failures = known.counts, before.failures
        if counts is None or counts is not before.counts:
            failures = await _failures(context, known.store)
        return Told(
            executions=await context.history.statistics(known.store, PERIOD),
            workers=await context.history.workers(known.store, PERIOD),
            failures=failures,
            counts=counts,
        )


async def _failures(context: Context, store: str) -> tuple[RecentExecution, ...]:
    found: list[RecentExecution] = []
    for status in ("FAILED", "TIMEOUT"):
        found += await context.history.recent(store, limit=FAILURES, status=status)
    return tuple(sorted(found, key=lambda one: -(one.completed_at or 0.0))[:FAILURES])
