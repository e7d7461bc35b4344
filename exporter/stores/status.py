"""A store's ``connection_status`` table: the one table that the exporter writes, where it was told to.

Belongs here: finding the table, what the role may, the upsert. Does not: which results there are (``Directory``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from exporter.directory import ConnectionStatus
from exporter.errors import StoreError
from exporter.stores.queries import WHOLE, quoted
from exporter.stores.session import Transaction
from exporter.stores.sql import statement

_KEY: Final = "connection_id"
_REQUIRED: Final = (_KEY, "is_healthy")
#: The columns that are written where the table has them, and the type in which each is handed over.
_GIVEN: Final = {
    _KEY: "text",
    "is_healthy": "boolean",
    "last_check": "float8",
    "response_time_ms": "float8",
    "server_version": "text",
    "error_message": "text",
    "failed_stage": "text",
}


class _Column(msgspec.Struct, frozen=True):
    name: str
    type: str
    may_select: bool
    may_write: bool
    is_unique: bool

    def cast(self) -> str:
        """The expression that makes this column's value of the one given in row ``g``."""
        given = f"g.{self.name}"
        if self.name == "last_check" and self.type.startswith("timestamp"):
            moment = f"to_timestamp({given})"
            return moment if self.type.endswith("with time zone") else f"({moment} AT TIME ZONE 'UTC')"
        if self.name == "response_time_ms" and self.type in WHOLE:
            return f"round({given})::{self.type}"
        return f"{given}::{self.type}"


class StatusTable:
    """Writes the results of checks into one store, those that it has not written yet. One user at a time.

    ``relation`` is the table as the profile writes it.
    """

    def __init__(self, relation: str) -> None:
        self._relation = relation
        self._sql: str | None = None
        self._columns: list[str] = []
        self._written: dict[int | str, float] = {}

    def unwritten(self, checked: Sequence[ConnectionStatus]) -> list[ConnectionStatus]:
        """Those of ``checked`` that the table does not have."""
        known = {status.connection_id for status in checked}
        self._written = {key: at for key, at in self._written.items() if key in known}
        fresh = [status for status in checked if self._written.get(status.connection_id) != status.last_check]
        # Always in one order: two exporters that write the same rows must not wait for each other in a circle.
        return sorted(fresh, key=lambda status: str(status.connection_id))

    @property
    def ready(self) -> bool:
        """Whether the table is known and may be written."""
        return self._sql is not None

    async def prepare(self, transaction: Transaction) -> None:
        """Look at the table. Raises StoreError that says what keeps us from writing."""
        rows = await transaction.fetch("connection_status", statement("status_columns"), self._relation)
        found = {row[0]: _Column(*row[:5]) for row in rows}
        if problem := self._problem(found, standby=bool(rows) and rows[0][5], role=rows[0][6] if rows else ""):
            raise StoreError(f"results of checks are not written: {problem}")
        self._columns = [name for name in _GIVEN if name in found]
        self._sql = self._upsert(found)

    async def write(self, transaction: Transaction, statuses: Sequence[ConnectionStatus]) -> None:
        """Write ``statuses`` in one statement; ``done`` makes them known as written once that is committed."""
        assert self._sql is not None, "prepare first"  # noqa: S101 - an order of calls
        rows = [_row(status) for status in statuses]
        try:
            # What is lost when the server crashes is written again moments later.
            await transaction.run("connection_status", "SET LOCAL synchronous_commit = off")
            await transaction.run(
                "connection_status", self._sql, *([row[name] for row in rows] for name in self._columns)
            )
        except StoreError:
            self._sql = None  # the table may be another one by now
            raise

    def done(self, statuses: Sequence[ConnectionStatus]) -> None:
        """The transaction that wrote ``statuses`` is committed."""
        self._written.update({status.connection_id: status.last_check for status in statuses})

    def _problem(self, found: dict[str, _Column], *, standby: bool, role: str) -> str | None:
        relation = self._relation
        if not found:
            return f"there is no table {relation} (`scheduler-exporter schema` prints one)"
        if lacking := [name for name in _REQUIRED if name not in found]:
            return f"{relation} has no column {', '.join(lacking)}; it has: {', '.join(found)}"
        if standby:
            return "the server is a standby"
        columns = [found[name] for name in _GIVEN if name in found]
        reads = [column for column in columns if column.name in (_KEY, "last_check")]
        wanted = [right for right, lacks in (
            ("SELECT", any(not c.may_select for c in reads)),
            ("INSERT, UPDATE", any(not c.may_write for c in columns)),
        ) if lacks]  # fmt: skip
        if wanted:
            granted = f"GRANT {', '.join(wanted)} ON {relation} TO {quoted(role)};"
            return f"the role {role} may not write {relation}. Run: {granted}"
        if not found[_KEY].is_unique:
            return f"{relation} may hold a connection twice. Run: CREATE UNIQUE INDEX ON {relation} ({_KEY});"
        return None

    def _upsert(self, found: dict[str, _Column]) -> str:
        names = self._columns
        arrays = ", ".join(f"${n}::{_GIVEN[name]}[]" for n, name in enumerate(names, 1))
        values = ", ".join(found[name].cast() for name in names)
        changes = ", ".join(f"{name} = EXCLUDED.{name}" for name in names if name != _KEY)
        # Another exporter's newer result stays.
        newer = " WHERE (s.last_check <= EXCLUDED.last_check) IS NOT FALSE" if "last_check" in names else ""
        return (
            f"INSERT INTO {self._relation} AS s ({', '.join(names)})"
            f" SELECT {values} FROM unnest({arrays}) AS g ({', '.join(names)})"
            f" ON CONFLICT ({_KEY}) DO UPDATE SET {changes}{newer}"
        )


def _row(status: ConnectionStatus) -> dict[str, object]:
    return {
        _KEY: str(status.connection_id),
        "is_healthy": status.is_healthy,
        "last_check": status.last_check,
        "response_time_ms": status.response_seconds * 1000,
        "server_version": status.server_version,
        "error_message": status.error_message,
        "failed_stage": status.failed_stage,
    }
