"""What finished executions that were read as a poll reads them tell of the profile. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from exporter.ledger.finished import Finished
from exporter.stores.checking.report import EntityReport, Finding, fault, note, warning
from exporter.stores.doubtful import ENOUGH, coarse, shared_key, wholly
from exporter.stores.queries import Wrapped
from exporter.stores.session import Row

#: Beyond this (the year 5138) a number of seconds is no moment that anything ended at.
_NO_CALENDAR: Final = 1e11
#: Seconds by which clocks may differ.
_AHEAD: Final = 60.0
_STARTED: Final = Finished._fields.index("started_at")
_COMPLETED: Final = Finished._fields.index("completed_at")


def judged(wrapped: Wrapped, finished: Sequence[Row], greatest: int | None) -> list[Finding | None]:
    """What is wrong with the key and the cursor; ``greatest`` is what an id cursor's position gives after them."""
    return [_keys(wrapped, finished), _starts(wrapped, finished), _stamps(finished, greatest)]


def _keys(wrapped: Wrapped, finished: Sequence[Row]) -> Finding | None:
    """Executions that would be taken for one another, or that are there several times."""
    if (shared := shared_key(finished, wrapped.key)) is not None:
        return fault(f"{shared}. Without it some are not counted")
    if len({row[:2] for row in finished}) == len(finished):
        return None
    return warning(
        "it gives some executions more than once: does a JOIN find several rows for one? Each is counted once, but all"
        " are read. What differs in them is left to chance"
    )


def _starts(wrapped: Wrapped, finished: Sequence[Row]) -> Finding | None:
    """Whether the cursor is the start: then what runs for longer than the late window is behind it when it ends."""
    cursor = wrapped.cursor
    told = [row for row in finished if row[_STARTED] is not None]
    if cursor.kind == "id" or not cursor.at_end or len(told) < ENOUGH or any(r[1] != r[_STARTED] for r in told):
        return None
    return note(
        f"in each of {len(told):,} executions the cursor, {cursor.column}, is started_at: is it set when they begin?"
        " Then what runs long is missed. Take the column that the end sets, or write `at_end: false`"
    )


def _stamps(finished: Sequence[Row], greatest: int | None) -> Finding | None:
    stamps = [row[1] for row in finished]
    if greatest is None:
        units = wholly(stamps) if len(stamps) >= ENOUGH else ()
        return warning(coarse(units[0])) if units else None
    if max(stamps) <= greatest:
        return None
    return fault(
        f"cursor.position gives {greatest}, and there is an execution {max(stamps)}: what lies above is never read."
        " Let it be the greatest id of the table: SELECT max(id) FROM ..."
    )


def latest(wrapped: Wrapped, report: EntityReport, finished: Sequence[Row], now: float) -> Finding | None:
    """When the latest execution ended: what is in the future, or longer ago than people know it was, is no UTC."""
    by_id = wrapped.cursor.kind == "id"
    ends = [end for row in finished if (end := row[_COMPLETED if by_id else 1]) is not None and abs(end) < _NO_CALENDAR]
    if not ends:
        return None
    report.newest = float(max(ends))
    report.newest_age = now - report.newest
    if report.newest_age > -_AHEAD:
        return None
    column = "completed_at" if by_id else wrapped.cursor.column
    naive = wrapped.columns["executions"].get(column) == "timestamp without time zone"
    zone = f". {column} has no time zone and is taken as UTC: does it hold local time?" if naive else ""
    late = "" if by_id else ": what ends so is counted only when that moment has come"
    return warning(f"the latest execution ended in the future, by the server's clock{late}{zone}")
