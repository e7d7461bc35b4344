"""A store's finished executions, newest first, page after page, and its jobs in the order of their ids.

Each page is a transaction of its own: between two pages the connection belongs to others, and a client that reads
slowly, or not at all, holds nothing. A page of executions is a stretch of the cursor, as in the backfill: so an index
serves every shape of profile, and no page reads again what another one has read.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Final

import msgspec

from exporter.errors import StoreTooSlow
from exporter.ledger.cursor import Position
from exporter.stores import read_queries
from exporter.stores.answers import finite
from exporter.stores.found import Job, LoggedExecution
from exporter.stores.queries import RECURRING_LISTED, Wrapped, bounds
from exporter.stores.read_queries import LOGGED_FIELDS, Conditions, job_of, logged
from exporter.stores.reader import clock
from exporter.stores.rows import TooManyRows, Width
from exporter.stores.second_connection import SecondConnection
from exporter.stores.session import Row, Transaction

#: Rows that a page of executions should have; and those of a page of jobs.
PAGE_ROWS: Final = (500, 1_500)
JOBS_PAGE: Final = 1_000
#: Rows fetched at once.
CHUNK: Final = 500
#: Rows handed on at once: what is done with them keeps the event loop busy.
BATCH: Final = 100
_COMPLETED: Final = LOGGED_FIELDS.index("completed_at") + 1


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which executions: ended at or after ``since`` (Unix seconds), of a status, a task type, with a text, of a job.

    ``results``: whether their results are wanted too.
    """

    since: float
    status: str | None = None
    task_type: str | None = None
    text: str | None = None
    recurring_id: str | None = None
    results: bool = False


class Pages:
    """One store's pages. ``profile`` is the wrapped one, ``timeout`` that of each statement in seconds."""

    def __init__(self, second: SecondConnection, profile: Wrapped, *, timeout: float) -> None:
        self._second = second
        self._profile = profile
        self._timeout = timeout
        #: Seconds for which a single answer may turn pages.
        self.patience = timeout
        #: They go back as far as the store does.
        self.whole = True

    async def executions(self, wanted: Wanted) -> AsyncGenerator[list[LoggedExecution], None]:
        """Finished executions, newest first, some at a time."""
        if not self._profile.has("executions"):
            return
        stretch = _Stretch(self._profile, wanted)
        async with self._second.request(self._timeout) as transaction:
            await stretch.begin(transaction)
        while not stretch.over:
            try:
                async with self._second.request(self._timeout) as transaction:
                    rows = await stretch.read(transaction)
            except TooManyRows:
                continue
            except StoreTooSlow:
                if not stretch.narrower():
                    raise
                continue
            for start in range(0, len(rows), BATCH):
                yield [logged(row[1:]) for row in rows[start : start + BATCH]]

    async def jobs(self) -> AsyncGenerator[list[Job], None]:
        """Jobs in the order of their ids, some at a time; then recurring ones that are not looked up by id."""
        entity = "job_by_id" if self._profile.has("job_by_id") else "jobs"
        if not self._profile.has(entity):
            return
        last: list[object] = []
        recurring: set[str] = set()
        while True:
            sql = read_queries.jobs_after(self._profile, entity, first=not last)
            async with self._second.request(self._timeout) as transaction:
                rows = await transaction.fetch("export", sql, JOBS_PAGE, *last)
            for start in range(0, len(rows), BATCH):
                page = [job_of(row) for row in rows[start : start + BATCH]]
                recurring.update(job.id for job in page if job.type == "RECURRING")
                yield page
            if len(rows) < JOBS_PAGE:
                break
            last = [rows[-1][0]]
        if entity != "jobs" and "type" in self._profile.columns.get("jobs", {}):
            async with self._second.request(self._timeout) as transaction:
                rows = await transaction.fetch("export", read_queries.recurring_jobs(self._profile), RECURRING_LISTED)
            yield [job for job in map(job_of, rows) if job.id not in recurring]


class _Stretch:
    """How far down the cursor has been read."""

    def __init__(self, profile: Wrapped, wanted: Wanted) -> None:
        self._profile = profile
        self._wanted = wanted
        self._ids = profile.cursor.kind == "id"
        self._width = Width("id" if self._ids else "time", *PAGE_ROWS, down=True)
        self._high: Position = 0
        self._conditions, self._bound = _conditions(profile, wanted)
        self.over = False

    async def begin(self, transaction: Transaction) -> None:
        """Begin at the newest execution there is."""
        if self._profile.cursor.position is not None:
            self._high = int((await transaction.fetch("position", self._profile.cursor.position))[0][0] or 0)
        else:
            # A stamp of a clock that goes ahead belongs to the newest ones.
            self._high = await clock(transaction) + 60.0

    def narrower(self) -> bool:
        """After a stretch that took too long: False when it cannot be any shorter."""
        before = self._width.value
        self._width.too_wide()
        return self._width.value < before

    async def read(self, transaction: Transaction) -> list[Row]:
        """The next stretch: positions and LOGGED_FIELDS, newest first. TooManyRows: it is narrower at the next try."""
        low = max(self._end, self._high - self._width.value)
        parameters = [*bounds(self._profile.cursor, low, self._high), *self._bound]
        sql = read_queries.slice_of(self._profile, self._conditions, results=self._wanted.results)
        rows: list[Row] = []
        most = self._width.most
        async with aclosing(transaction.stream("export", sql, *parameters, chunk=CHUNK)) as stream:
            async for chunk in stream:
                rows += chunk
                if len(rows) > most:
                    self._width.crowded(low, self._high, [row[0] for row in rows])
                    raise TooManyRows
                await asyncio.sleep(0)
        self._width.found(len(rows))
        self._high = low
        self.over = low <= self._end or (self._ids and bool(rows) and self._old(rows))
        rows.sort(key=_newest, reverse=True)
        return [row for row in rows if self._in_period(row)]

    @property
    def _end(self) -> Position:
        return -1 if self._ids else self._wanted.since

    def _old(self, rows: Sequence[Row]) -> bool:
        return not any(self._in_period(row) for row in rows)

    def _in_period(self, row: Row) -> bool:
        ended = row[_COMPLETED]
        return ended is None or ended >= self._wanted.since


def _newest(row: Row) -> tuple[float, float]:
    return finite(row[_COMPLETED]) or math.inf, row[0]


def _conditions(profile: Wrapped, wanted: Wanted) -> tuple[list[str], list[object]]:
    conditions = Conditions(parameters=[None, None])  # the two bounds come first
    for name, value in (("status", wanted.status), ("task_type", wanted.task_type)):
        if value is not None:
            conditions.add(f"{profile.column('executions', name)} = {conditions.bind(value)}::text")
    if wanted.recurring_id is not None:
        conditions.add(f"{profile.column('executions', 'recurring_id')} = {conditions.bind(wanted.recurring_id)}::text")
    if wanted.text is not None:
        conditions.add(read_queries.searched(profile, conditions.bind(wanted.text.lower())))
    return conditions.texts, conditions.parameters[2:]
