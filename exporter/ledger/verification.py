"""Whether a state file holds together: SQLite's own checks, and what must be true of counts. Only reads."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from math import isclose
from typing import Final

import msgspec

from exporter.domain import FINAL_STATUSES, OTHER
from exporter.ledger import sketch
from exporter.ledger.cursor import BackfillState, CursorState
from exporter.ledger.inspection import SCOPES, Inspected
from exporter.ledger.jobs import JobState
from exporter.ledger.rollups import BY_HOUR, BY_MINUTE, HOUR, MINUTES_KEPT
from exporter.ledger.tally import METRICS

#: Faults that a check tells one by one; more are only counted.
TOLD: Final = 10
_FILE: Final = (
    "stop the exporter and start it again: what SQLite cannot read is set aside, never deleted, and counters begin at"
    " zero. To keep them, put a copy of the directory back first"
)
_ROLLUPS: Final = (
    "counters are not touched; the statistics of that time are off until retention forgets it. Please report it"
)
_COUNTS: Final = "counters go on from these values; they cannot be told right from here. Please report it"
_RECORDS: Final = "the history is wrong in this place; nothing that is counted depends on it. Please report it"

Faults = Iterator[str]


class Result(msgspec.Struct):
    """One check: what it says when it holds, what is wrong (some of it, and how much in all), and what to do."""

    name: str
    looked_at: int = 0
    faults: list[str] = msgspec.field(default_factory=list)
    wrong: int = 0
    remedy: str = ""

    def take(self, faults: Faults) -> None:
        """Note what is wrong."""
        for fault in faults:
            self.wrong += 1
            if len(self.faults) < TOLD:
                self.faults.append(fault)


class _Cell(msgspec.Struct):
    """Executions of one label and status."""

    count: int = 0
    retries: int = 0
    timed: int = 0
    sum: float = 0.0
    max: float = 0.0
    sketch: sketch.Sketch = msgspec.field(default_factory=dict)

    def add(self, numbers: tuple[int, int, int, float, float, bytes]) -> None:
        count, retries, timed, total, longest, data = numbers
        self.count += count
        self.retries += retries
        self.timed += timed
        self.sum += total
        self.max = max(self.max, longest)
        sketch.add(self.sketch, sketch.decode(data))


def verify(state: Inspected) -> Iterator[Result]:
    """Check by check."""
    checks: list[tuple[str, str, Callable[[Inspected, Result], Faults]]] = [
        ("SQLite finds every page and index in order", _FILE, _integrity),
        ("rows refer to stores that exist", _FILE, _references),
        ("what is encoded can be decoded", _FILE, _encoded),
        ("no histogram, retry or worker counts more than there are executions", _COUNTS, _counters),
    ]
    if state.version > 1:
        checks += [
            ("each cell of the statistics agrees with itself", _ROLLUPS, _cells),
            ("the minutes of an hour add up to it", _ROLLUPS, _hours),
        ]
    if state.version > 2:
        checks.append(("alerts end after they began, and nothing was done before it was asked for", _RECORDS, _records))
    for name, remedy, check in checks:
        result = Result(name, remedy=remedy)
        try:
            result.take(check(state, result))
        except (sqlite3.DatabaseError, msgspec.DecodeError, ValueError, IndexError, TypeError) as e:
            result.take(iter([f"cannot be looked at: {e}"]))
        yield result


def _integrity(state: Inspected, result: Result) -> Faults:
    result.looked_at = state.db.execute("PRAGMA page_count").fetchone()[0]
    for (line,) in state.db.execute(f"PRAGMA integrity_check({TOLD})"):
        if line != "ok":
            yield line


def _references(state: Inspected, result: Result) -> Faults:
    db = state.db
    for table, _, parent, _ in db.execute("PRAGMA foreign_key_check"):
        yield f"a row of {table} refers to a {parent} that does not exist"
    result.looked_at = db.execute("SELECT count(*) FROM store").fetchone()[0]
    for table in ("rollup", "recent", "error_group", "error_hour", "settled"):
        if state.version > 1:
            sql = f"SELECT count(*) FROM {table} WHERE store NOT IN (SELECT id FROM store)"
            if number := db.execute(sql).fetchone()[0]:
                yield f"{number} rows of {table} belong to no store"


def _encoded(state: Inspected, result: Result) -> Faults:
    readings: list[tuple[str, str, object]] = [
        ("store", "SELECT name, cursor FROM store WHERE cursor IS NOT NULL", CursorState),
        ("job", "SELECT store || ' ' || job_id, data FROM job", JobState),
    ]
    if state.version > 1:
        readings += [
            ("store", "SELECT name, backfill FROM store WHERE backfill IS NOT NULL", BackfillState),
            ("recent", "SELECT key, data FROM recent", list),
            ("error_group", "SELECT fingerprint, data FROM error_group", dict),
        ]
    if state.version > 2:
        readings += [
            ("alert", "SELECT fingerprint, data FROM alert", dict),
            ("audit", "SELECT id, data FROM audit", dict),
            ("idempotency", "SELECT actor || ' ' || key, data FROM idempotency WHERE data IS NOT NULL", dict),
        ]
    if state.version > 3:
        readings += [
            ("pack_query", "SELECT pack || ' ' || query, cursor FROM pack_query WHERE cursor IS NOT NULL", CursorState),
            ("pack_series", "SELECT metric || ' ' || labels, data FROM pack_series", list),
        ]
    for table, sql, kind in readings:
        for name, data in state.db.execute(sql):
            result.looked_at += 1
            try:
                msgspec.json.decode(data, type=kind)
            except msgspec.DecodeError as e:
                yield f"{table} {name}: {e}"
    for store, metric, label, data in state.db.execute("SELECT store, metric, label, data FROM series"):
        result.looked_at += 1
        numbers = msgspec.json.decode(data, type=list[float])
        if metric not in METRICS or len(numbers) != METRICS[metric][0] or min(numbers) < 0:
            yield f"store {store!r}, {metric} of {label!r}: {data[:80]}"


def _counters(state: Inspected, result: Result) -> Faults:
    for (store,) in state.db.execute("SELECT name FROM store").fetchall():
        by_metric: dict[str, dict[str, float]] = {}
        for metric, label, data in state.db.execute("SELECT metric, label, data FROM series WHERE store = ?", (store,)):
            numbers = msgspec.json.decode(data, type=list[float])
            # A histogram's last number is its sum.
            total = sum(numbers[:-1]) if metric in ("duration", "wait") else sum(numbers)
            by_metric.setdefault(metric, {})[label] = total
            result.looked_at += 1
        executions = by_metric.get("executions", {})
        for metric, totals in by_metric.items():
            if (counted := sum(totals.values())) > (all_of_them := sum(executions.values())):
                yield f"store {store!r}: {metric} counts {counted:g} of {all_of_them:g} executions"
            if metric == "worker" or OTHER in executions or OTHER in totals:
                continue  # which labels have series of their own differs from metric to metric
            for label, counted in totals.items():
                if counted > executions.get(label, 0):
                    yield (
                        f"store {store!r}, task type {label!r}: {metric} counts {counted:g} of"
                        f" {executions.get(label, 0):g} executions"
                    )


_CELL: Final = "label, status, count, retries, timed, sum, max, sketch"


def _cells(state: Inspected, result: Result) -> Faults:
    stores = state.stores()
    for store, scope, start, *cell in state.db.execute(f"SELECT store, scope, start, {_CELL} FROM rollup"):
        result.looked_at += 1
        label, status, count, retries, timed, total, longest, data = cell
        in_sketch = sum(sketch.decode(data).values())
        sane = 0 < count >= max(timed, retries) and min(timed, retries) >= 0 and total >= 0 and longest <= total + 1e-6
        if in_sketch != timed or not sane:
            yield (
                f"store {stores.get(store, store)!r}, {SCOPES[scope]} {start}, {label!r} {FINAL_STATUSES[status]}:"
                f" count {count}, retries {retries}, timed {timed}, of them in the distribution {in_sketch}"
            )


def _hours(state: Inspected, result: Result) -> Faults:
    db = state.db
    for number, name, data in db.execute("SELECT id, name, cursor FROM store WHERE cursor IS NOT NULL").fetchall():
        read_at = msgspec.json.decode(data, type=CursorState).read_at
        since = int(read_at - MINUTES_KEPT) // HOUR * HOUR  # older hours have lost minutes to retention
        hours = db.execute(
            "SELECT DISTINCT start / ? * ? FROM rollup WHERE store = ? AND scope IN (?, ?) AND start >= ? ORDER BY 1",
            (HOUR, HOUR, number, BY_MINUTE, BY_HOUR, since),
        ).fetchall()
        for (hour,) in hours:
            result.looked_at += 1
            minutes = _read(db, number, BY_MINUTE, hour)
            whole = _read(db, number, BY_HOUR, hour)
            for key in sorted(minutes.keys() | whole.keys()):
                of_minutes, of_hour = minutes.get(key, _Cell()), whole.get(key, _Cell())
                if not _same(of_minutes, of_hour):
                    yield (
                        f"store {name!r}, hour {hour}, {key[0]!r} {FINAL_STATUSES[key[1]]}: its minutes have"
                        f" {_told(of_minutes)}, it has {_told(of_hour)}"
                    )


def _read(db: sqlite3.Connection, store: int, scope: int, hour: int) -> dict[tuple[str, int], _Cell]:
    found: dict[tuple[str, int], _Cell] = {}
    rows = db.execute(
        f"SELECT {_CELL} FROM rollup WHERE store = ? AND scope = ? AND start >= ? AND start < ?",
        (store, scope, hour, hour + HOUR),
    )
    for label, status, *numbers in rows:
        found.setdefault((label, status), _Cell()).add((*numbers,))
    return found


def _same(a: _Cell, b: _Cell) -> bool:
    whole = (a.count, a.retries, a.timed, a.max, a.sketch) == (b.count, b.retries, b.timed, b.max, b.sketch)
    return whole and isclose(a.sum, b.sum, rel_tol=1e-9, abs_tol=1e-6)


def _told(cell: _Cell) -> str:
    return f"count {cell.count}, retries {cell.retries}, timed {cell.timed}, {cell.sum:.6g} s"


def _records(state: Inspected, result: Result) -> Faults:
    wrong = {
        "alert": ("SELECT fingerprint, starts_at FROM alert WHERE ends_at < starts_at", "ends before it began"),
        "audit": ("SELECT id, at FROM audit WHERE last_at < at OR times < 1", "happened last before it happened first"),
        "idempotency": ("SELECT actor, key FROM idempotency WHERE done AND data IS NULL", "is done without an outcome"),
    }
    for table, (sql, what) in wrong.items():
        result.looked_at += state.db.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
        for one, other in state.db.execute(sql):
            yield f"{table} {one} {other}: {what}"
