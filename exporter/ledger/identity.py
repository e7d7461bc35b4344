"""Which database a store's counts belong to. Runs in the ledger's thread only."""

from __future__ import annotations

import sqlite3
import time

import msgspec

from exporter.errors import LedgerError


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """Which database a store's counts belong to; ``system`` is the cluster's identifier where the role may read it."""

    system: str | None
    database: str
    oid: int

    def other_than(self, known: Identity) -> bool:
        """Whether this is certainly another database than ``known``."""
        if self.system is not None and known.system is not None and self.system != known.system:
            return True
        return self.database != known.database


def recognise(db: sqlite3.Connection, store: str, identity: Identity) -> None:
    """Make sure that ``store``'s counts belong to this database; write it down for a new store. Raises LedgerError."""
    row = db.execute("SELECT identity FROM store WHERE name = ?", (store,)).fetchone()
    if row is None:
        db.execute(
            "INSERT INTO store (name, identity, created_at, id)"
            " VALUES (?, ?, ?, (SELECT coalesce(max(id), 0) + 1 FROM store))",
            (store, msgspec.json.encode(identity).decode(), time.time()),
        )
    elif identity.other_than(known := msgspec.json.decode(row[0], type=Identity)):
        raise LedgerError(
            f"store {store!r} now leads to database {identity.database!r} of system {identity.system}, but its "
            f"counters belong to database {known.database!r} of system {known.system}. They are not mixed: name "
            f"the new store differently, or point its dsn back"
        )
