"""A scheduler at work in the native schema: jobs are queued, taken, end, recur; workers give signs of life."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import psycopg

_FILL: Final = Path(__file__).with_name("fill.sql").read_bytes()
_TURN: Final = Path(__file__).with_name("turn.sql").read_bytes()


def fill(connection: psycopg.Connection[Any]) -> None:
    """What is there before the sidecar starts."""
    connection.execute(_FILL)


def turn(connection: psycopg.Connection[Any]) -> None:
    """What happens within 0.4 s."""
    connection.execute(_TURN)


def finished(connection: psycopg.Connection[Any]) -> int:
    """How many executions have ended."""
    row = connection.execute("SELECT count(*) FROM executions WHERE completed_at IS NOT NULL").fetchone()
    assert row is not None
    return int(row[0])
