"""What a poll must remember so that the next one misses nothing and counts nothing twice.

Positions are seconds for time cursors and integers for id cursors; the rules are the same for both.
"""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

Position = int | float


class OpenTransaction(msgspec.Struct, frozen=True, array_like=True):
    """A transaction that was open at a poll.

    ``ident`` tells it from every other, ``xid`` (when it has one) links it to its prepared form, ``mark`` is the lowest
    position at which it can still make rows appear; ``since`` is when it began, or was first seen (server clock, s).
    """

    ident: str
    xid: str | None
    mark: Position
    since: float


class Numbering(msgspec.Struct, frozen=True, kw_only=True):
    """What gave an id cursor's ids. Where that is another one now, ids may have been given a second time.

    ``relations`` are the oids of what is read, ``sequences`` the oid and the file of each that numbers it (``RESTART``
    gives it another file); ``timeline`` is another one after a promotion or a recovery to a point in time, ``written``
    is how many bytes of write-ahead log there were. None: the server does not tell.
    """

    relations: dict[str, int]
    sequences: dict[str, tuple[int, int]]
    timeline: int | None = None
    written: int | None = None

    def after(self, before: Numbering | None) -> Numbering:
        """This one, with what only the one ``before`` tells."""
        if before is None or self.timeline is not None:
            return self
        return replace(self, timeline=before.timeline, written=before.written)


class CursorState(msgspec.Struct, frozen=True, kw_only=True):
    """Where the reading stands.

    Everything visible at the last poll up to ``upto`` has been read; ``read_to`` is the greatest position ever read,
    which is more while an old stretch is being read again; ``read_at`` is that poll's server clock; ``floor``
    is the position at and below which keys are forgotten and nothing is read again; ``trail`` holds the (clock,
    position) pairs of recent polls of an id cursor; ``greatest`` is the greatest id that the last one saw, ``epoch``
    how often the ids have begun again, ``numbering`` what gave them; above ``unlisted`` executions were counted that
    are not in the ring of recent ones yet.
    """

    upto: Position
    read_at: float
    floor: Position
    open: tuple[OpenTransaction, ...] = ()
    trail: tuple[tuple[float, Position], ...] = ()
    read_to: Position | None = None
    greatest: Position | None = None
    epoch: int = 0
    unlisted: Position | None = None
    numbering: Numbering | None = None

    @property
    def counted_to(self) -> Position:
        """The position above which nothing has been counted yet."""
        return self.upto if self.read_to is None else max(self.read_to, self.upto)


class BackfillState(msgspec.Struct, frozen=True, kw_only=True):
    """How far history has been read, newest first: down to ``position``, from ``boundary``.

    ``boundary`` is the lowest position of the first poll: what lies above is counted as it appears, what lies at or
    below it belongs to history and is read once. ``since`` is that poll's server clock, ``horizon`` the moment back to
    which history is wanted, ``reached`` the one back to which nothing is missing; ``executions`` were found so far.
    """

    boundary: Position
    position: Position
    since: float
    horizon: float
    reached: float
    executions: int = 0
    done: bool = False
    problem: str | None = None

    @property
    def ratio(self) -> float:
        """The share that has been read, 0 to 1."""
        span = self.since - self.horizon
        return 1.0 if self.done or span <= 0 else min(1.0, max(0.0, (self.since - self.reached) / span))
