"""A reader and its ledger on a real database, driven by hand: poll, kill, look at the totals."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Collection
from pathlib import Path
from typing import Any

import psycopg

from exporter.config.model import Counting, Cursor, Dsn, Duration, PostgresStore, Profile, Retention
from exporter.domain import FINAL_STATUSES, Backfill, Counts, ErrorGroup, RecentExecution, Statistics
from exporter.instruments import QueryInstruments
from exporter.ledger.database import FILE_NAME
from exporter.ledger.ledger import RETENTION, Ledger
from exporter.poller import Collected
from exporter.snapshot import Hub
from exporter.stores.credentials import StoreCredentials
from exporter.stores.found import Job
from exporter.stores.postgres import Store
from exporter.stores.recognition import Recognised, Schema, resolve, schema_version
from exporter.stores.session import Session

#: Every row of a table ``work`` is an execution that ended, in the order of its ids.
WORK_BY_ID = Profile(
    executions="SELECT id, 'SUCCESS' AS status FROM work",
    cursor=Cursor(column="id", kind="id", position="SELECT max(id) FROM work"),
    key=("id",),
)


class Counter:
    """The part of the sidecar that counts, without the clock: each ``poll`` is one call."""

    def __init__(
        self,
        dsn: str,
        profile: Profile | str,
        state: Path,
        *,
        late_window: float = 30.0,
        backfill: float = 35 * 86_400.0,
        retention: Retention = RETENTION,
        budget: int = 500,
        parameters: dict[str, str] | None = None,
    ) -> None:
        counting = Counting(late_window=Duration(late_window), backfill=Duration(backfill))
        # No deadline of the machine's: what is tested is what is counted, not how soon.
        self._config = PostgresStore(
            name="main", dsn=Dsn(dsn), profile=profile, parameters=parameters or {}, counting=counting,
            timeout=Duration(60), staleness=Duration(600),
        )  # fmt: skip
        self._retention = retention
        self._budget = budget
        self._state = state
        self._runner = asyncio.Runner()
        self._ledger: Ledger | None = None
        self.counts = Counts()
        self.start()

    def start(self) -> None:
        """Open the ledger, as a started process does."""
        self._ledger = Ledger(str(self._state), budget=self._budget, retention=self._retention)
        self._runner.run(self._ledger.__aenter__())
        self._store = Store(
            self._config,
            ledger=self._ledger,
            hub=Hub(),
            instruments=QueryInstruments(),
            budget=self._budget,
            retention=self._retention,
        )
        self._collectors = {c.name: c for c in self._store.collectors()}

    def poll(self) -> Counts:
        """Poll until nothing more is waiting."""
        while self.turn().more:
            pass
        return self.counts

    def turn(self) -> Collected:
        """One turn of a poll."""
        self._last = self._runner.run(self._collectors["executions"].collect())
        self.counts = self._last.value.counts
        return self._last

    def exactness_reasons(self) -> tuple[str, ...]:
        """What the latest turn said against exactness."""
        reasons: tuple[str, ...] = self._last.value.exactness.reasons
        return reasons

    def ask(self, collector: str) -> Any:
        """One collection of another collector's value."""
        return self._runner.run(self._collectors[collector].collect()).value

    def backfill(self, slices: int = 10_000) -> Backfill | None:
        """Read history, at most so many slices of it; returns how far it got, None when it cannot have begun."""
        for _ in range(slices):
            progress: Backfill | None = self.ask("backfill")
            if progress is None or progress.complete:
                return progress
        return progress

    @property
    def profile(self) -> Profile:
        """The profile in force."""
        return self._runner.run(self._store.reads.profile()).profile

    def recognise(self) -> tuple[Recognised, Schema]:
        """What the store is recognised as."""

        async def ask() -> tuple[Recognised, Schema]:
            session = Session("main", StoreCredentials(self._config), 30.0, QueryInstruments())
            try:
                async with session.transaction() as transaction:
                    found = await resolve(transaction, self._config)
                    return found, await schema_version(transaction, found.profile)
            finally:
                await session.close()

        return self._runner.run(ask())

    def trigger(self, job_id: str) -> object:
        """Trigger a job by its profile's statement; what that tells of the execution."""
        return self._runner.run(self._store.trigger.trigger(job_id))

    def jobs(self, ids: Collection[str]) -> dict[str, Job]:
        """The jobs of these ids, each as it is told when it is asked for alone."""
        return self._runner.run(self._store.reads.jobs(ids))

    def statistics(self, seconds: float) -> Statistics:
        """The statistics of a period by task type."""
        found = self._runner.run(self.ledger.statistics("main", seconds))
        assert found is not None
        return found

    def workers(self, seconds: float) -> Statistics:
        """The statistics of a period by worker."""
        found = self._runner.run(self.ledger.workers("main", seconds))
        assert found is not None
        return found

    def recent(self, limit: int = 100, **filters: Any) -> list[RecentExecution]:
        """The newest executions."""
        return self._runner.run(self.ledger.recent("main", limit=limit, **filters))

    def errors(self, seconds: float) -> list[ErrorGroup]:
        """The error groups of a period."""
        return self._runner.run(self.ledger.errors("main", seconds))

    def keys(self) -> int:
        """How many keys the state file holds."""
        with contextlib.closing(sqlite3.connect(self._state / FILE_NAME)) as db:
            found: int = db.execute("SELECT count(*) FROM seen").fetchone()[0]
        return found

    @property
    def ledger(self) -> Ledger:
        """The open ledger."""
        assert self._ledger is not None
        return self._ledger

    def kill(self) -> None:
        """End as kill -9 does: nothing is written any more, the connections are gone."""
        assert self._ledger is not None
        self._runner.run(self._store.close())
        self._runner.run(self._ledger.__aexit__())
        self._ledger = None

    def close(self) -> None:
        """End, and give everything back."""
        if self._ledger is not None:
            self.kill()
        self._runner.close()

    def totals(self) -> dict[str, int]:
        """Executions counted by status, over all task types."""
        sums = [sum(n[i] for n in self.counts.executions.values()) for i in range(len(FINAL_STATUSES))]
        return dict(zip(FINAL_STATUSES, sums, strict=True))


def count(connection: psycopg.Connection[Any], sql: str) -> int:
    """The single number that ``sql`` gives."""
    row = connection.execute(sql).fetchone()
    assert row is not None
    return int(row[0])
