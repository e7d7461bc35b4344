"""Rollups in the state file: finished executions by minute, by hour, and by worker and hour. Ledger's thread only.

Each scope has a budget: at most so many labels have cells of their own in one hour, the others add to ``other``. So the
size is bounded by the retention, not by how many workers come and go, and a label's minutes add up to its hours.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from exporter.domain import FINAL_STATUSES, OTHER
from exporter.ledger import sketch
from exporter.ledger.batch import Cell, CellKey

MINUTE: Final = 60
HOUR: Final = 3600
#: Scopes of the table: task type by minute, task type by hour, worker by hour.
BY_MINUTE, BY_HOUR, BY_WORKER = range(3)
#: Seconds for which minutes are kept.
MINUTES_KEPT: Final = 48 * HOUR
#: How many hours' labels are remembered between two writes.
_HOURS_REMEMBERED: Final = 64

_SELECT: Final = (
    "SELECT count, retries, timed, sum, max, sketch FROM rollup"
    " WHERE store = ? AND scope = ? AND start = ? AND label = ? AND status = ?"
)
_INSERT: Final = "INSERT OR REPLACE INTO rollup VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"


class Row(NamedTuple):
    """A cell as it is read back; ``start`` is a Unix time, ``status`` an index into FINAL_STATUSES."""

    start: int
    label: str
    status: int
    number: int
    retries: int
    timed: int
    sum: float
    max: float
    sketch: bytes


class Rollups:
    """One store's rollups. ``store`` is its small number; ``budget`` the series in one hour of a scope."""

    def __init__(self, db: sqlite3.Connection, store: int, budget: int) -> None:
        self._db = db
        self._store = store
        self.budget = budget
        self._labels: dict[tuple[int, int], set[str]] = {}

    def write(self, task_types: Mapping[CellKey, Cell], workers: Mapping[CellKey, Cell], horizons: Horizons) -> None:
        """Add cells (by minute; by hour) to the table, those that retention still keeps. Inside a transaction."""
        minutes: dict[CellKey, Cell] = {}
        hours: dict[CellKey, Cell] = {}
        for (minute, label, status), cell in task_types.items():
            start = minute * MINUTE
            if start < horizons.hours:
                continue
            hour = start - start % HOUR
            slot = self._slot(BY_HOUR, hour, label)
            _into(hours, (hour, slot, status), cell)
            if start >= horizons.minutes:
                _into(minutes, (start, slot, status), cell)
        by_worker: dict[CellKey, Cell] = {}
        for (number, label, status), cell in workers.items():
            if (hour := number * HOUR) >= horizons.hours:
                _into(by_worker, (hour, self._slot(BY_WORKER, hour, label), status), cell)
        for scope, cells in ((BY_MINUTE, minutes), (BY_HOUR, hours), (BY_WORKER, by_worker)):
            self._add(scope, cells)

    def _slot(self, scope: int, hour: int, label: str) -> str:
        known = self._labels.get((scope, hour))
        if known is None:
            if len(self._labels) >= _HOURS_REMEMBERED:
                self._labels.clear()
            rows = self._db.execute(
                "SELECT DISTINCT label FROM rollup WHERE store = ? AND scope = ? AND start = ?",
                (self._store, scope, hour),
            )
            known = self._labels[scope, hour] = {name for (name,) in rows}
        if label in known or label == OTHER:
            return label
        if (len(known) + 1) * len(FINAL_STATUSES) > self.budget:
            return OTHER
        known.add(label)
        return label

    def _add(self, scope: int, cells: Mapping[CellKey, Cell]) -> None:
        rows = []
        for (start, label, status), cell in cells.items():
            key = (self._store, scope, start, label, status)
            stored = self._db.execute(_SELECT, key).fetchone()
            if stored is not None:
                count, retries, timed, total, longest, data = stored
                cell.count += count
                cell.retries += retries
                timed += len(cell.buckets)
                cell.sum += total
                cell.max = max(cell.max, longest)
            else:
                timed, data = len(cell.buckets), b""
            durations = sketch.encode(sketch.adding(data, cell.buckets))
            rows.append((*key, cell.count, cell.retries, timed, cell.sum, cell.max, durations))
        self._db.executemany(_INSERT, rows)

    def forget_labels(self) -> None:
        """After a write that failed: what it let in is not in the table."""
        self._labels.clear()

    def read(self, scope: int, since: int, until: int | None = None) -> Iterable[Row]:
        """The cells that start in [``since``, ``until``)."""
        bound = "" if until is None else f" AND start < {int(until)}"
        rows = self._db.execute(
            "SELECT start, label, status, count, retries, timed, sum, max, sketch FROM rollup"
            f" WHERE store = ? AND scope = ? AND start >= ?{bound}",
            (self._store, scope, since),
        )
        return map(Row._make, rows)

    def prune(self, horizons: Horizons) -> None:
        """Forget what retention no longer keeps."""
        for scope, before in ((BY_MINUTE, horizons.minutes), (BY_HOUR, horizons.hours), (BY_WORKER, horizons.hours)):
            self._db.execute(
                "DELETE FROM rollup WHERE store = ? AND scope = ? AND start < ?", (self._store, scope, before)
            )


class Horizons(NamedTuple):
    """The first minute and the first hour (Unix times) that are kept."""

    minutes: int
    hours: int

    @classmethod
    def at(cls, now: float, retention: float) -> Horizons:
        """As of ``now``, with hours kept for ``retention`` seconds."""
        hours = int(now - retention) // HOUR * HOUR
        return cls(max(int(now - MINUTES_KEPT) // HOUR * HOUR, hours), hours)


def _into(cells: dict[CellKey, Cell], key: CellKey, cell: Cell) -> None:
    present = cells.get(key)
    if present is None:
        present = cells[key] = Cell()
    present.add(cell)
