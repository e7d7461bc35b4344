"""One store's account: what is committed, and what the poll under way has staged. Runs in the ledger's thread only."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable, Sequence

import msgspec

from exporter.domain import Counts, Histogram
from exporter.ledger.cursor import CursorState
from exporter.ledger.jobs import JobBook, JobState
from exporter.ledger.tally import Delta, Finished, Tally, histogram


class Totals(msgspec.Struct, kw_only=True):
    """Counters that have no label of their own."""

    late: int = 0
    duplicate: int = 0
    newest: float | None = None


class Account:
    """Counts one store's executions.

    A poll stages rows chunk by chunk, then commits them together with the cursor in one SQLite transaction, or
    discards them. Memory follows the number of series, not of rows: the staged keys are in a temporary table.
    """

    def __init__(self, db: sqlite3.Connection, store: str, budget: int) -> None:
        self._db = db
        self._store = store
        self._budget = budget
        self.tally = Tally(budget)
        self.book = JobBook()
        self.cursor: CursorState | None = None
        self.totals = Totals()
        self._load()
        self._reset()

    def set_budget(self, budget: int) -> None:
        """Let another number of series in from now on."""
        self._budget = self.tally.budget = budget

    def _load(self) -> None:
        row = self._db.execute("SELECT cursor, totals FROM store WHERE name = ?", (self._store,)).fetchone()
        if row[0] is not None:
            self.cursor = msgspec.json.decode(row[0], type=CursorState)
        self.totals = msgspec.json.decode(row[1], type=Totals)
        series = "SELECT metric, label, data FROM series WHERE store = ?"
        for metric, label, data in self._db.execute(series, (self._store,)):
            self.tally.load(metric, label, msgspec.json.decode(data, type=list[float]))
        for job_id, data in self._db.execute("SELECT job_id, data FROM job WHERE store = ?", (self._store,)):
            self.book.jobs[job_id] = msgspec.json.decode(data, type=JobState)

    def _reset(self) -> None:
        self._delta = Delta(self.tally)
        self._jobs: dict[str, JobState | None] = {}
        self._staged = 0
        self._late = self._duplicate = 0
        self._newest = self.totals.newest
        self._db.execute("DELETE FROM temp.staged WHERE store = ?", (self._store,))

    def stage(self, rows: Sequence[Finished], *, count: bool) -> None:
        """Take in rows of the poll under way. With ``count`` False only their keys are remembered (first poll)."""
        first = self._staged
        self._staged += len(rows)
        self._db.executemany(
            "INSERT OR IGNORE INTO temp.staged VALUES (?, ?, ?, ?)",
            ((self._store, row.key, row.stamp, first + i) for i, row in enumerate(rows)),
        )
        if not count:
            return
        fresh = self._db.execute(
            "SELECT s.n FROM temp.staged AS s WHERE s.store = ? AND s.n >= ?"
            " AND NOT EXISTS (SELECT 1 FROM main.seen AS k WHERE k.store = s.store AND k.key = s.key)",
            (self._store, first),
        )
        new = [rows[n - first] for (n,) in fresh]
        self._duplicate += len(rows) - len(new)
        self._count(new)

    def _count(self, rows: list[Finished]) -> None:
        upto = self.cursor.upto if self.cursor is not None else None
        for row in rows:
            self._delta.count(row)
            if upto is not None and row.stamp <= upto:
                self._late += 1
            if row.completed_at is not None and (self._newest is None or row.completed_at > self._newest):
                self._newest = row.completed_at
        self.book.apply(rows, self._jobs)

    def discard(self) -> None:
        """Forget what was staged since the last commit."""
        self._reset()

    def commit(self, cursor: CursorState, task_types: Iterable[str]) -> Counts:
        """Write the staged rows and the moved cursor in one transaction, then make them the account's state.

        ``task_types`` were seen elsewhere (running): their counters are shown from 0. Raises sqlite3.Error and
        leaves everything as it was when the file cannot be written.
        """
        for task_type in task_types:
            self._delta.ensure(task_type)
        merged = self._delta.merged()
        totals = Totals(
            late=self.totals.late + self._late,
            duplicate=self.totals.duplicate + self._duplicate,
            newest=self._newest,
        )
        expired = self.book.expired(time.time())
        self._db.execute("BEGIN IMMEDIATE")
        try:
            self._write(cursor, merged, totals, expired)
            self._db.execute("COMMIT")
        except sqlite3.Error:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise
        self._delta.fold(merged)
        self.book.fold(self._jobs)
        self.book.fold(dict.fromkeys(expired))
        self.cursor, self.totals = cursor, totals
        self._reset()
        return self.counts()

    def _write(
        self, cursor: CursorState, merged: dict[tuple[str, str], list[float]], totals: Totals, expired: list[str]
    ) -> None:
        db, store = self._db, self._store
        db.execute(
            "INSERT OR REPLACE INTO main.seen SELECT store, key, stamp FROM temp.staged WHERE store = ? AND stamp > ?",
            (store, cursor.floor),
        )
        db.execute("DELETE FROM main.seen WHERE store = ? AND stamp <= ?", (store, cursor.floor))
        db.executemany(
            "INSERT OR REPLACE INTO series VALUES (?, ?, ?, ?)",
            [(store, metric, label, _json(data)) for (metric, label), data in merged.items()],
        )
        db.executemany(
            "INSERT OR REPLACE INTO job VALUES (?, ?, ?)",
            [(store, job_id, _json(state)) for job_id, state in self._jobs.items() if state is not None],
        )
        gone = [job_id for job_id, state in self._jobs.items() if state is None] + expired
        db.executemany("DELETE FROM job WHERE store = ? AND job_id = ?", [(store, job_id) for job_id in gone])
        db.execute("UPDATE store SET cursor = ?, totals = ? WHERE name = ?", (_json(cursor), _json(totals), store))

    def counts(self) -> Counts:
        """What is committed, as an immutable value."""
        by_metric: dict[str, dict[str, list[float]]] = {}
        for (metric, label), numbers in self.tally.series.items():
            by_metric.setdefault(metric, {})[label] = numbers
        cursor = self.cursor
        return Counts(
            executions=_whole(by_metric.get("executions", {})),
            retries={label: int(numbers[0]) for label, numbers in by_metric.get("retries", {}).items()},
            durations=self._histograms("duration", by_metric),
            waits=self._histograms("wait", by_metric),
            workers=_whole(by_metric.get("worker", {})),
            failing=self.book.failing(self._budget),
            dropped=self.tally.dropped(),
            newest=self.totals.newest,
            late=self.totals.late,
            duplicate=self.totals.duplicate,
            last_success={i: s.last_success for i, s in self.book.jobs.items() if s.last_success},
            last_started={i: s.last_started for i, s in self.book.jobs.items() if s.last_started},
            read_at=cursor.read_at if cursor else None,
            upto=cursor.upto if cursor else None,
        )

    def _histograms(self, metric: str, by_metric: dict[str, dict[str, list[float]]]) -> dict[str, Histogram]:
        return {
            label: histogram(numbers, self.tally.exemplars.get((metric, label)))
            for label, numbers in by_metric.get(metric, {}).items()
        }


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _whole(series: dict[str, list[float]]) -> dict[str, tuple[int, ...]]:
    return {label: tuple(int(n) for n in numbers) for label, numbers in series.items()}
