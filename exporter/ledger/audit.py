"""The audit trail: who did what. In the log at once, in the state file as soon as that can be written."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections import deque
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import msgspec
import structlog

from exporter.domain import AuditEntry
from exporter.errors import StateUnavailable
from exporter.ledger.ledger import Ledger

log = structlog.get_logger(component="audit", category="audit")

#: At most so many rows are kept, the latest ones; of refusals, which anybody can cause, a part of them.
KEPT: Final = 50_000
REFUSALS_KEPT: Final = 10_000
#: Entries that wait for the state file; the oldest give way, and the log has them.
WAITING: Final = 1_000
#: Seconds within which equal refusals become one row.
TOGETHER: Final = 60.0
#: Seconds between two writes of what nobody waits for.
PAUSE: Final = 1.0


class AuditTrail:
    """``record`` never fails and never waits; ``kept`` waits for the state file. ``run`` writes what was recorded."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._waiting: deque[AuditEntry] = deque(maxlen=WAITING)
        self._writing = asyncio.Lock()

    def record(self, entry: AuditEntry) -> None:
        """Log ``entry``, and have it kept."""
        told = msgspec.structs.asdict(_Data.of(entry)) | {"action": entry.action, "actor": entry.actor}
        say = log.info if entry.result == "success" else log.warning
        # The specification's keys, and those that the trail has.
        told |= {"operation": entry.action, "user_id": entry.actor}
        say("audit", result=entry.result, **{name: value for name, value in told.items() if value is not None})
        self._waiting.append(entry)

    async def kept(self, entry: AuditEntry) -> None:
        """Log ``entry``, and return once it is in the state file; or at once where that cannot be: the log has it."""
        self.record(entry)
        await self._flush()

    async def done(self, actor: str, since: float) -> list[tuple[float, str | None]]:
        """When ``actor`` did something after ``since`` (Unix seconds), and to what, the oldest first; no refusals.

        StateUnavailable when that cannot be told.
        """
        await self._flush()

        def read(db: sqlite3.Connection) -> list[tuple[float, str | None]]:
            rows = db.execute(
                "SELECT at, data FROM audit WHERE actor = ? AND at > ? AND result <> 'refused' ORDER BY id",
                (actor, since),
            )
            return [(at, msgspec.json.decode(data, type=_Data).target) for at, data in rows]

        if self._waiting:
            raise StateUnavailable("the audit trail cannot be written at present")
        return await self._ledger.read(read)

    async def run(self) -> None:
        """Write what was recorded, for ever; what is left at the end too."""
        try:
            while True:
                await asyncio.sleep(PAUSE)
                await self._flush()
        finally:
            await self._flush()

    async def _flush(self) -> None:
        async with self._writing:
            entries = list(self._waiting)
            if not entries:
                return
            try:
                await self._ledger.write(lambda db: _write(db, entries, time.time() - self._ledger.retention.audit))
            except StateUnavailable:
                return  # they wait
            for entry in entries:
                if self._waiting and self._waiting[0] is entry:  # else it has given way meanwhile
                    self._waiting.popleft()


class _Data(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is only read whole."""

    target: str | None = None
    request_id: str | None = None
    client: str | None = None
    detail: str | None = None

    @classmethod
    def of(cls, entry: AuditEntry) -> _Data:
        return cls(target=entry.target, request_id=entry.request_id, client=entry.client, detail=entry.detail)


class _Row(NamedTuple):
    id: int
    data: str


def _write(db: sqlite3.Connection, entries: Sequence[AuditEntry], before: float) -> None:
    for entry in entries:
        same = _same(db, entry) if entry.result == "refused" else None
        if same is not None:
            db.execute("UPDATE audit SET last_at = ?, times = times + 1 WHERE id = ?", (entry.at, same))
        else:
            data = msgspec.json.encode(_Data.of(entry)).decode()
            db.execute(
                "INSERT INTO audit (at, last_at, times, action, actor, result, data) VALUES (?, ?, 1, ?, ?, ?, ?)",
                (entry.at, entry.at, entry.action, entry.actor, entry.result, data),
            )
    db.execute("DELETE FROM audit WHERE last_at < ?", (before,))
    for which, number in (("result = 'refused'", REFUSALS_KEPT), ("true", KEPT)):
        db.execute(
            f"DELETE FROM audit WHERE {which} AND id <= ("
            f" SELECT id FROM audit WHERE {which} ORDER BY id DESC LIMIT 1 OFFSET ?)",
            (number,),
        )


def _same(db: sqlite3.Connection, entry: AuditEntry) -> int | None:
    """The row of an equal refusal, by the same client, a moment ago."""
    rows: list[Any] = db.execute(
        "SELECT id, data FROM audit WHERE at >= ? AND action = ? AND actor = ? AND result = 'refused'"
        " ORDER BY id DESC LIMIT 20",
        (entry.at - TOGETHER, entry.action, entry.actor),
    ).fetchall()
    for row in map(_Row._make, rows):
        data = msgspec.json.decode(row.data, type=_Data)
        if (data.client, data.target) == (entry.client, entry.target):
            return row.id
    return None
