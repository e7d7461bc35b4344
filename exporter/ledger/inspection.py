"""The state file as others than its owner may read it: while a sidecar runs on it, or after one was killed.

Opened read-only; neither the file nor its write-ahead log changes. Belongs here: opening it so, and what `state show`
and `state export` read. Does not: printing, and whether the content is right (``verification``).
"""

from __future__ import annotations

import contextlib
import fcntl
import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from exporter.domain import FINAL_STATUSES, RecentExecution
from exporter.errors import LedgerError
from exporter.ledger import sketch
from exporter.ledger.cursor import BackfillState, CursorState
from exporter.ledger.database import FILE_NAME, MEMORY, beside, cause, file_size, inode
from exporter.ledger.schema import check_version, migrations

#: Names of the rollups' scopes, as the table numbers them.
SCOPES: Final = ("task_type_by_minute", "task_type_by_hour", "worker_by_hour")
_RECENT: Final = tuple(RecentExecution.__struct_fields__)
_JSON: Final = frozenset({"identity", "cursor", "totals", "backfill", "data"})


class Inspected(msgspec.Struct, frozen=True):
    """A state file open for reading; ``holder`` says which process has it, None when none does."""

    db: sqlite3.Connection
    path: Path
    version: int
    holder: str | None

    def tables(self) -> list[str]:
        """The tables that this version of the file has."""
        rows = self.db.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY rootpage")
        return [name for (name,) in rows if not name.startswith("sqlite_")]

    def stores(self) -> dict[int, str]:
        """Names of the stores by the small number that stands for them (schema 2)."""
        return dict(self.db.execute("SELECT id, name FROM store")) if self.version > 1 else {}


@contextlib.contextmanager
def inspect(directory: str) -> Iterator[Inspected]:
    """Open the state file in ``directory`` for reading, one moment's content throughout. Raises LedgerError."""
    if directory == MEMORY:
        raise LedgerError('state.path is ":memory:": there is no state file to look at')
    path = Path(directory).absolute() / FILE_NAME
    try:
        size = file_size(path)
        found = "does not exist" if size is None else "is empty: something truncated it"
    except OSError as e:  # no directory, or one that this user may not enter
        size, found = None, f"cannot be looked at: {e.strerror}"
    if not size:
        raise LedgerError(f"state file {str(path)!r} {found}; --state.path is the directory that holds it")
    holder = _holder(path)
    # A file that nobody writes and that has no log is read as it lies: that needs no companion files beside it.
    still = holder is None and not file_size(beside(path, "-wal"))
    before = _stamp(path)
    db: sqlite3.Connection | None = None
    try:
        db = sqlite3.connect(f"{path.as_uri()}?{'immutable=1' if still else 'mode=ro'}", uri=True, isolation_level=None)
        db.execute("PRAGMA query_only = ON")
        db.execute("BEGIN")
        yield Inspected(db, path, check_version(db, str(path)), holder)
    except sqlite3.DatabaseError as e:
        raise LedgerError(f"state file {str(path)!r} cannot be read: {cause(e)}") from e
    finally:
        if db is not None:
            db.close()
    if still and _stamp(path) != before:
        raise LedgerError(f"state file {str(path)!r} was written by a process that began meanwhile: ask again")


def _holder(path: Path) -> str | None:
    try:
        with path.with_suffix(".lock").open() as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return lock.read(200).strip() or "a running scheduler-exporter"
            return None
    except FileNotFoundError:
        return None
    except OSError as e:
        raise LedgerError(f"the lock of state file {str(path)!r} cannot be read: {e.strerror}") from e


def _stamp(path: Path) -> tuple[object, ...]:
    return inode(path), path.stat().st_mtime_ns, file_size(path)


def overview(state: Inspected) -> dict[str, Any]:
    """What `state show` tells, as JSON has it; times are Unix seconds."""
    db = state.db
    found: dict[str, Any] = {
        "file": str(state.path),
        "schema": state.version,
        "schema_of_this_version": len(migrations()),
        "bytes": file_size(state.path),
        "log_bytes": file_size(beside(state.path, "-wal")) or 0,
        "free_bytes": _one(db, "PRAGMA freelist_count") * _one(db, "PRAGMA page_size"),
        "in_use_by": state.holder,
        "series_shown": _one(db, "SELECT count(*) FROM exposed"),
        "stores": [_store(state, name) for (name,) in db.execute("SELECT name FROM store ORDER BY name").fetchall()],
    }
    if state.version < 3:
        return found
    alerts = "SELECT count(*), coalesce(sum(ends_at IS NULL), 0), min(starts_at), max(starts_at) FROM alert"
    audit = "SELECT count(*), coalesce(sum(times), 0), min(at), max(last_at) FROM audit"
    return found | {
        "alerts": _named(db, alerts, ("alerts", "firing", "first", "last")),
        "audit": _named(db, audit, ("entries", "actions", "first", "last")),
        "idempotency_keys": _one(db, "SELECT count(*) FROM idempotency"),
    }


