"""From a target's hosts to a session: names looked up, hosts and addresses tried in order, as libpq would.

libpq itself takes a list of hosts, but looks names up while everything waits, and gives each host all the time there
is. So it is given one place at a time. Belongs here: which place is next. Does not: how one is reached (``stages``).
"""

from __future__ import annotations

import asyncio
from typing import Final

from exporter.config.model import SessionAttrs
from exporter.connections.failure import CheckError, first_line
from exporter.connections.resolve import Resolver
from exporter.connections.session import Session
from exporter.connections.stages import NOBODY, StageClock, connect_to
from exporter.connections.target import CheckTarget, Host, Place
from exporter.credentials import Credentials

#: The server starts or stops, SQLSTATE cannot_connect_now: another host may be ready.
_NOT_READY: Final = "57P03"


async def log_in(
    target: CheckTarget, credentials: Credentials | None, resolver: Resolver, clock: StageClock, deadline: float
) -> Session:
    """A session with the first of the target's hosts that is there, ready and what ``session_attrs`` demands.

    ``deadline`` is on the loop's clock and kept by the caller; while there are hosts left, each gets an equal share of
    the time. A refused login is the last word, as with libpq. Without ``credentials`` the session is a TCP connection
    to the first host that takes one. Raises CheckError; nothing is open then, nor on cancellation.
    """
    loop = asyncio.get_running_loop()
    tries = [(attrs, host) for attrs in _passes(target.session_attrs) for host in target.hosts]
    failures: dict[Host, CheckError] = {}
    for left, (attrs, host) in zip(range(len(tries), 0, -1), tries, strict=True):
        until = loop.time() + (deadline - loop.time()) / left
        try:
            async with asyncio.timeout_at(until if left > 1 else None):
                return await _log_in_at(
                    host, attrs, until, target=target, login=credentials, resolver=resolver, clock=clock
                )
        except TimeoutError:
            error = CheckError("timeout", f"no answer from {host.name}")
        except CheckError as caught:
            error = caught
        error.stage = error.stage or clock.current
        failures[host] = error
        if not _is_next_asked(error):
            break
    raise _summary(failures)


def _passes(attrs: SessionAttrs) -> tuple[SessionAttrs, ...]:
    """What is demanded of all hosts, and once none has it, of all hosts again."""
    return ("standby", "any") if attrs == "prefer-standby" else (attrs,)


def _is_next_asked(error: CheckError) -> bool:
    """Whether libpq would try the next host: nobody was reached, or who was is not ready, or not the right one."""
    return (
        error.stage in ("dns", "tcp") or error.result == "timeout" or error.sqlstate == _NOT_READY or error.is_mismatch
    )


def _summary(failures: dict[Host, CheckError]) -> CheckError:
    """One failure for all hosts: the last that is more than a role not wanted, with the texts of all."""
    errors = list(failures.values())
    telling = [error for error in errors if not error.is_mismatch] or errors
    chosen = telling[-1]
    if len(failures) > 1:
        chosen.message = first_line("; ".join(f"{host.name}: {error.message}" for host, error in failures.items()))
    return chosen


async def _log_in_at(
    host: Host,
    attrs: SessionAttrs,
    deadline: float,
    *,
    target: CheckTarget,
    login: Credentials | None,
    resolver: Resolver,
    clock: StageClock,
) -> Session:
    """A session with the first of the host's addresses that takes a TCP connection.

    A server that was reached has the last word: the next address is not asked for another one.
    """
    loop = asyncio.get_running_loop()
    addresses = await _addresses(host, resolver, clock)
    for left, address in zip(range(len(addresses), 0, -1), addresses, strict=True):
        place = Place(host, address, attrs)
        tcp_deadline = loop.time() + (deadline - loop.time()) / left if left > 1 else None
        try:
            pgconn = await connect_to(target, login, place, clock, tcp_deadline)
        except CheckError:
            if clock.current != "tcp" or left == 1:
                raise
        else:
            return Session(pgconn, place, login or NOBODY, loop.time())
    raise CheckError("dns", f"{host.name} has no address")


async def _addresses(host: Host, resolver: Resolver, clock: StageClock) -> tuple[str | None, ...]:
    if host.is_socket:
        return (None,)
    if literal := host.literal_address:
        return (literal,)
    clock.enter("dns")
    try:
        return await resolver.resolve(host.name)
    except (OSError, UnicodeError) as error:  # UnicodeError: no name at all, a label is empty or too long
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise CheckError("dns", first_line(f"{host.name}: {reason}")) from error
