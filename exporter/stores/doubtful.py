"""What rows themselves tell against counting each once: a key that several share, stamps that are too coarse."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import structlog

from exporter.config.durations import format_duration
from exporter.ledger.finished import Finished
from exporter.stores.queries import Wrapped
from exporter.stores.session import Row

log = structlog.get_logger(component="reader")

#: What a row that has ended more than once has in common at each end: a profile's column, its place in a row.
_SAME: Final = {
    name.removeprefix("execution_"): Finished._fields.index(name)
    for name in ("execution_id", "job_id", "task_type", "queue")
}
#: A day, an hour, a minute: what a stamp may have been cut to, in seconds.
UNITS: Final = (86_400.0, 3_600.0, 60.0)
#: Rows from which on something that all have in common is no accident.
ENOUGH: Final = 10


class Doubtful:
    """What one store's rows have told so far."""

    def __init__(self, store: str, wrapped: Wrapped) -> None:
        self._store = store
        self._key = wrapped.key
        self._shared: str | None = None
        self._units: tuple[float, ...] = () if wrapped.cursor.kind == "id" else UNITS
        self._rows = 0
        self._without_id: str | None = None

    def without_id(self, rows: int) -> None:
        """``rows`` of an answer have no id."""
        if rows and self._without_id is None:
            self._without_id = "`executions` gives rows whose id is NULL, which are not counted: each needs its own"
            log.error("some executions are not counted", store=self._store, reason=self._without_id)

    def look(self, rows: Sequence[Row]) -> None:
        """Take in rows of one answer, as :class:`Finished` has them."""
        if self._units:
            self._units = wholly((row[1] for row in rows), self._units)
            self._rows += len(rows)
        if self._shared is None:
            self._shared = shared_key(rows, self._key)
            if self._shared is not None:
                log.error("some executions are not counted", store=self._store, reason=self._shared)

    @property
    def missed(self) -> list[str]:
        """Why some are not counted, in words."""
        return [reason for reason in (self._shared, self._without_id) if reason is not None]

    def coarse(self, late_window: float) -> list[str]:
        """What there is to say against stamps that are whole units, in words."""
        told = self._units and self._rows >= ENOUGH and self._units[0] > late_window
        return [coarse(self._units[0])] if told else []


def wholly(stamps: Iterable[float], units: tuple[float, ...] = UNITS) -> tuple[float, ...]:
    """Those of ``units``, the longest first, of which every stamp is a whole multiple."""
    for stamp in stamps:
        while units and stamp % units[0]:
            units = units[1:]
        if not units:
            break
    return units


def coarse(unit: float) -> str:
    """What follows of stamps that are whole units, in words."""
    told = format_duration(unit)
    return (
        f"the cursor's stamps are whole multiples of {told}: what ends within one is behind it by then. Take a finer"
        f" column, or a `counting.late_window` of more than {told}"
    )


def shared_key(rows: Sequence[Row], key: Sequence[str]) -> str | None:
    """Two executions of ``rows`` (as :class:`Finished` has them) with one key, in words; None where there are none.

    A row that ended more than once has its key more than once, and is one execution each time: only its end differs.
    """
    if len({row[0] for row in rows}) == len(rows):
        return None
    known: dict[str, Row] = {}
    for row in rows:
        other = known.setdefault(row[0], row)
        for name, place in _SAME.items():
            if row[place] != other[place]:
                both = f"with {name} {other[place]!r} and with {name} {row[place]!r}"
                return (
                    f"the profile's key ({', '.join(key)}) does not tell executions apart:"
                    f" {row[0].replace(chr(31), ', ')!r} is there {both}. Add the column that does:"
                    f" key: [{', '.join((*key, name))}]"
                )
    return None
