"""The ring of the newest finished executions of a store. Runs in the ledger's thread only."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from math import inf
from typing import Final

import msgspec

from exporter.domain import RecentExecution
from exporter.ledger.finished import STATUS_INDEX, Finished

_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(tuple[float, str, int, str, msgspec.Raw]).decode


def entry(row: Finished, at: float) -> bytes:
    """An execution that ended ``at`` for the ring, as JSON, which takes the least room: the table's columns."""
    (
        key, _, execution_id, job_id, job_name, _, task_type, status, attempt, due, started, completed, worker, queue,
        message, code,
    ) = row  # fmt: skip
    task_type = task_type or ""
    fields = (execution_id, job_id, job_name, task_type, queue, status, attempt, due, started, completed, worker,
              message, code)  # fmt: skip
    return _encode((at, key, STATUS_INDEX[status], task_type, fields))


def floor(db: sqlite3.Connection, store: int, size: int) -> float:
    """The end of the oldest execution in a full ring; minus infinity while there is room."""
    row = db.execute(
        "SELECT completed_at FROM recent WHERE store = ? ORDER BY completed_at DESC LIMIT 1 OFFSET ?", (store, size - 1)
    ).fetchone()
    return -inf if row is None else float(row[0])


def write(db: sqlite3.Connection, store: int, rows: Iterable[bytes], size: int) -> None:
    """Put executions (see :func:`entry`) into the ring; the oldest ones leave it."""
    inserted = db.executemany(
        f"INSERT OR REPLACE INTO recent VALUES ({store}, ?, ?, ?, ?, ?)", map(_columns, rows)
    ).rowcount
    if inserted > 0:
        # By key too: a thousand executions may have ended at the same moment.
        db.execute(
            "DELETE FROM recent WHERE store = ? AND (completed_at, key) <= ("
            " SELECT completed_at, key FROM recent WHERE store = ?"
            " ORDER BY completed_at DESC, key DESC LIMIT 1 OFFSET ?)",
            (store, store, size),
        )


def _columns(row: bytes) -> tuple[float, str, int, str, str]:
    at, key, status, task_type, data = _decode(row)
    return at, key, status, task_type, bytes(data).decode()


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
    return RecentExecution(**dict(zip(RecentExecution.__struct_fields__, msgspec.json.decode(data), strict=True)))
