"""What an action with an Idempotency-Key came to: asked a second time, it is answered, not done.

The key is written before anything is done, so that nothing is done twice, whatever ends the process. What was begun and
has no outcome is not begun again: nobody can tell how far it came, unless a checkpoint says so.
"""

from __future__ import annotations

import sqlite3
import time
from typing import Final

import msgspec

from exporter.ledger.ledger import Ledger

#: Seconds for which a key is remembered, and how many are: with more, the oldest give way.
REMEMBERED: Final = 86_400.0
KEPT: Final = 100_000


class Known(msgspec.Struct, frozen=True):
    """What a key stands for: what was ``asked``, how far it came (None: not told), whether it is ``done``."""

    asked: str
    data: str | None
    done: bool


class Idempotency:
    """Keys in the state file. Every method may raise StateUnavailable."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def begin(self, actor: str, key: str, asked: str) -> Known | None:
        """Claim ``actor``'s ``key``: None when it is new, else what it stands for already."""
        now = time.time()

        def write(db: sqlite3.Connection) -> Known | None:
            db.execute("DELETE FROM idempotency WHERE at < ?", (now - REMEMBERED,))
            row = db.execute(
                "SELECT asked, data, done FROM idempotency WHERE actor = ? AND key = ?", (actor, key)
            ).fetchone()
            if row is not None:
                return Known(row[0], row[1], bool(row[2]))
            db.execute("INSERT INTO idempotency VALUES (?, ?, ?, ?, NULL, 0)", (actor, key, now, asked))
            db.execute(
                "DELETE FROM idempotency WHERE (actor, key) IN ("
                " SELECT actor, key FROM idempotency ORDER BY at DESC LIMIT -1 OFFSET ?)",
                (KEPT,),
            )
            return None

        return await self._ledger.write(write)

    async def note(self, actor: str, key: str, data: str, *, done: bool) -> None:
        """Write down how far it came; ``done``: this is the outcome."""

        def write(db: sqlite3.Connection) -> None:
            db.execute(
                "UPDATE idempotency SET data = ?, done = ? WHERE actor = ? AND key = ?", (data, int(done), actor, key)
            )

        await self._ledger.write(write)

    async def release(self, actor: str, key: str) -> None:
        """Forget the key: nothing was done, and the next attempt may do it."""

        def write(db: sqlite3.Connection) -> None:
            db.execute("DELETE FROM idempotency WHERE actor = ? AND key = ?", (actor, key))

        await self._ledger.write(write)
