"""Which positions a poll must read so that no execution is missed. Pure: no I/O, no clock.

A row can appear late: its stamp (or id) was drawn inside a transaction that commits after a poll has already passed
that position. So each poll notes the transactions open at that moment, each with a *mark*: the lowest position at
which it can still make rows appear. When one of them is gone, the next poll reads again from its mark; the ledger's
keys tell what was counted already. ``late_window`` is for what transactions do not show: stamps drawn by a client's
clock or before the transaction began.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

import msgspec

from exporter.ledger.cursor import CursorState, OpenTransaction, Position


class Session(NamedTuple):
    """A row of sessions.sql: a session inside a transaction, or (``pid`` None) a prepared transaction.

    ``xact_start`` of a prepared one is when it was prepared: nothing tells when it began.
    """

    pid: str | None
    backend_start: float | None
    xact_start: float | None
    xid: str | None


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """What to read: positions in (``low``, ``high``], and what to remember when that is done.

    ``first`` says that what is found is history: its keys are remembered, nothing is counted. ``anew`` says that
    the positions began again: what was remembered of them means nothing any more. ``doubt`` says in words why
    executions may have been missed. Above ``counted_to`` nothing has been counted: no key need be looked up there.
    """

    low: Position
    high: Position
    read_at: float
    open: tuple[OpenTransaction, ...]
    floor: Position
    back: Callable[[Position], Position]
    trail: tuple[tuple[float, Position], ...] = ()
    first: bool = False
    anew: bool = False
    doubt: str | None = None
    greatest: Position | None = None
    epoch: int = 0
    counted_to: Position = -math.inf

    def upto(self, position: Position) -> CursorState:
        """The state to remember once everything up to ``position`` has been read."""
        lowest = min([self.back(position), *(x.mark for x in self.open)])
        return CursorState(
            upto=position,
            read_at=self.read_at,
            floor=max(self.floor, lowest),
            open=self.open,
            trail=self.trail,
            read_to=max(position, self.counted_to),
            greatest=self.greatest,
            epoch=self.epoch,
        )


#: How many seconds the first poll takes a transaction to have been open before anything tells that it was: there is no
#: poll before it that did not see it.
FIRST_TIME_STRETCH = 60.0


def plan_times(before: CursorState | None, now: float, sessions: Iterable[Session], late_window: float) -> Reading:
    """Plan a poll over a time cursor; ``now`` is the server's clock, read before ``sessions``."""
    stretch = max(late_window, FIRST_TIME_STRETCH)
    unseen = now - stretch if before is None else min(before.read_at, now) - late_window

    def mark(session: Session) -> Position:
        if session.xact_start is None:
            return unseen
        return session.xact_start - (stretch if session.pid is None else late_window)

    opened = _open(before, sessions, mark, unseen, now)
    if before is None:
        low = min([now - late_window, *(x.mark for x in opened)])
        floor = low
    else:
        # min with now: a server clock that was set back must not leave a gap. Below the floor keys are forgotten: what
        # lies there may have been counted.
        floor = before.floor
        low = max(floor, min([before.upto - late_window, now - late_window, *_ended(before, opened)]))
    return Reading(
        low=low,
        high=now,
        read_at=now,
        open=opened,
        floor=floor,
        # While catching up: what still appears below now - late_window belongs to a transaction that has a mark.
        back=lambda position: min(position, now - late_window),
        first=before is None,
        counted_to=-math.inf if before is None else before.counted_to,
        doubt=_clock_doubt(before, now, late_window),
    )


def _clock_doubt(before: CursorState | None, now: float, late_window: float) -> str | None:
    # The floor stays until the clock has reached it again, however often we are started meanwhile.
    if before is None or now >= max(before.read_at - late_window, before.floor):
        return None
    return (
        f"the server's clock was set back, further than late_window ({late_window:g} s): what ends before it is"
        f" {time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(before.floor))} again is not counted"
    )


#: How many ids below the greatest one the first poll takes for possible late-comers: nothing tells which they are.
FIRST_ID_STRETCH = 10_000


