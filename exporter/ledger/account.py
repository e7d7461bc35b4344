"""One store's account: what is committed, and what is being read. Runs in the ledger's thread only.

A slice of rows is staged chunk by chunk, then written together with the cursor in one SQLite transaction, or discarded.
Memory follows the number of series and cells, not of rows: keys that must be kept are staged in a temporary table.
"""

from __future__ import annotations

import math
import sqlite3
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Final, cast

import msgspec
from msgspec.structs import replace

from exporter.config.model import Retention
from exporter.domain import Counts
from exporter.ledger import error_groups, recent
from exporter.ledger.batch import Batch, ended
from exporter.ledger.cursor import BackfillState, CursorState, Position
from exporter.ledger.finished import Finished
from exporter.ledger.jobs import FAILING_KEPT, JobBook, JobState
from exporter.ledger.rollups import HOUR, Horizons, Rollups
from exporter.ledger.slices import Slice
from exporter.ledger.statistics import StatisticsReader
from exporter.ledger.tally import Delta, Tally
from exporter.ledger.telling import tell
from exporter.ledger.view import counts

#: Keys kept for each store at most. Only a transaction that is open for hours beside a busy scheduler needs as many.
KEYS_KEPT: Final = 2_000_000
_COMPLETED: Final = Finished._fields.index("completed_at")


class Totals(msgspec.Struct, kw_only=True):
    """Counters that have no label of their own."""

    late: int = 0
    duplicate: int = 0
    newest: float | None = None