def _named(db: sqlite3.Connection, sql: str, names: tuple[str, ...]) -> dict[str, Any]:
    return dict(zip(names, db.execute(sql).fetchone(), strict=True))


def _store(state: Inspected, name: str) -> dict[str, Any]:
    db = state.db
    identity, cursor, totals, created = db.execute(
        "SELECT identity, cursor, totals, created_at FROM store WHERE name = ?", (name,)
    ).fetchone()
    found: dict[str, Any] = {
        "name": name,
        "identity": msgspec.json.decode(identity),
        "since": created,
        "cursor": _cursor(cursor),
        "totals": msgspec.json.decode(totals),
        "executions": _executions(db, name),
        "series": dict(db.execute("SELECT metric, count(*) FROM series WHERE store = ? GROUP BY metric", (name,))),
        "keys": _one(db, "SELECT count(*) FROM seen WHERE store = ?", name),
        "jobs": _one(db, "SELECT count(*) FROM job WHERE store = ?", name),
    }
    if state.version < 2:
        return found
    number, backfill = db.execute("SELECT id, backfill FROM store WHERE name = ?", (name,)).fetchone()
    rollups = {
        SCOPES[scope]: {"cells": cells, "first": first, "last": last}
        for scope, cells, first, last in db.execute(
            "SELECT scope, count(*), min(start), max(start) FROM rollup WHERE store = ? GROUP BY scope", (number,)
        )
    }
    recent = db.execute("SELECT count(*), min(completed_at), max(completed_at) FROM recent WHERE store = ?", (number,))
    return found | {
        "backfill": _backfill(backfill),
        "rollups": rollups,
        "recent": dict(zip(("executions", "first", "last"), recent.fetchone(), strict=True)),
        "error_groups": _one(db, "SELECT count(*) FROM error_group WHERE store = ?", number),
        "error_hours": _one(db, "SELECT count(*) FROM error_hour WHERE store = ?", number),
    }


def _cursor(data: str | None) -> dict[str, Any] | None:
    if data is None:
        return None
    cursor = msgspec.json.decode(data, type=CursorState)
    by = "id" if isinstance(cursor.upto, int) else "time"
    return {
        "by": by,
        "read_at": cursor.read_at,
        "upto": cursor.upto,
        "floor": cursor.floor,
        "open_transactions": len(cursor.open),
    }


def _backfill(data: str | None) -> dict[str, Any] | None:
    if data is None:
        return None
    state = msgspec.json.decode(data, type=BackfillState)
    return msgspec.structs.asdict(state) | {"ratio": state.ratio}


def _executions(db: sqlite3.Connection, store: str) -> dict[str, int]:
    sums = [0] * len(FINAL_STATUSES)
    for (data,) in db.execute("SELECT data FROM series WHERE store = ? AND metric = 'executions'", (store,)):
        sums = [a + int(b) for a, b in zip(sums, msgspec.json.decode(data), strict=True)]
    return dict(zip(FINAL_STATUSES, sums, strict=True))


def _one(db: sqlite3.Connection, sql: str, *bound: object) -> int:
    value: int = db.execute(sql, bound).fetchone()[0]
    return value


def rows(state: Inspected) -> Iterator[dict[str, Any]]:
    """Everything in the file, row by row: ``table`` and its columns, with what they encode decoded."""
    stores = state.stores()
    for table in state.tables():
        found = state.db.execute(f'SELECT * FROM "{table}"')
        names = [column[0] for column in found.description]
        for row in found:
            yield {"table": table, **_decoded(table, dict(zip(names, row, strict=True)), stores)}


def _decoded(table: str, row: dict[str, Any], stores: Mapping[int, str]) -> dict[str, Any]:
    for name, value in row.items():
        if value is None:
            continue
        if name == "store":
            row[name] = stores.get(value, value)
        elif name == "status":
            row[name] = FINAL_STATUSES[value]
        elif name == "scope":
            row[name] = SCOPES[value]
        elif name == "sketch":
            row[name] = {format(sketch.value(index), ".6g"): n for index, n in sketch.decode(value).items()}
        elif name in _JSON and not (table == "series" and name != "data"):
            row[name] = msgspec.json.decode(value)
            if table == "recent":
                row[name] = dict(zip(_RECENT, row[name], strict=True))
    return row
