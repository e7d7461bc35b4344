"""Alerts as Alertmanager told of them, newest first. One row for each time that an alert fired."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence
from typing import Final

import msgspec

from exporter.domain import Alert
from exporter.ledger.ledger import Ledger

#: At most so many are kept, the latest ones.
KEPT: Final = 20_000
#: What is kept of one: so many labels and so many annotations, of each value so many characters.
TEXTS_KEPT: Final = 64
CHARACTERS_KEPT: Final = 1_000
#: Over for as long as ``retention.alerts``, or not told of for as long.
_OLD: Final = "coalesce(max(ends_at, told_at), told_at) < ?"


class _Texts(msgspec.Struct, frozen=True):
    labels: dict[str, str]
    annotations: dict[str, str]


class AlertHistory:
    """The history in the state file. Every method may raise StateUnavailable."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def tell(self, alerts: Sequence[Alert]) -> int:
        """Take in what a notification tells; how many of them were not known before.

        One that is known by its fingerprint and start gets its latest texts, and its end. An end stays: a
        notification that was repeated may come late.
        """
        now = time.time()
        before = now - self._ledger.retention.alerts

        def write(db: sqlite3.Connection) -> int:
            known = _count(db)
            db.executemany(
                "INSERT INTO alert VALUES (?, ?, ?, ?, ?) ON CONFLICT (fingerprint, starts_at) DO UPDATE SET"
                " ends_at = coalesce(excluded.ends_at, ends_at), told_at = excluded.told_at, data = excluded.data",
                [(alert.fingerprint, alert.starts_at, alert.ends_at, now, _encoded(alert)) for alert in alerts],
            )
            if new := _count(db) - known:
                _forget(db, before)
            return new

        return await self._ledger.write(write)

    async def over(self, alert: Alert) -> bool:
        """Whether this time that the alert fired is known to have ended."""
        key = (alert.fingerprint, alert.starts_at)
        query = "SELECT 1 FROM alert WHERE fingerprint = ? AND starts_at = ? AND ends_at IS NOT NULL"
        return await self._ledger.read(lambda db: db.execute(query, key).fetchone() is not None)

    async def read(self, *, limit: int, offset: int = 0) -> tuple[list[Alert], int]:
        """Alerts of the history, those that fired last first, and how many there are in all."""
        bound = (time.time() - self._ledger.retention.alerts,)

        def read(db: sqlite3.Connection) -> tuple[list[Alert], int]:
            rows = db.execute(
                f"SELECT fingerprint, starts_at, ends_at, data FROM alert WHERE NOT {_OLD}"
                " ORDER BY starts_at DESC, fingerprint DESC LIMIT ? OFFSET ?",
                (*bound, limit, offset),
            )
            found = [_decoded(*row) for row in rows]
            total: int = db.execute(f"SELECT count(*) FROM alert WHERE NOT {_OLD}", bound).fetchone()[0]
            return found, total

        return await self._ledger.read(read)


def _count(db: sqlite3.Connection) -> int:
    number: int = db.execute("SELECT count(*) FROM alert").fetchone()[0]
    return number


def _forget(db: sqlite3.Connection, before: float) -> None:
    db.execute(f"DELETE FROM alert WHERE {_OLD}", (before,))
    db.execute(
        "DELETE FROM alert WHERE (starts_at, fingerprint) IN ("
        " SELECT starts_at, fingerprint FROM alert ORDER BY starts_at DESC, fingerprint DESC LIMIT -1 OFFSET ?)",
        (KEPT,),
    )


def _encoded(alert: Alert) -> str:
    return msgspec.json.encode(_Texts(_kept(alert.labels), _kept(alert.annotations))).decode()


def _kept(texts: dict[str, str]) -> dict[str, str]:
    listed = list(texts.items())[:TEXTS_KEPT]
    return {name[:CHARACTERS_KEPT]: value[:CHARACTERS_KEPT] for name, value in listed}


def _decoded(fingerprint: str, starts_at: float, ends_at: float | None, data: str) -> Alert:
    texts = msgspec.json.decode(data, type=_Texts)
    return Alert(
        fingerprint=fingerprint,
        labels=texts.labels,
        annotations=texts.annotations,
        state="firing" if ends_at is None else "resolved",
        starts_at=starts_at,
        ends_at=ends_at,
    )
