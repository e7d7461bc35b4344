"""Connecting stage by stage: libpq's own state machine, driven from the event loop, tells where it stands.

Belongs here: the clock of a check and the way from one place to a connection. Does not: which place is
tried (``login``), what an error means (``failure``), what is asked once connected (``facts``).
"""

from __future__ import annotations

import asyncio
import time
from typing import Final

from psycopg import pq

from exporter.connections.failure import CheckError, failure_of
from exporter.connections.results import Stage
from exporter.connections.target import CheckTarget, Place, conninfo, tries_tls_first
from exporter.credentials import Credentials
from exporter.libpq import show_sqlstates, wait_ready

#: What libpq is waiting for, as a stage. MADE is missing: what follows it depends on how it came to be.
_WAITING_FOR: Final[dict[int, Stage]] = {
    pq.ConnStatus.NEEDED: "tcp",
    pq.ConnStatus.STARTED: "tcp",
    pq.ConnStatus.SSL_STARTUP: "tls",
    pq.ConnStatus.AWAITING_RESPONSE: "auth",
    pq.ConnStatus.AUTHENTICATING: "auth",
    pq.ConnStatus.AUTH_OK: "auth",
}


#: Who is named to libpq, which wants a name, where nobody logs in.
NOBODY: Final = Credentials("nobody", None)


class StageClock:
    """Which stage a check is in, and the seconds each stage took. Coming back to a stage adds to it.

    ``place`` is the one that the check last tried to reach.
    """

    def __init__(self) -> None:
        self.place: Place | None = None
        self.seconds: dict[Stage, float] = {}
        self.current: Stage | None = None
        self._before = 0.0
        self._since = time.perf_counter()

    def enter(self, stage: Stage) -> None:
        """The check goes on to ``stage``."""
        if stage != self.current:
            self.stop()
            self.current = stage
            self.seconds.setdefault(stage, 0.0)

    def stop(self) -> None:
        """Count the time up to now for the current stage, which stays the current one."""
        now = time.perf_counter()
        if self.current is not None:
            self.seconds[self.current] += now - self._since
        self._since = now

    def begin_again(self) -> None:
        """The check goes back to the first stage: the seconds so far are in the total alone."""
        self.stop()
        self._before += sum(self.seconds.values())
        self.seconds, self.current = {}, None

    @property
    def total(self) -> float:
        """The seconds of all stages, and of what was begun in vain."""
        return self._before + sum(self.seconds.values())


async def connect_to(
    target: CheckTarget, login: Credentials | None, place: Place, clock: StageClock, tcp_deadline: float | None
) -> pq.abc.PGconn:
    """A connection to ``place`` that is logged in; a TCP connection must be there by ``tcp_deadline`` (loop's clock).

    Without a ``login`` it is no more than a TCP connection, on which nothing has been said.

    Raises CheckError, in the stage the clock shows; the connection is closed then, as on cancellation.
    """
    clock.enter("tcp")
    clock.place = place
    pgconn = pq.PGconn.connect_start(conninfo(target, login or NOBODY, place))
    try:
        show_sqlstates(pgconn)
        async with asyncio.timeout_at(tcp_deadline) as limit:
            await _poll(pgconn, tries_tls_first(target, place.host), clock, limit, reach_only=login is None)
    except BaseException as error:
        pgconn.finish()
        if isinstance(error, TimeoutError):
            raise CheckError("timeout", f"no answer from {place.address}") from error
        raise
    return pgconn


async def _poll(
    pgconn: pq.abc.PGconn, tls_first: bool, clock: StageClock, limit: asyncio.Timeout, *, reach_only: bool
) -> None:
    """Take the connection to its end; ``limit`` is lifted once there is one. Raises CheckError."""
    state = pq.PollingStatus.WRITING  # what PQconnectStart asks for, and failed ones are told by PQstatus
    while True:
        if pgconn.status == pq.ConnStatus.BAD:
            text = pgconn.error_message.decode("utf-8", "replace")
            raise failure_of(clock.current or "tcp", text)
        if reach_only and pgconn.status == pq.ConnStatus.MADE:
            return
        _follow(pgconn.status, tls_first, clock)
        if state == pq.PollingStatus.OK:
            return
        if clock.current != "tcp":
            limit.reschedule(None)
        await wait_ready(pgconn.socket, write=state == pq.PollingStatus.WRITING)
        state = pq.PollingStatus(pgconn.connect_poll())


def _follow(status: int, tls_first: bool, clock: StageClock) -> None:
    if status == pq.ConnStatus.MADE:  # connected just now, or done with TLS
        clock.enter("tls" if clock.current == "tcp" and tls_first else "auth")
    elif stage := _WAITING_FOR.get(status):
        clock.enter(stage)
