"""What a poll must remember so that the next one misses nothing and counts nothing twice.

Positions are seconds for time cursors and integers for id cursors; the rules are the same for both.
"""

from __future__ import annotations

import msgspec

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


class CursorState(msgspec.Struct, frozen=True, kw_only=True):
    """Where the reading stands.

    Everything visible at the last poll up to ``upto`` has been read; ``read_at`` is that poll's server clock; ``floor``
    is the position at and below which keys are forgotten and nothing is read again; ``trail`` holds the (clock,
    position) pairs of recent polls of an id cursor.
    """

    upto: Position
    read_at: float
    floor: Position
    open: tuple[OpenTransaction, ...] = ()
    trail: tuple[tuple[float, Position], ...] = ()
