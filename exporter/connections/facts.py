"""The server facts: a small fixed set, read in a short read-only transaction, each absent where unknown.

Belongs here: which statements are sent, and what their rows mean. The statements themselves are in ``sql/``.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from importlib import resources
from typing import Final, LiteralString

from psycopg import OperationalError, pq

from exporter.connections.failure import failure_of, first_line
from exporter.connections.results import BACKEND_STATES, ServerFacts
from exporter.libpq import error_of, rows, simple_query

Row = dict[str, str | None]

#: A statement's error of these SQLSTATE classes is about that statement: no privilege, no such function (a
#: server that only resembles PostgreSQL), not supported, a file that went away. The fact is absent, and the
#: check goes on.
_ABSENT: Final = ("42", "0A", "58")
#: The size of a database may cost this share of one backend's time at most, and this many seconds at once; it is a
#: round trip of its own, and changes slowly: it is not asked more often than so many seconds apart.
_SIZE_LOAD: Final = 0.01
_SIZE_INTERVAL: Final = 60.0
_SIZE_TIMEOUT: Final = 1.0


def _sql(name: str) -> LiteralString:
    text = resources.files("exporter.connections").joinpath("sql", f"{name}.sql").read_text()
    return "\n".join(line for line in text.splitlines() if not line.startswith("--"))


_SERVER: Final = _sql("server")
_FACTS: Final = (_sql("backends"), _sql("replication"), _sql("database"))
_SIZE: Final = _sql("size")


class SizeBudget:
    """When a database may be asked for its size again; until then the last answer holds.

    A size that took d seconds is asked again after 100 d, at least a minute: every two minutes for a database whose
    files take a second to look at.
    """

    def __init__(self) -> None:
        self.last: int | None = None
        self._next = 0.0

    @property
    def due(self) -> bool:
        """Whether to ask now."""
        return time.monotonic() >= self._next

    def learned(self, size: int | None, seconds: float) -> None:
        """An answer (None: not to be had) that took ``seconds``."""
        self.last = size
        self._next = time.monotonic() + max(_SIZE_INTERVAL, seconds / _SIZE_LOAD)


async def read_facts(pgconn: pq.abc.PGconn, remaining: Callable[[], float], size: SizeBudget) -> ServerFacts:
    """The facts of the server behind ``pgconn``; ``remaining`` gives the seconds left, for the server too.

    Raises CheckError when the server cannot be queried. The transaction is over afterwards, so that PgBouncer
    can give its server connection to others.
    """
    found, error = await _ask(pgconn, remaining() * 0.9, _SERVER, *_FACTS)
    if error is not None and error[0].startswith(_ABSENT):
        found = await _one_by_one(pgconn, remaining)
    elif error is not None:
        raise failure_of("query", error[1], error[0])
    if size.due:
        started = time.monotonic()
        answer, _ = await _ask(pgconn, min(_SIZE_TIMEOUT, remaining() / 2), _SIZE)
        size.learned(_int(answer, "database_size"), time.monotonic() - started)
    return _facts(found, size.last)


async def _one_by_one(pgconn: pq.abc.PGconn, remaining: Callable[[], float]) -> Row:
    """Each statement in a transaction of its own, because an error ends the transaction it happens in.

    This is the rare way: privileges on a function are checked even where a CASE would not call it, so that no
    guard within a statement helps against a REVOKE.
    """
    found, error = await _ask(pgconn, remaining() * 0.9, _SERVER)
    if error is not None:
        raise failure_of("query", error[1], error[0])
    for statement in _FACTS:
        row, error = await _ask(pgconn, remaining() * 0.9, statement)
        if error is not None and not error[0].startswith(_ABSENT):
            raise failure_of("query", error[1], error[0])
        found |= row
    return found


async def _ask(pgconn: pq.abc.PGconn, timeout: float, *statements: LiteralString) -> tuple[Row, tuple[str, str] | None]:
    """The row of ``statements`` (one each), sent as one message, and the error that ended them, if any.

    The settings are local to the transaction, as PgBouncer's transaction mode demands; the fixed search path
    keeps functions of the same names in other schemas from being called.
    """
    begin = (
        "BEGIN READ ONLY",
        f"SET LOCAL statement_timeout = {max(1, int(timeout * 1000))}",
        "SET LOCAL search_path = pg_catalog",
    )
    try:
        results = await simple_query(pgconn, ";\n".join((*begin, *statements, "COMMIT")).encode())
        error = error_of(results)
        if error is not None and pgconn.transaction_status == pq.TransactionStatus.INERROR:
            await simple_query(pgconn, b"ROLLBACK")
    except OperationalError as lost:
        raise failure_of("query", first_line(str(lost))) from lost
    return rows(results), error


def hidden(facts: ServerFacts) -> tuple[str, ...]:
    """What the role may not see, as far as one can tell: facts that every server has, and that are not there."""
    names = ["backends", "backends_limit", "database_size", "deadlocks", "transaction_id_age"]
    if facts.role == "replica":
        names.append("replication_lag")
    return tuple(name for name in names if getattr(facts, name) is None)


def _facts(row: Row, size: int | None) -> ServerFacts:
    backends = tuple(_int(row, f"backends_{state}") for state in BACKEND_STATES)
    lag = _float(row, "replication_lag")
    version = _int(row, "server_version_num")
    return ServerFacts(
        server_version=None if version is None else f"{version // 10000}.{version % 10000}",
        role=None if row.get("in_recovery") is None else "replica" if row["in_recovery"] == "t" else "primary",
        backends=None if None in backends else tuple(count or 0 for count in backends),
        backends_limit=_int(row, "backends_limit"),
        oldest_transaction=_float(row, "oldest_transaction"),
        database_size=size,
        replication_lag=None if lag is None else max(0.0, lag),  # the clocks of two servers are never equal
        deadlocks=_int(row, "deadlocks"),
        transaction_id_age=_int(row, "transaction_id_age"),
    )


def _int(row: Row, column: str) -> int | None:
    value = row.get(column)
    return None if value is None else int(value)


def _float(row: Row, column: str) -> float | None:
    value = row.get(column)
    return None if value is None else float(value)
