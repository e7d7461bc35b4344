"""One check of one target, from its credentials to its facts, within one deadline.

Belongs here: the order of the stages, and what a target's checker remembers from check to check, a kept connection
among it. Does not: when to check and what to do with the result (``manager``).
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import random
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

import msgspec
import structlog

from exporter.config.secrets import REDACTED
from exporter.connections.facts import SizeBudget, read_facts
from exporter.connections.failure import CheckError, first_line
from exporter.connections.login import log_in
from exporter.connections.resolve import Resolver
from exporter.connections.results import CheckResult, ServerFacts, Stage
from exporter.connections.session import Session
from exporter.connections.stages import StageClock
from exporter.connections.target import CheckTarget, Place, has_nul
from exporter.connections.tls_expiry import fetch_expiry, not_after
from exporter.credentials import Account, Credentials, CredentialsError, CredentialSource, Fixed
from exporter.libpq import peer_certificate

log = structlog.get_logger(component="connections")

#: Seconds until the end of a certificate that no login shows is read again: once it is known, and while it is not.
EXPIRY_INTERVAL: Final = 3600.0
EXPIRY_RETRY: Final = 300.0
#: The least share of the longest time that a connection is kept: chance decides above it, so that targets that began
#: together do not log in together for ever.
_KEPT_AT_LEAST: Final = 2 / 3


class _Attempt(msgspec.Struct):
    """What one check has come to know on its way."""

    clock: StageClock
    timeout: float
    deadline: float
    force: bool
    login: Credentials | None = None
    #: Whether a server was asked to take a login.
    tried: bool = False
    reused: bool = False
    uses_tls: bool = False
    place: Place | None = None
    facts: ServerFacts | None = None

    def remaining(self) -> float:
        """The seconds left."""
        return max(0.0, self.deadline - asyncio.get_running_loop().time())


class Checker:
    """Checks one target, one check at a time (the caller sees to that). ``wall_clock`` gives Unix seconds.

    ``keep`` is for how many seconds at most a connection is kept, None: each check opens and closes its own.
    """

    def __init__(
        self,
        target: CheckTarget,
        resolver: Resolver,
        wall_clock: Callable[[], float] = time.time,
        *,
        keep: float | None = None,
    ) -> None:
        self.target = target
        self._resolver = resolver
        self._wall_clock = wall_clock
        self._keep = keep
        self._clock = StageClock()
        self._source: CredentialSource = Fixed(target.login)
        if target.credentials is not None:
            self._source = _Timed(target.credentials, lambda: self._clock)
        self._account = Account(self._source, _is_refusal)
        self._session: Session | None = None
        self._last_login: float | None = None
        self._size = SizeBudget()
        self._expiry: float | None = None
        self._expiry_next = 0.0

    async def check(self, timeout: float, *, force: bool = False) -> CheckResult:
        """Check within ``timeout`` seconds. What the target does wrong is in the result, never raised.

        ``force`` logs in anew, with credentials that rest too: somebody wants to know. One connection is open at a
        time; on return it is the kept one or none, on cancellation none.
        """
        clock = self._clock = StageClock()
        attempt = _Attempt(clock, timeout, asyncio.get_running_loop().time() + timeout, force)
        failure: CheckError | None = None
        try:
            async with asyncio.timeout_at(attempt.deadline):
                await self._run(attempt)
        except CheckError as caught:
            failure = caught
        except TimeoutError:
            failure = CheckError("timeout", f"no answer within {timeout:g} s")
        clock.stop()
        finished_at, failed_stage = self._wall_clock(), (failure.stage or clock.current) if failure else None
        await self._learn_expiry(attempt, failure, failed_stage)
        return CheckResult(
            result=failure.result if failure else "ok",
            finished_at=finished_at,
            response_seconds=clock.total,
            stages=clock.seconds,
            failed_stage=failed_stage,
            error_message=_without_password(failure.message, attempt.login) if failure else None,
            sqlstate=failure.sqlstate if failure else None,
            facts=attempt.facts,
            reused=attempt.reused,
            last_login=self._last_login,
            tls_expiry=self._expiry,
        )

    def finish(self) -> None:
        """Close a kept connection at once."""
        session, self._session = self._session, None
        if session is not None:
            session.finish()

    async def close(self) -> None:
        """Close a kept connection and wait until the server's process is gone, a moment at most."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _run(self, attempt: _Attempt) -> None:
        """All stages, or those that a kept connection leaves to do. Raises CheckError."""
        session = await self._kept(attempt) or await self._logged_in(attempt)
        try:
            if attempt.facts is None:
                attempt.facts = await self._ask(session, attempt)
        except BaseException:
            session.finish()
            raise
        if self._keep is None:
            session.finish()
        else:
            self._session = session

    async def _kept(self, attempt: _Attempt) -> Session | None:
        """The kept connection once it has answered with its facts; None when there is none, or none any more.

        Whatever broke it - a server that was restarted, somebody who ends idle connections - is no fault of the target
        as long as a login succeeds now. Only a server that does not answer in time has failed.
        """
        session, self._session = self._session, None
        if session is None:
            return None
        try:
            if await self._holds(session, attempt):
                attempt.reused = True
                attempt.facts = await self._ask(session, attempt)
                if session.suits(attempt.facts):
                    return session
        except CheckError as error:
            if error.stage == "vault" or (error.result == "timeout" and session.is_open):
                session.finish()
                raise
            log.debug("kept connection is gone", target=self.target.name, error=error.message)
        except BaseException:
            session.finish()
            raise
        attempt.facts, attempt.reused = None, False
        attempt.clock.begin_again()
        await session.close()
        return None

    async def _holds(self, session: Session, attempt: _Attempt) -> bool:
        """Whether no fresh login is due: it is not yet time, and the credentials are still those of the session."""
        if attempt.force or asyncio.get_running_loop().time() >= session.until:
            return False
        try:
            return await self._source.current() == session.credentials
        except CredentialsError as error:
            raise _without_credentials(error) from error

    async def _ask(self, session: Session, attempt: _Attempt) -> ServerFacts:
        attempt.login, attempt.place, attempt.uses_tls = session.credentials, session.place, session.uses_tls
        attempt.clock.enter("query")
        return await read_facts(session.pgconn, attempt.remaining, self._size)

    async def _logged_in(self, attempt: _Attempt) -> Session:
        """A new connection. Raises CheckError, also for credentials that rest."""
        try:
            session = await self._account.login(functools.partial(self._try, attempt), force=attempt.force)
        except CredentialsError as error:
            raise _without_credentials(error) from error
        except CheckError as error:
            if attempt.tried:
                raise
            await self._reach(attempt)
            raise self._resting(error) from None
        self._last_login = self._wall_clock()
        if session.uses_tls and (der := peer_certificate(session.pgconn)):
            with contextlib.suppress(ValueError):
                self._expiry, self._expiry_next = not_after(der), time.monotonic() + EXPIRY_INTERVAL
        if self._keep is not None:
            session.until = session.opened_at + self._keep * random.uniform(_KEPT_AT_LEAST, 1)  # noqa: S311
            session.give_up_dead_peers(attempt.timeout / 2)
        return session

    async def _try(self, attempt: _Attempt, credentials: Credentials) -> Session:
        """One login. Raises CheckError."""
        attempt.login, attempt.tried = credentials, True
        if has_nul(self.target, credentials):
            raise CheckError("other", "a parameter of the connection holds a NUL character")
        try:
            return await log_in(self.target, credentials, self._resolver, attempt.clock, attempt.deadline)
        except CheckError as error:  # the account remembers it, longer than it is known who logged in
            error.message = _without_password(error.message, credentials)
            raise

    async def _reach(self, attempt: _Attempt) -> None:
        """Whether the server is there, where no login is tried. Raises CheckError."""
        session = await log_in(self.target, None, self._resolver, attempt.clock, attempt.deadline)
        session.finish()
        attempt.clock.enter("auth")

    def _resting(self, error: CheckError) -> CheckError:
        """``error``, which the server gave to these credentials before, with the times between which it is believed."""
        rest, now = self._account.rest, time.monotonic()
        if rest is None:  # it has ended this moment
            return error
        since, until = (_utc(self._wall_clock() + at - now) for at in (rest.since, rest.until))
        message = first_line(f"{error.message}; refused since {since}, not tried again before {until}")
        return CheckError(error.result, message, error.sqlstate, stage="auth")

    async def _learn_expiry(self, attempt: _Attempt, failure: CheckError | None, stage: Stage | None) -> None:
        """Read the end of a certificate that no login has shown, seldom; the last known one stays when that fails."""
        if failure is None and not attempt.uses_tls:
            self._expiry = None
        refused = failure is not None and failure.result == "tls" and stage == "tls"
        place, now = attempt.clock.place or attempt.place, time.monotonic()
        if place is None or place.address is None or not (attempt.uses_tls or refused) or now < self._expiry_next:
            return
        self._expiry_next = now + EXPIRY_RETRY
        try:
            async with asyncio.timeout(attempt.timeout):
                self._expiry = await fetch_expiry(place.address, place.host.port, place.server_name)
        except (OSError, EOFError, ValueError) as error:  # TimeoutError and SSLError are OSErrors
            log.debug("certificate not read", target=self.target.name, error=first_line(str(error)))
        else:
            if self._expiry is not None:
                self._expiry_next = now + EXPIRY_INTERVAL


class _Timed:
    """A source of credentials whose answers are the stage vault of the running check, whose clock ``clock`` gives."""

    def __init__(self, source: CredentialSource, clock: Callable[[], StageClock]) -> None:
        self._source = source
        self._clock = clock

    async def current(self) -> Credentials:
        """As the source's."""
        self._clock().enter("vault")
        return await self._source.current()

    async def renewed(self, refused: Credentials) -> Credentials:
        """As the source's."""
        self._clock().enter("vault")
        return await self._source.renewed(refused)


def _is_refusal(error: Exception) -> bool:
    return isinstance(error, CheckError) and error.is_refusal


def _without_credentials(error: CredentialsError) -> CheckError:
    return CheckError("vault", first_line(str(error)), stage="vault")


def _utc(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _without_password(text: str, login: Credentials | None) -> str:
    """``text`` for everybody's eyes. No known server repeats a password; this one might be the first."""
    password = login.password.reveal() if login and login.password else ""
    return text.replace(password, REDACTED) if password else text
