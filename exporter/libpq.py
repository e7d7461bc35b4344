"""What is done by hand on a bare libpq connection: error verbosity, waiting, simple queries."""

from __future__ import annotations

import asyncio
import ctypes
import functools
import importlib
from collections.abc import Callable
from typing import Final

from psycopg import pq

_PQERRORS_VERBOSE: Final = 2
#: The module of each of psycopg's implementations that is linked to the libpq in use.
_LINKED: Final = {"binary": "psycopg_binary.pq", "c": "psycopg_c.pq"}


@functools.cache
def _set_error_verbosity() -> Callable[[int, int], int] | None:
    """PQsetErrorVerbosity of the very libpq that psycopg uses, None where it cannot be found.

    The symbol is looked up through psycopg's own shared object, which finds it among that object's
    dependencies: no guess at a library's name, and never a second libpq in the process.
    """
    try:
        path = importlib.import_module(_LINKED[pq.__impl__]).__file__
        function = ctypes.CDLL(path).PQsetErrorVerbosity
    except (KeyError, ImportError, OSError, AttributeError):
        return None
    function.argtypes = (ctypes.c_void_p, ctypes.c_int)
    function.restype = ctypes.c_int
    return function


def show_sqlstates(pgconn: pq.abc.PGconn) -> None:
    """Make libpq put SQLSTATEs into the errors of a connection that is being made.

    Such errors come as text in the server's language, with no code beside it. psycopg has no call for this;
    without it a failure is told apart by its English text.
    """
    function, address = _set_error_verbosity(), getattr(pgconn, "pgconn_ptr", None)
    if function and address:
        function(address, _PQERRORS_VERBOSE)


async def wait_ready(fd: int, *, write: bool) -> None:
    """Wait until ``fd`` can be read from, or written to. Never keep ``fd``: libpq changes sockets."""
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    if write:
        loop.add_writer(fd, ready.set)
    else:
        loop.add_reader(fd, ready.set)
    try:
        await ready.wait()
    finally:
        if write:
            loop.remove_writer(fd)
        else:
            loop.remove_reader(fd)


async def simple_query(pgconn: pq.abc.PGconn, sql: bytes) -> list[pq.abc.PGresult]:
    """The results of every statement in ``sql``, up to the first that failed, which is the last one then.

    One message and one answer, without prepared statements: what PgBouncer passes on in every mode. Raises
    psycopg.OperationalError when the connection is lost.
    """
    pgconn.nonblocking = 1
    pgconn.send_query(sql)
    while pgconn.flush():
        await wait_ready(pgconn.socket, write=True)
    results: list[pq.abc.PGresult] = []
    while True:
        while pgconn.is_busy():
            await wait_ready(pgconn.socket, write=False)
            pgconn.consume_input()
        result = pgconn.get_result()
        if result is None:
            return results
        results.append(result)


def rows(results: list[pq.abc.PGresult]) -> dict[str, str | None]:
    """The columns of all rows in ``results`` by name, as text; each statement gives one row at most."""
    found: dict[str, str | None] = {}
    for result in results:
        for row in range(result.ntuples):
            for column in range(result.nfields):
                value = result.get_value(row, column)
                name = (result.fname(column) or b"").decode()
                found[name] = None if value is None else value.decode("utf-8", "replace")
    return found


def error_of(results: list[pq.abc.PGresult]) -> tuple[str, str] | None:
    """The SQLSTATE and the text of the statement that failed, None when all went well."""
    for result in results:
        if result.status == pq.ExecStatus.FATAL_ERROR:
            state = result.error_field(pq.DiagnosticField.SQLSTATE) or b""
            text = result.error_field(pq.DiagnosticField.MESSAGE_PRIMARY) or result.error_message
            return state.decode("ascii", "replace"), text.decode("utf-8", "replace")
    return None
