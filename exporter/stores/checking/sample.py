"""A few real rows read as a poll reads them: values that cannot be read, statuses that mean nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from math import isfinite
from typing import Final

import psycopg

from exporter.domain import FINAL_STATUSES, JOB_STATUSES, JOB_TYPES, OPERATION_STAGES
from exporter.errors import StoreError, StoreTooSlow, StoreUnavailable
from exporter.ledger.finished import Finished
from exporter.stores.checking.report import EntityReport, Finding, fault, note, warning
from exporter.stores.checking.sampled import judged, latest
from exporter.stores.checking.savepoint import savepoint
from exporter.stores.queries import COLUMNS, Wrapped, quoted
from exporter.stores.reader import greatest_id
from exporter.stores.session import Row, Transaction

SAMPLED: Final = 1_000
#: A number of seconds beyond this (the year 33658) is one of milliseconds.
_NOT_SECONDS: Final = 1e12
_ID: Final = Finished._fields.index("execution_id")
_MEANINGFUL: Final[Mapping[str, Mapping[str, Sequence[str]]]] = {
    "executions": {"status": FINAL_STATUSES},
    "jobs": {"status": JOB_STATUSES, "type": JOB_TYPES},
    "live_jobs": {"status": JOB_STATUSES, "type": JOB_TYPES},
    "operations": {"stage": OPERATION_STAGES},
}


async def sample(transaction: Transaction, wrapped: Wrapped, report: EntityReport, *, now: float, newest: bool) -> None:
    """Read up to SAMPLED rows of the report's entity, and put into it what they tell.

    ``newest`` takes the latest executions, which is cheap only along an index; ``now`` is the server's clock.
    """
    entity = report.name
    names = [name for name in COLUMNS[entity] if name in wrapped.columns[entity]]
    narrowed = ""
    if entity == "executions":
        cursor = quoted(wrapped.cursor.column)
        # Without a cursor's value a row is never read, so it need not make sense.
        narrowed = f"WHERE q.{cursor} IS NOT NULL" + (f" ORDER BY q.{cursor} DESC" if newest else "")
    limited = f"{narrowed} LIMIT {SAMPLED}"
    finished: list[Row] = []
    try:
        async with savepoint(transaction):
            rows = await transaction.fetch("sample", wrapped.select(entity, names, limited))
            if entity == "executions":
                finished = await transaction.fetch("sample", wrapped.some_finished(limited))
    except StoreUnavailable:
        raise
    except StoreTooSlow as e:
        if entity == "executions":  # polls read less of it, along an index
            report.findings.append(note(f"its rows could not be sampled: {e}"))
        else:
            report.findings.append(warning(f"it is too slow: {e}. Polls, which read all of it, are given up likewise"))
        return
    except StoreError as e:
        cause = e.__cause__
        text = cause.diag.message_primary if isinstance(cause, psycopg.Error) else None
        unread = f"its rows cannot be read: {text or e}. Cast or clean the column in the profile's SELECT"
        report.findings.append(fault(unread))
        return
    # The planner knows nothing of a table that was never analysed, and little of what a SELECT makes of one.
    report.counted = len(rows) < SAMPLED
    report.rows = len(rows) if report.counted else max(SAMPLED, report.rows or 0)
    found = [_times(entity, names, rows), _ids(entity, names, rows)] if rows else []
    for name, known in _MEANINGFUL.get(entity, {}).items():
        if name in names:
            found.append(_values(entity, name, (row[names.index(name)] for row in rows), known))
    if any(row[_ID] is not None for row in finished):
        position = wrapped.cursor.position
        greatest = None if position is None else await greatest_id(transaction, position)
        found += judged(wrapped, [row for row in finished if row[_ID] is not None], greatest)
        if newest:
            found.append(latest(wrapped, report, finished, now))
    report.findings += [finding for finding in found if finding is not None]


def _times(entity: str, names: Sequence[str], rows: Sequence[Row]) -> Finding | None:
    places = [i for i, name in enumerate(names) if COLUMNS[entity][name] == "time"]
    wrong = [names[i] for i in places if any(row[i] and isfinite(row[i]) and row[i] > _NOT_SECONDS for row in rows)]
    if not wrong:
        return None
    listed = ", ".join(wrong)
    return fault(f"{listed}: these are no seconds since 1970. Are they milliseconds? Write to_timestamp(x / 1000.0)")


def _ids(entity: str, names: Sequence[str], rows: Sequence[Row]) -> Finding | None:
    if "id" not in names or all(row[names.index("id")] is not None for row in rows):
        return None
    if entity == "executions":
        return fault("id is NULL in some rows: such executions are not counted. Each needs an id of its own")
    return warning("id is NULL in some rows, which nobody can be told of. Does an outer join find nothing for them?")


def _values(entity: str, name: str, values: Iterable[str | None], known: Sequence[str]) -> Finding | None:
    strange = sorted({"" if value is None else value for value in values if value not in known})
    if entity in ("jobs", "live_jobs") and name == "type":
        strange = [value for value in strange if value]  # NULL is ONE_TIME
    if not strange:
        return None
    listed = ", ".join(_told(value, known) for value in strange[:10])
    text = f"{name} {listed} means nothing here (known: {', '.join(known)})"
    if entity == "executions":
        return fault(f"{text}: such executions are not counted. Map it with CASE in the profile's SELECT")
    return warning(f"{text}. Map it with CASE in the profile's SELECT")


def _told(value: str, known: Sequence[str]) -> str:
    close = get_close_matches(value.upper(), known, n=1)
    return (repr(value) if value else "NULL") + (f" (did you mean {close[0]}?)" if close else "")
