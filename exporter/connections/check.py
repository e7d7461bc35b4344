"""One check of one target, from its credentials to its facts, within one deadline.

Belongs here: the order of the stages, and what a target's checker remembers from check to check. Does not:
when to check and what to do with the result (``manager``).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import structlog

from exporter.config.secrets import REDACTED
from exporter.connections.facts import SizeBudget, read_facts
from exporter.connections.failure import CheckError, first_line
from exporter.connections.resolve import Resolver
from exporter.connections.results import CheckResult, ServerFacts
from exporter.connections.stages import StageClock, connect
from exporter.connections.target import CheckTarget, has_nul
from exporter.connections.tls_expiry import fetch_expiry
from exporter.credentials import Credentials, CredentialsError

log = structlog.get_logger(component="connections")

#: Seconds until a certificate's end is read again: once it is known, and while it is not, or the TLS stage
#: fails.
EXPIRY_INTERVAL: Final = 3600.0
EXPIRY_RETRY: Final = 300.0


@dataclass(slots=True)
class _Attempt:
    """What one check has come to know on its way."""

    clock: StageClock
    deadline: float
    login: Credentials | None = None
    uses_tls: bool = False
    facts: ServerFacts | None = None

    def remaining(self) -> float:
        """The seconds left."""
        return max(0.0, self.deadline - asyncio.get_running_loop().time())


class Checker:
    """Checks one target, one check at a time (the caller sees to that). ``wall_clock`` gives Unix seconds."""

    def __init__(self, target: CheckTarget, resolver: Resolver, wall_clock: Callable[[], float] = time.time) -> None:
        self.target = target
        self._resolver = resolver
        self._wall_clock = wall_clock
        self._size = SizeBudget()
        self._expiry: float | None = None
        self._expiry_next = 0.0

    async def check(self, timeout: float) -> CheckResult:
        """Check within ``timeout`` seconds. What the target does wrong is in the result, never raised.

        One connection is open at a time, and none on return or cancellation.
        """
        clock = StageClock()
        attempt = _Attempt(clock, asyncio.get_running_loop().time() + timeout)
        failure: CheckError | None = None
        try:
            async with asyncio.timeout_at(attempt.deadline):
                await self._run(attempt)
        except CheckError as caught:
            failure = caught
        except TimeoutError:
            failure = CheckError("timeout", f"no answer within {timeout:g} s")
        clock.stop()
        result = CheckResult(
            result=failure.result if failure else "ok",
            finished_at=self._wall_clock(),
            response_seconds=clock.total,
            stages=clock.seconds,
            failed_stage=clock.current if failure else None,
            error_message=_without_password(failure.message, attempt.login) if failure else None,
            sqlstate=failure.sqlstate if failure else None,
            facts=attempt.facts,
        )
        await self._learn_expiry(attempt, result, timeout)
        return replace(result, tls_expiry=self._expiry)

    async def _run(self, attempt: _Attempt) -> None:
        """All stages. Raises CheckError."""
        clock = attempt.clock
        login = attempt.login = await self._credentials(clock)
        if has_nul(self.target, login):
            raise CheckError("other", "a parameter of the connection holds a NUL character")
        addresses = await self._addresses(clock)
        pgconn = await connect(self.target, login, addresses, clock, attempt.deadline)
        try:
            attempt.uses_tls = pgconn.ssl_in_use
            clock.enter("query")
            attempt.facts = await read_facts(pgconn, attempt.remaining, self._size)
        finally:
            pgconn.finish()

    async def _credentials(self, clock: StageClock) -> Credentials:
        if self.target.credentials is None:
            return self.target.login
        clock.enter("vault")
        try:
            return await self.target.credentials.current()
        except CredentialsError as error:
            raise CheckError("vault", first_line(str(error))) from error

    async def _addresses(self, clock: StageClock) -> tuple[str | None, ...]:
        if self.target.is_socket:
            return (None,)
        if literal := self.target.literal_address:
            return (literal,)
        clock.enter("dns")
        try:
            addresses = await self._resolver.resolve(self.target.host)
        except (OSError, UnicodeError) as error:  # UnicodeError: no name at all, a label is empty or too long
            reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
            raise CheckError("dns", first_line(f"{self.target.host}: {reason}")) from error
        if not addresses:
            raise CheckError("dns", f"{self.target.host} has no address")
        return addresses

    async def _learn_expiry(self, attempt: _Attempt, result: CheckResult, timeout: float) -> None:
        """Read the certificate's end where there is one, seldom; the last known one stays when that fails."""
        if result.is_healthy and not attempt.uses_tls:
            self._expiry = None
        refused = result.result == "tls" and result.failed_stage == "tls"
        address, now = attempt.clock.address, time.monotonic()
        if address is None or not (attempt.uses_tls or refused) or now < self._expiry_next:
            return
        self._expiry_next = now + EXPIRY_RETRY
        server_name = None if self.target.literal_address else self.target.host
        try:
            async with asyncio.timeout(timeout):
                self._expiry = await fetch_expiry(address, self.target.port, server_name)
        except (OSError, EOFError, ValueError) as error:  # TimeoutError and SSLError are OSErrors
            log.debug("certificate not read", target=self.target.name, error=first_line(str(error)))
        else:
            if self._expiry is not None:
                self._expiry_next = now + EXPIRY_INTERVAL


def _without_password(text: str, login: Credentials | None) -> str:
    """``text`` for everybody's eyes. No known server repeats a password; this one might be the first."""
    password = login.password.reveal() if login and login.password else ""
    return text.replace(password, REDACTED) if password else text