def plan_ids(
    before: CursorState | None, now: float, greatest: int, sessions: Iterable[Session], late_window: float
) -> Reading:
    """Plan a poll over an id cursor; ``greatest`` is the greatest visible id, read before ``sessions``.

    Ids drawn after a poll are above the greatest that it saw. An id may be drawn a moment before its transaction
    shows an xid, so what came after the poll ``late_window`` ago (and at least the one before last) is read again.
    """
    if before is None:
        floor = max(greatest - FIRST_ID_STRETCH, -1)
        trail: tuple[tuple[float, Position], ...] = ((0.0, floor), (now, greatest))
        opened = _open(None, sessions, lambda _: floor, floor, now)
        low: Position = floor
        high: Position = greatest
    else:
        if (again := _begun_again(before, greatest)) is not None:
            return _plan_anew(before, again, now, greatest, sessions)
        floor = int(before.floor)
        settled = _settled(before.trail, before.read_at - late_window)
        opened = _open(before, sessions, lambda _: settled, settled, now)
        low = max(floor, min([settled, before.upto, *_ended(before, opened)]))
        high = max(greatest, before.upto)
        trail = (*(pair for pair in before.trail if pair[1] >= settled), (now, high))
    settled_next = _settled(trail, now - late_window)
    return Reading(
        low=low,
        high=high,
        read_at=now,
        open=opened,
        floor=floor,
        back=lambda position: min(position, settled_next),
        trail=trail,
        first=before is None,
        counted_to=-math.inf if before is None else before.counted_to,
        greatest=greatest,
        epoch=before.epoch if before is not None else 0,
    )


def _begun_again(before: CursorState, greatest: int) -> int | None:
    """The id above which a sequence that was set back has given ids again; None when it was not.

    Deleting rows makes the greatest id fall. It rises again only by new rows, and those have ids above all that any
    transaction of before could still bring - unless the sequence was set back.
    """
    known = before.greatest
    if known is None or greatest <= known:
        return None
    lowest = min([before.upto, _settled(before.trail, before.read_at), *(x.mark for x in before.open)])
    return int(known) if greatest <= lowest else None


def _plan_anew(before: CursorState, again: int, now: float, greatest: int, sessions: Iterable[Session]) -> Reading:
    return Reading(
        low=again,
        high=greatest,
        read_at=now,
        open=_open(None, sessions, lambda _: again, again, now),
        floor=again,
        back=lambda position: min(position, again),
        trail=((0.0, again), (now, greatest)),
        anew=True,
        doubt=f"the cursor's ids began again, below {before.upto}: those up to {again} are not counted a second time",
        greatest=greatest,
        epoch=before.epoch + 1,
    )


def _settled(trail: tuple[tuple[float, Position], ...], limit: float) -> Position:
    """The greatest id of the latest poll at or before ``limit``, the last poll left out."""
    older = [position for at, position in trail[:-1] if at <= limit]
    return older[-1] if older else trail[0][1]


def _open(
    before: CursorState | None,
    sessions: Iterable[Session],
    mark: Callable[[Session], Position],
    unseen: Position,
    now: float,
) -> tuple[OpenTransaction, ...]:
    """The open transactions, each with the mark it had, or with a new one."""
    known = {x.ident: x for x in before.open} if before is not None else {}
    by_xid = {x.xid: x for x in known.values() if x.xid is not None}
    # A prepared transaction that was never seen with its xid may be any that was open at the last poll.
    prepared = min([unseen, *(x.mark for x in known.values())])
    opened: dict[str, OpenTransaction] = {}
    for session in sessions:
        if session.pid is None:
            ident, fallback = f"prepared {session.xid}", mark(session) if before is None else prepared
        elif session.xact_start is not None:
            ident, fallback = f"{session.pid} {session.backend_start} {session.xact_start}", mark(session)
        else:
            ident, fallback = f"xid {session.xid}", mark(session)
        same = known.get(ident) or (by_xid.get(session.xid) if session.xid is not None else None)
        opened[ident] = OpenTransaction(
            ident,
            session.xid,
            mark=same.mark if same is not None else fallback,
            since=same.since if same is not None else session.xact_start or now,
        )
    return tuple(opened.values())


def _ended(before: CursorState, opened: tuple[OpenTransaction, ...]) -> list[Position]:
    """The marks of the transactions that were open at the last poll and are no more."""
    still = {x.ident for x in opened}
    return [x.mark for x in before.open if x.ident not in still]
