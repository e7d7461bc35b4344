"""Opening a connection to a store: psycopg's way through hosts and addresses, with errors that carry their codes.

Belongs here: from libpq's parameters to a connection, and what is said when there is none. Does not: where the
parameters come from (``credentials``), what is asked once connected (``session``).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import socket
from collections.abc import Generator, Mapping
from typing import Any, Final

import psycopg
from psycopg import pq, waiting
from psycopg.raw_cursor import AsyncRawCursor

from exporter.config.secrets import REDACTED
from exporter.credentials import REFUSED
from exporter.errors import StoreUnavailable
from exporter.libpq import show_sqlstates
from exporter.logs import without_secrets

Row = tuple[Any, ...]
#: Seconds for a cancel request; a server that does not take it in time is not waited for.
CANCEL_SECONDS: Final = 1.0
#: Seconds that psycopg grants one address at least.
_LEAST_SHARE: Final = 2
#: libpq's verbose form is "SEVERITY:  SQLSTATE: text"; the severity is in the server's language.
_SQLSTATE: Final = re.compile(r":  ([0-9A-Z]{5}): ")
# Where there are no codes (a libpq that has no call for them) the English texts have to do, as they have to with
# PgBouncer, which calls nearly everything 08P01.
_POOLER: Final = "08P01"
_WRONG: Final = re.compile(r":  (?:28P01: |(?:08P01: )?password authentication failed)")
_REFUSED: Final = re.compile(r"authentication failed|no such user|no pg_hba\.conf entry")


class LoginRefused(StoreUnavailable):
    """The server does not take these credentials."""


class _WrongPassword(Exception):
    """No psycopg.Error, so that psycopg does not go on to the next address with the same password."""


class Connection(psycopg.AsyncConnection[Row]):
    """Says why it cannot be opened, and leaves a server that does not answer.

    When its task is cancelled psycopg asks the server to cancel the statement, for 5 s, then waits for 5 s more: too
    long for a deadline, and for SIGTERM.
    """

    @classmethod
    def _connect_gen(cls, conninfo: str = "", **_: Any) -> Generator[tuple[int, waiting.Wait], Any, Connection]:
        """As psycopg's own, whose errors have neither a code nor a language that is known."""
        pgconn = pq.PGconn.connect_start(conninfo.encode())
        try:
            show_sqlstates(pgconn)
            state = pq.PollingStatus.WRITING
            while state != pq.PollingStatus.OK:
                if pgconn.status == pq.ConnStatus.BAD or state == pq.PollingStatus.FAILED:
                    raise psycopg.OperationalError(_text(pgconn))
                wait = waiting.Wait.R if state == pq.PollingStatus.READING else waiting.Wait.W
                while not (yield pgconn.socket, wait):
                    pass
                state = pq.PollingStatus(pgconn.connect_poll())
                # With sslmode prefer libpq would try the same password a second time, without TLS.
                if _WRONG.search(text := _text(pgconn)):
                    raise _WrongPassword(text)
        except BaseException:
            pgconn.finish()
            raise
        pgconn.nonblocking = 1
        return cls(pgconn)

    async def _try_cancel(self, *, timeout: float = CANCEL_SECONDS) -> None:
        try:
            await self.cancel_safe(timeout=min(timeout, CANCEL_SECONDS))
        except psycopg.Error:
            # Not closed, which would leave psycopg waiting on a descriptor that may be another's soon: it reads an end.
            with contextlib.suppress(OSError), socket.socket(fileno=os.dup(self.fileno())) as shared:
                shared.shutdown(socket.SHUT_RDWR)


async def connect(parameters: Mapping[str, Any], timeout: float) -> Connection:
    """A connection with libpq's ``parameters`` within ``timeout`` seconds, which several hosts share.

    Raises StoreUnavailable; LoginRefused for credentials that are not taken.
    """
    hosts = str(parameters.get("host") or parameters.get("hostaddr") or "").count(",") + 1
    share = str(max(_LEAST_SHARE, int(timeout / hosts)))
    try:
        async with asyncio.timeout(timeout):
            return await Connection.connect(
                # Texts, whatever the database's encoding: one without (SQL_ASCII) would give bytes.
                **{"connect_timeout": share, **parameters, "client_encoding": "utf8"},
                autocommit=True,
                prepare_threshold=None,
                cursor_factory=AsyncRawCursor,
            )
    except TimeoutError as error:
        raise StoreUnavailable(f"no connection within {timeout:g} s") from error
    except (psycopg.Error, _WrongPassword) as error:
        text = str(error)
        kind = LoginRefused if _refuses(text) else StoreUnavailable
        raise kind(f"no connection: {_told(text, parameters.get('password'))}") from None


def _text(pgconn: pq.abc.PGconn) -> str:
    return pgconn.error_message.decode("utf-8", "replace")


def _codes(text: str) -> list[str]:
    return _SQLSTATE.findall(text)


def _refuses(text: str) -> bool:
    codes = set(_codes(text)) - {_POOLER}
    return bool(REFUSED & codes) or (not codes and _REFUSED.search(text) is not None)


def _told(text: str, password: str | None) -> str:
    """libpq's text on one line, its codes at the end, without the password."""
    codes = ", ".join(dict.fromkeys(_codes(text)))
    line = "; ".join(line.strip() for line in _SQLSTATE.sub(": ", text).splitlines() if _says(line))
    if password:
        line = line.replace(password, REDACTED)
    return without_secrets(f"{line} (SQLSTATE {codes})" if codes else line or "the server gave no reason")


def _says(line: str) -> bool:
    """Whether a line is more than a place in the server's source, or the beginning of an attempt that was not made."""
    return bool(line.strip()) and not re.match(r"\w+:  \w+, \w+\.[chly]+:\d+$|.* failed:\s*$", line)