class Account:
    """Counts one store's executions: what is new (``stage``, ``commit``) and history (``backfill_*``)."""

    def __init__(self, db: sqlite3.Connection, store: str, budget: int, retention: Retention) -> None:
        self._db = db
        self._store = store
        self.retention = retention
        self.tally = Tally(budget)
        self.book = JobBook(self._settled)
        self.cursor: CursorState | None = None
        self.backfill: BackfillState | None = None
        self.totals = Totals()
        self.version = 0
        self._pruned = 0
        self._keys = 0
        self._load()
        self.rollups = Rollups(db, self.id, budget)
        self.statistics = StatisticsReader(self.rollups)
        self.discard()

    def set_limits(self, budget: int, retention: Retention) -> None:
        """Let another number of series in from now on, keep for another time from the next hour on."""
        self.tally.budget = self.rollups.budget = budget
        self.retention = retention
        self._pruned = 0

    def _load(self) -> None:
        row = self._db.execute(
            "SELECT id, cursor, totals, backfill FROM store WHERE name = ?", (self._store,)
        ).fetchone()
        self.id: int = row[0]
        if row[1] is not None:
            self.cursor = msgspec.json.decode(row[1], type=CursorState)
        self.totals = msgspec.json.decode(row[2], type=Totals)
        if row[3] is not None:
            self.backfill = msgspec.json.decode(row[3], type=BackfillState)
        series = "SELECT metric, label, data FROM series WHERE store = ?"
        for metric, label, data in self._db.execute(series, (self._store,)):
            self.tally.load(metric, label, msgspec.json.decode(data, type=list[float]))
        for job_id, data in self._db.execute("SELECT job_id, data FROM job WHERE store = ?", (self._store,)):
            self.book.jobs[job_id] = msgspec.json.decode(data, type=JobState)
        self.book.settling = self._settling(self.backfill)
        self._keys = self._count_keys()

    def _count_keys(self) -> int:
        count: int = self._db.execute("SELECT count(*) FROM seen WHERE store = ?", (self._store,)).fetchone()[0]
        return count

    def _slice(self, now: float, *, listed: bool = True) -> Slice:
        size = self.retention.recent_executions
        batch = Batch(
            now,
            self.book.watches,
            recent=deque(maxlen=size),
            ring_floor=recent.floor(self._db, self.id, size) if listed else math.inf,
            minutes_from=Horizons.at(now, self.retention.statistics).minutes,
        )
        return Slice(batch)

    # -- what is new

    def discard(self) -> None:
        """Forget what was staged since the last commit, and begin a slice."""
        self._live: Slice | None = None
        self._db.execute("DELETE FROM temp.staged WHERE store = ?", (self.id,))

    def stage(
        self,
        rows: Sequence[Finished],
        *,
        count: bool,
        now: float,
        counted_to: Position,
        keep_above: Position,
        listed: bool = True,
    ) -> None:
        """Take in rows of the slice under way. With ``count`` False (first poll) they are history.

        ``listed`` puts them into the ring of recent executions too; else :meth:`list_recent` will be called for it.

        What is at or below ``counted_to`` may have been read before: there keys tell what was counted. Keys above
        ``keep_above`` are kept for the polls to come.
        """
        if self._live is None:
            self._live = self._slice(now, listed=listed)
        staged = self._live
        rows = staged.distinct(rows)
        old = [row[0] for row in rows if row[1] <= counted_to]
        known = self._known(old) if old else {}
        found = len(rows)
        if known:
            # A key that lies higher now than when it was counted has ended once more since.
            rows = [row for row in rows if row[1] > known.get(row[0], -math.inf)]
        kept = [(row[0], row[1]) for row in rows if row[1] > keep_above]
        if kept:
            # One transaction: by itself each row would be one, at twenty times the cost.
            self._db.execute("BEGIN")
            with self._db:
                self._db.executemany(f"INSERT INTO temp.staged VALUES ({self.id}, ?, ?)", kept)
        again = found - len(rows)
        staged.duplicate += again
        staged.rows += len(rows)
        if count:
            staged.late += len(old) - again
        staged.take(rows, self.book, now, history=False)

    def _known(self, keys: list[str]) -> dict[str, Position]:
        """Those of ``keys`` that were counted before, each with its position."""
        rows = self._db.execute(
            "SELECT key, stamp FROM main.seen WHERE store = ? AND key IN (SELECT value FROM json_each(?))",
            (self._store, _json(keys)),
        )
        return dict(rows)

    def commit(self, cursor: CursorState, task_types: Iterable[str], *, count: bool, horizon: float) -> CursorState:
        """Write the staged rows and the moved cursor in one transaction, then make them the account's state.

        ``task_types`` were seen elsewhere (running): their counters are shown from 0. ``horizon`` is the moment back
        to which history is wanted, which the first poll decides. Returns the cursor as it was written. Raises
        sqlite3.Error and leaves everything as it was when the file cannot be written.
        """
        staged = self._live or self._slice(cursor.read_at)
        delta = Delta(self.tally)
        if count:
            staged.batch.into(delta)
        for task_type in task_types:
            delta.ensure(task_type)
        backfill = self.backfill or _planned(cursor, horizon)
        merged = delta.merged()
        totals = Totals(
            late=self.totals.late + staged.late,
            duplicate=self.totals.duplicate + staged.duplicate,
            newest=_later(self.totals.newest, staged.batch.newest),
        )
        self.book.trim(staged.changes, cursor.read_at)
        self._db.execute("BEGIN IMMEDIATE")
        try:
            cursor = self._write_keys(cursor)
            self._write_counts(cursor, merged, totals, backfill)
            self._write_slice(staged, cursor.read_at)
            self._prune(cursor.read_at)
            self._db.execute("COMMIT")
        except BaseException:
            self._rollback()
            raise
        delta.fold(merged)
        self.book.settling = self._settling(backfill)
        self._fold(staged)
        self.cursor, self.totals, self.backfill = cursor, totals, backfill
        self.discard()
        if count:
            tell(self._store, staged)
        return cursor

    def _write_keys(self, cursor: CursorState) -> CursorState:
        db, store = self._db, self._store
        if self.cursor is not None and cursor.epoch != self.cursor.epoch:
            db.execute("DELETE FROM main.seen WHERE store = ?", (store,))
            self._keys = 0
        added = db.execute(
            "INSERT INTO main.seen SELECT ?, key, stamp FROM temp.staged WHERE store = ? AND stamp > ?"
            " ON CONFLICT (store, key) DO UPDATE SET stamp = max(stamp, excluded.stamp)",
            (store, self.id, cursor.floor),
        ).rowcount
        gone = db.execute("DELETE FROM main.seen WHERE store = ? AND stamp <= ?", (store, cursor.floor)).rowcount
        self._keys += added - gone
        if self._keys <= KEYS_KEPT:
            return cursor
        self._keys = self._count_keys()
        if self._keys <= KEYS_KEPT:
            return cursor
        oldest = db.execute(
            "SELECT stamp FROM main.seen WHERE store = ? ORDER BY stamp DESC LIMIT 1 OFFSET ?", (store, KEYS_KEPT)
        ).fetchone()[0]
        db.execute("DELETE FROM main.seen WHERE store = ? AND stamp <= ?", (store, oldest))
        return replace(cursor, floor=max(cursor.floor, oldest))

    def _write_counts(
        self, cursor: CursorState, merged: dict[tuple[str, str], list[float]], totals: Totals, backfill: BackfillState
    ) -> None:
        self._db.executemany(
            "INSERT OR REPLACE INTO series VALUES (?, ?, ?, ?)",
            [(self._store, metric, label, _json(data)) for (metric, label), data in merged.items()],
        )
        self._db.execute(
            "UPDATE store SET cursor = ?, totals = ?, backfill = ? WHERE name = ?",
            (_json(cursor), _json(totals), _json(backfill), self._store),
        )

    def list_recent(self, rows: Iterable[Finished], now: float) -> None:
        """Put executions that have been counted into the ring."""
        entries = (recent.entry(row, ended(cast(float | None, row[_COMPLETED]), now)) for row in rows)
        self._db.execute("BEGIN IMMEDIATE")
        with self._db:
            recent.write(self._db, self.id, entries, self.retention.recent_executions)
        self.version += 1

    def listed(self) -> CursorState | None:
        """Remember that the ring holds what has been counted; returns where the reading stands."""
        if self.cursor is not None:
            cursor = replace(self.cursor, unlisted=None)
            self._db.execute("UPDATE store SET cursor = ? WHERE name = ?", (_json(cursor), self._store))
            self.cursor = cursor
        return self.cursor

    # -- history

    def backfill_discard(self) -> None:
        """Forget what was staged of history since the last commit."""
        self._history: Slice | None = None

    def backfill_stage(self, rows: Sequence[Finished], now: float) -> None:
        """Take in rows of a slice of history: for statistics, jobs and error groups, never for counters."""
        if self._history is None:
            self._history = self._slice(now)
        staged = self._history
        rows = staged.distinct(rows)
        staged.rows += len(rows)
        staged.take(rows, self.book, now, history=True)

    def backfill_commit(self, state: BackfillState, now: float) -> BackfillState:
        """Write the slice and how far history has been read now, both or neither; returns that state."""
        staged = self._history or self._slice(now)
        self.book.apply(staged.batch.job_rows, staged.changes, now, history=True)
        staged.batch.job_rows.clear()
        self.book.trim(staged.changes, now)
        state = replace(state, executions=state.executions + staged.rows)
        totals = replace(self.totals, newest=_later(self.totals.newest, staged.batch.newest))
        settling = self._settling(state)
        self._db.execute("BEGIN IMMEDIATE")
        try:
            self._write_slice(staged, now)
            if not settling:
                self._db.execute("DELETE FROM settled WHERE store = ?", (self.id,))
            self._db.execute(
                "UPDATE store SET totals = ?, backfill = ? WHERE name = ?", (_json(totals), _json(state), self._store)
            )
            self._db.execute("COMMIT")
        except BaseException:
            self._rollback()
            raise
        self.book.settling = settling
        self._fold(staged)
        self.totals, self.backfill = totals, state
        self.backfill_discard()
        return state

    def _settled(self, jobs: Sequence[str]) -> set[str]:
        """Those of ``jobs`` that are written down as settled."""
        rows = self._db.execute(
            "SELECT job_id FROM settled WHERE store = ? AND job_id IN (SELECT value FROM json_each(?))",
            (self.id, _json(jobs)),
        )
        return {job_id for (job_id,) in rows}

    def _settling(self, state: BackfillState | None) -> bool:
        """Whether older failures of one-time jobs may still come to light."""
        return state is not None and not state.done and state.since - state.reached < FAILING_KEPT

    # -- both

    def _write_slice(self, staged: Slice, now: float) -> None:
        db, store, changes = self._db, self._store, staged.changes
        self.rollups.write(staged.batch.cells, staged.batch.worker_cells, Horizons.at(now, self.retention.statistics))
        recent.write(db, self.id, staged.batch.recent, self.retention.recent_executions)
        staged.errors.write(db, self.id)
        db.executemany(
            "INSERT OR REPLACE INTO job VALUES (?, ?, ?)",
            ((store, job_id, _json(state)) for job_id, state in changes.states.items() if state is not None),
        )
        db.executemany(
            "DELETE FROM job WHERE store = ? AND job_id = ?",
            ((store, job_id) for job_id, state in changes.states.items() if state is None),
        )
        if self.book.settling:
            db.executemany("INSERT OR IGNORE INTO settled VALUES (?, ?)", [(self.id, job) for job in changes.settled])

    def _fold(self, staged: Slice) -> None:
        self.book.fold(staged.changes)
        hours = [minute * 60 // HOUR for minute, _, _ in staged.batch.cells]
        hours += [hour for hour, _, _ in staged.batch.worker_cells]
        if hours:
            self.statistics.written(min(hours) * HOUR)
        self.version += 1

    def _rollback(self) -> None:
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")
        self.rollups.forget_labels()
        self._keys = self._count_keys()

    def _prune(self, now: float) -> None:
        """Once an hour, forget what retention no longer keeps, and give its room back to the file system."""
        hour = int(now) // HOUR
        if hour == self._pruned:
            return
        self.rollups.prune(Horizons.at(now, self.retention.statistics))
        error_groups.prune(self._db, self.id, now - self.retention.errors)
        self._pruned = hour

    # -- reading

    def covered_since(self) -> float | None:
        """Since when the statistics miss nothing."""
        if self.backfill is None or self.cursor is None:
            return None
        return max(self.backfill.reached, self.cursor.read_at - self.retention.statistics)

    def counts(self) -> Counts:
        """What is committed, as an immutable value."""
        return counts(self)


def _planned(cursor: CursorState, horizon: float) -> BackfillState:
    """History begins where the first poll began to look."""
    wanted = horizon < cursor.read_at
    return BackfillState(
        boundary=cursor.floor,
        position=cursor.floor,
        since=cursor.read_at,
        horizon=horizon,
        reached=cursor.read_at,
        done=not wanted,
    )


def _later(a: float | None, b: float | None) -> float | None:
    return max((t for t in (a, b) if t is not None), default=None)


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
