"""Plain questions to a scheduler's tables: rows by name, times as Unix seconds."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import psycopg
from psycopg.rows import dict_row


class Database:
    """One snapshot of a scheduler's database: all that is asked of it is of one moment."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        self._cursor = connection.cursor(row_factory=dict_row)

    def rows(self, sql: str) -> list[dict[str, Any]]:
        """What ``sql`` gives. A time without a zone is one of UTC."""
        found = self._cursor.execute(sql).fetchall()
        return [{name: _plain(value) for name, value in row.items()} for row in found]

    def now(self) -> float:
        """The server's clock."""
        [row] = self.rows("SELECT clock_timestamp() AS now")
        now: float = row["now"]
        return now


def _plain(value: object) -> object:
    if not isinstance(value, datetime):
        return value
    return (value if value.tzinfo is not None else value.replace(tzinfo=UTC)).timestamp()
