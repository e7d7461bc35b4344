"""What is done by hand on a bare libpq connection: error verbosity, waiting, simple queries."""

from __future__ import annotations

import asyncio
import ctypes
import functools
import importlib
from collections.abc import Callable
from typing import Any, Final, cast

from psycopg import pq

_PQERRORS_VERBOSE: Final = 2
#: The module of each of psycopg's implementations that is linked to the libpq in use.
_LINKED: Final = {"binary": "psycopg_binary.pq", "c": "psycopg_c.pq"}


@functools.cache
def _function(name: str, result: type[Any] | None, *arguments: type[Any]) -> Callable[..., Any] | None:
    """A function of the very libpq that psycopg uses, or of its OpenSSL; None where it cannot be found.

    The symbol is looked up through psycopg's own shared object, which finds it among that object's
    dependencies: no guess at a library's name, and never a second libpq in the process.
    """
    try:
        path = importlib.import_module(_LINKED[pq.__impl__]).__file__
        function = getattr(ctypes.CDLL(path), name)
    except (KeyError, ImportError, OSError, AttributeError):
        return None
    function.argtypes, function.restype = arguments, result
    return cast("Callable[..., Any]", function)


def show_sqlstates(pgconn: pq.abc.PGconn) -> None:
    """Make libpq put SQLSTATEs into the errors of a connection that is being made.

    Such errors come as text in the server's language, with no code beside it. psycopg has no call for this;
    without it a failure is told apart by its English text.
    """
    function = _function("PQsetErrorVerbosity", ctypes.c_int, ctypes.c_void_p, ctypes.c_int)
    address = getattr(pgconn, "pgconn_ptr", None)
    if function and address:
        function(address, _PQERRORS_VERBOSE)


def peer_certificate(pgconn: pq.abc.PGconn) -> bytes | None:
    """The server's certificate (DER) of a connection over TLS, None where there is none, or no way to it.

    libpq gives away OpenSSL's own structure of a connection (PQsslStruct), and psycopg has no call for that.
    """
    pointer = ctypes.c_void_p
    structure = _function("PQsslStruct", pointer, pointer, ctypes.c_char_p)
    certificate_of = _function("SSL_get1_peer_certificate", pointer, pointer)
    encode = _function("i2d_X509", ctypes.c_int, pointer, pointer)
    free = _function("X509_free", None, pointer)
    address = getattr(pgconn, "pgconn_ptr", None)
    if not (structure and certificate_of and encode and free and address):
        return None
    tls = structure(address, b"OpenSSL")
    certificate = certificate_of(tls) if tls else None
    if not certificate:
        return None
    try:
        buffer = ctypes.create_string_buffer(max(1, encode(certificate, None)))
        end = pointer(ctypes.addressof(buffer))  # moved behind what is written
        return buffer.raw if encode(certificate, ctypes.byref(end)) == len(buffer) else None
    finally:
        free(certificate)


def _wake(ready: asyncio.Future[None]) -> None:
    if not ready.done():  # the loop calls for as long as nobody has removed it
        ready.set_result(None)


async def wait_ready(fd: int, *, write: bool) -> None:
    """Wait until ``fd`` can be read from, or written to. Never keep ``fd``: libpq changes sockets."""
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    if write:
        loop.add_writer(fd, _wake, ready)
    else:
        loop.add_reader(fd, _wake, ready)
    try:
        await ready
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
