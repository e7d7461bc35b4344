"""Connecting stage by stage: libpq's own state machine, driven from the event loop, tells where it stands.

Belongs here: the clock of a check and the way from an address to a session. Does not: what an error means
(``failure``), what is asked once connected (``facts``).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Final

from psycopg import pq

from exporter.connections.failure import CheckError, failure_of
from exporter.connections.results import Stage
from exporter.connections.target import CheckTarget, conninfo
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


class StageClock:
    """Which stage a check is in, and the seconds each stage took. Coming back to a stage adds to it.

    ``address`` is the one that the check last tried to reach.
    """

    def __init__(self) -> None:
        self.address: str | None = None
        self.seconds: dict[Stage, float] = {}
        self.current: Stage | None = None
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

    @property
    def total(self) -> float:
        """The seconds of all stages."""
        return sum(self.seconds.values())


async def connect(
    target: CheckTarget,
    login: Credentials,
    addresses: Sequence[str | None],
    clock: StageClock,
    deadline: float,
) -> pq.abc.PGconn:
    """A session with the first of ``addresses`` that takes a TCP connection.

    ``deadline`` is on the loop's clock and kept by the caller; while there are addresses left, each gets an
    equal share of the time. A server that was reached has the last word: the next address is not asked for
    another one. Raises CheckError, in the stage the clock shows; the connection is closed then, as on
    cancellation.
    """
    loop = asyncio.get_running_loop()
    for left, address in zip(range(len(addresses), 1, -1), addresses, strict=False):
        tcp_deadline = loop.time() + (deadline - loop.time()) / left
        try:
            return await _connect_to(target, login, address, clock, tcp_deadline)
        except CheckError:
            if clock.current != "tcp":
                raise
    return await _connect_to(target, login, addresses[-1], clock, None)


async def _connect_to(
    target: CheckTarget,
    login: Credentials,
    address: str | None,
    clock: StageClock,
    tcp_deadline: float | None,
) -> pq.abc.PGconn:
    clock.enter("tcp")
    clock.address = address
    pgconn = pq.PGconn.connect_start(conninfo(target, login, address))
    try:
        show_sqlstates(pgconn)
        async with asyncio.timeout_at(tcp_deadline) as limit:
            await _poll(pgconn, target, clock, limit)
    except BaseException as error:
        pgconn.finish()
        if isinstance(error, TimeoutError):
            raise CheckError("timeout", f"no answer from {address}") from error
        raise
    return pgconn


async def _poll(pgconn: pq.abc.PGconn, target: CheckTarget, clock: StageClock, limit: asyncio.Timeout) -> None:
    """Take the connection to its end; ``limit`` is lifted once there is one. Raises CheckError."""
    state = pq.PollingStatus.WRITING  # what PQconnectStart asks for, and failed ones are told by PQstatus
    while True:
        if pgconn.status == pq.ConnStatus.BAD:
            text = pgconn.error_message.decode("utf-8", "replace")
            raise failure_of(clock.current or "tcp", text)
        _follow(pgconn.status, target, clock)
        if state == pq.PollingStatus.OK:
            return
        if clock.current != "tcp":
            limit.reschedule(None)
        await wait_ready(pgconn.socket, write=state == pq.PollingStatus.WRITING)
        state = pq.PollingStatus(pgconn.connect_poll())


def _follow(status: int, target: CheckTarget, clock: StageClock) -> None:
    if status == pq.ConnStatus.MADE:  # connected just now, or done with TLS
        clock.enter("tls" if clock.current == "tcp" and target.tries_tls_first else "auth")
    elif stage := _WAITING_FOR.get(status):
        clock.enter(stage)
