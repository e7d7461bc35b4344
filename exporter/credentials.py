"""Who logs in, where that comes from, and how often a refused login is tried again.

The contract between those who log in (``stores``, ``connections``) and those who know the credentials (the
configuration, ``vault``). Belongs here: the protocol, and the guard that keeps accounts from being locked out. Does
not: how credentials are fetched, how a server is spoken to.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Final, Protocol, TypeVar

import msgspec

from exporter.config.secrets import Secret
from exporter.errors import ExporterError

T = TypeVar("T")

#: What a server answers to credentials that it does not take.
REFUSED: Final = frozenset({"28P01", "28000"})
#: Seconds until credentials that were refused are tried again: the first time, and at most.
FIRST_PAUSE: Final = 120.0
LONGEST_PAUSE: Final = 1800.0


class CredentialsError(ExporterError):
    """Credentials cannot be had now. The text is safe to show: it holds no secret."""


class Credentials(msgspec.Struct, frozen=True):
    """Who logs in. Without a user libpq's own default applies; without a password ~/.pgpass may have one."""

    user: str | None
    password: Secret | None


class CredentialSource(Protocol):
    """Knows an account's credentials. Both calls raise CredentialsError when there are none to be had."""

    async def current(self) -> Credentials:
        """What holds as far as is known; asked before each login, so that a rotation reaches the next one."""

    async def renewed(self, refused: Credentials) -> Credentials:
        """What holds now that a server has refused ``refused``: asked for anew where it comes from.

        Equal to ``refused`` when there is nothing newer. May be called often; how often its origin is asked is the
        source's own affair.
        """


class Fixed(msgspec.Struct, frozen=True):
    """Credentials that the configuration spells out."""

    credentials: Credentials

    async def current(self) -> Credentials:
        """The credentials."""
        return self.credentials

    async def renewed(self, refused: Credentials) -> Credentials:  # noqa: ARG002 - there is nothing newer
        """The credentials: nothing else is known."""
        return self.credentials


class Rest(msgspec.Struct, frozen=True):
    """Credentials that are left alone: refused at ``since``, tried again at ``until`` (the account's clock)."""

    since: float
    until: float


class Account:
    """One account on one server. ``refused(error)`` tells whether an error means that its credentials were not taken.

    Refused credentials are asked for anew at once and tried a second time if they are others now. What was refused is
    then left alone for a pause that doubles, so that no account is locked out; others are tried as soon as they are
    known.
    """

    def __init__(
        self,
        source: CredentialSource,
        refused: Callable[[Exception], bool],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._source = source
        self._refused = refused
        self._clock = clock
        self._rejected: Credentials | None = None
        self._error: Exception | None = None
        self._pause = 0.0
        self._refused_at = 0.0
        self._again_at = 0.0

    @property
    def rest(self) -> Rest | None:
        """How long the credentials that were refused last are left alone; None when none are."""
        if self._rejected is None or self._clock() >= self._again_at:
            return None
        return Rest(self._refused_at, self._again_at)

    async def login(self, attempt: Callable[[Credentials], Awaitable[T]], *, force: bool = False) -> T:
        """What ``attempt`` returns for credentials that are taken; ``force`` tries whatever was refused before.

        Raises CredentialsError, and what ``attempt`` raised: for credentials that rest, without trying, what it raised
        for them the last time.
        """
        credentials = await self._source.current()
        if self._rests(credentials) and not force:
            credentials = await self._source.renewed(credentials)
            if self._rests(credentials):
                assert self._error is not None  # noqa: S101 - kept with the credentials it is about
                raise self._error.with_traceback(None)  # else it would grow with each who is told
        try:
            result = await attempt(credentials)
        except Exception as error:
            if not self._refused(error):
                raise
            self._reject(credentials, error)
            fresh = await self._source.renewed(credentials)
            if fresh == credentials:
                raise
            result = await self._second(attempt, fresh)
        self._rejected, self._error, self._pause = None, None, 0.0
        return result

    async def _second(self, attempt: Callable[[Credentials], Awaitable[T]], credentials: Credentials) -> T:
        try:
            return await attempt(credentials)
        except Exception as error:
            if self._refused(error):
                self._reject(credentials, error)
            raise

    def _rests(self, credentials: Credentials) -> bool:
        return credentials == self._rejected and self._clock() < self._again_at

    def _reject(self, credentials: Credentials, error: Exception) -> None:
        again = credentials == self._rejected
        self._pause = min(self._pause * 2, LONGEST_PAUSE) if again else FIRST_PAUSE
        now = self._clock()
        self._refused_at = self._refused_at if again else now
        self._again_at = now + self._pause
        # Without its traceback, which would keep the attempt's whole state alive for as long as the pause lasts.
        self._rejected, self._error = credentials, error.with_traceback(None)
