"""A session with a target, and its end: one backend for each target, also while a new session follows an old one.

Belongs here: what is known of an open connection. Does not: how it was opened (``login``), what is asked (``facts``).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from typing import Final

import msgspec
from psycopg import OperationalError, pq

from exporter.connections.results import ServerFacts
from exporter.connections.target import Place
from exporter.credentials import Credentials

#: Seconds that the end of a server's process is waited for; one that takes longer is left to itself.
FAREWELL: Final = 1.0
#: What libpq reports of a server from PostgreSQL 14 on, kept up to date by the server itself; others: nothing.
_READ_ONLY: Final = (b"in_hot_standby", b"default_transaction_read_only")


class Session(msgspec.Struct):
    """An open connection: where it goes, who logged in and when (the loop's clock)."""

    pgconn: pq.abc.PGconn
    place: Place
    credentials: Credentials
    opened_at: float
    #: When a fresh login is due (the loop's clock); it has no meaning for one that is not kept.
    until: float = 0.0

    @property
    def uses_tls(self) -> bool:
        """Whether the connection is encrypted."""
        return bool(self.pgconn.ssl_in_use)

    @property
    def is_open(self) -> bool:
        """Whether the server was heard last time: libpq has not found the connection broken."""
        return bool(self.pgconn.status == pq.ConnStatus.OK)

    def suits(self, facts: ServerFacts) -> bool:
        """Whether the server is still what its place demands: a standby may have been promoted since the login."""
        match self.place.session_attrs:
            case "any" | "prefer-standby":
                return True
            case "primary":
                return facts.role != "replica"
            case "standby":
                return facts.role != "primary"
            case wanted:
                reported = (self.pgconn.parameter_status(name) for name in _READ_ONLY)
                read_only = facts.role == "replica" or b"on" in reported
                return read_only == (wanted == "read-only")

    def give_up_dead_peers(self, seconds: float) -> None:
        """Let the kernel end the connection when what was sent is not even acknowledged for so long (Linux).

        A host that was switched off or replaced answers nothing: the check that finds out still has time to log in.
        """
        option = getattr(socket, "TCP_USER_TIMEOUT", None)
        if option is None or self.place.host.is_socket:
            return
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(self.pgconn.socket)) as shared:
            shared.setsockopt(socket.IPPROTO_TCP, option, max(1, int(seconds * 1000)))

    def finish(self) -> None:
        """Close the connection; the server's process goes in its own time."""
        self.pgconn.finish()

    async def close(self) -> None:
        """Close the connection and wait until the server's process is gone, or for FAREWELL seconds.

        The process holds its end of the socket until it has given its place back: a login that follows is never a
        second backend, and a role with CONNECTION LIMIT 1 has room for it.
        """
        try:
            shared = socket.socket(fileno=os.dup(self.pgconn.socket))
        except (OSError, OperationalError):  # there is no socket any more
            self.finish()
            return
        with shared:
            shared.setblocking(False)
            self.finish()
            with contextlib.suppress(OSError):  # TimeoutError is one
                shared.shutdown(socket.SHUT_WR)
                async with asyncio.timeout(FAREWELL):
                    while await asyncio.get_running_loop().sock_recv(shared, 4096):
                        pass
