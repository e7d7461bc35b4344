"""The ring of the newest finished executions of a store. Runs in the ledger's thread only."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from math import inf
from typing import Final

import msgspec

from exporter.domain import RecentExecution
from exporter.ledger.batch import Recent
from exporter.ledger.finished import STATUS_INDEX

#: The temporary table that :class:`RingStage` needs.
STAGED: Final = (
    "ring (store INTEGER, history INTEGER, completed_at REAL, key TEXT, status INTEGER, task_type TEXT, data BLOB)"
)


def floor(db: sqlite3.Connection, store: int, size: int) -> float:
    """The end of the oldest execution in a full ring; minus infinity while there is room."""
    row = db.execute(
        "SELECT completed_at FROM recent WHERE store = ? ORDER BY completed_at DESC LIMIT 1 OFFSET ?", (store, size - 1)
    ).fetchone()
    return -inf if row is None else float(row[0])


class RingStage:
    """Executions that a slice may bring into the ring. In a temporary table: thousands would take megabytes."""

    def __init__(self, db: sqlite3.Connection, store: int, *, history: bool) -> None:
        self._db = db
        self._store = store
        self._history = history
        self._slice = (store, history)

    def discard(self) -> None:
        """Forget what was staged."""
        self._db.execute("DELETE FROM temp.ring WHERE store = ? AND history = ?", self._slice)

    def add(self, rows: Iterable[Recent]) -> None:
        """Stage executions."""
        self._db.executemany(f"INSERT INTO temp.ring VALUES ({self._store}, {self._history:d}, ?, ?, ?, ?, ?)", rows)

    def write(self, size: int) -> None:
        """Put what was staged into the ring; the oldest ones leave it."""
        db, store = self._db, self._store
        inserted = db.execute(
            "INSERT OR REPLACE INTO main.recent SELECT store, completed_at, key, status, task_type, data FROM temp.ring"
            " WHERE store = ? AND history = ? ORDER BY completed_at DESC, key DESC LIMIT ?",
            (*self._slice, size),
        ).rowcount
        if inserted > 0:
            # By key too: a thousand executions may have ended at the same moment.
            db.execute(
                "DELETE FROM main.recent WHERE store = ? AND (completed_at, key) <= ("
                " SELECT completed_at, key FROM main.recent WHERE store = ?"
                " ORDER BY completed_at DESC, key DESC LIMIT 1 OFFSET ?)",
                (store, store, size),
            )


def read(
    db: sqlite3.Connection, store: int, *, limit: int, offset: int, status: str | None, task_type: str | None
) -> list[RecentExecution]:
    """Executions of the ring, newest first, of one status and one task type if they are given."""
    where = "store = ?"
    bound: list[object] = [store, limit, offset]
    if status is not None:
        where += " AND status = ?"
        bound.insert(-2, STATUS_INDEX[status])
    if task_type is not None:
        where += " AND task_type = ?"
        bound.insert(-2, task_type)
    rows = db.execute(
        f"SELECT data FROM recent WHERE {where} ORDER BY completed_at DESC, key DESC LIMIT ? OFFSET ?",
        bound,
    )
    return [_execution(data) for (data,) in rows]


def _execution(data: str) -> RecentExecution:
    return RecentExecution(**dict(zip(RecentExecution.__dataclass_fields__, msgspec.json.decode(data), strict=True)))
