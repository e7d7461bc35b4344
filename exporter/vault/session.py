"""A session with one Vault: the token and its life, and requests that are made with it.

Belongs here: logging in and again, renewing, what a denial means. Does not: sending (``line``), what is asked
(``secrets``, ``roles``).
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Callable
from typing import Any, Final

import structlog
from msgspec.structs import replace

from exporter import tracing
from exporter.config.model import Vault
from exporter.config.secrets import Secret
from exporter.vault.auth import Auth, Token, made_token
from exporter.vault.circuit import Circuit
from exporter.vault.failure import VaultError, unexpected
from exporter.vault.line import HEARTBEAT, Late, Line
from exporter.vault.state import Operation, Requests

log = structlog.get_logger(component="vault")

#: Seconds between two looks at a token's file.
FILE_INTERVAL: Final = 5.0
#: Seconds until a login that was refused is tried again: at first, and at most.
FIRST_LOGIN_PAUSE: Final = 2.0
LONGEST_LOGIN_PAUSE: Final = 60.0
#: Seconds for which a token that Vault has just confirmed is not the reason why something is denied.
CONFIRMED: Final = 5.0
#: The share of a ttl after which it is renewed, between these; and of what it was, below which it nears its end.
RENEW: Final = (0.55, 0.7)
NEAR_END: Final = 0.8


class Session:
    """Vault as ``config`` has it. ``on_change`` is called when there is a new token, and when Vault is back."""

    def __init__(
        self, config: Vault, *, requests: Requests, unwrapped: dict[Secret, Secret], on_change: Callable[[], None]
    ) -> None:
        self.config = config
        self._line = Line(config, requests, self._changed)
        self._on_change = on_change
        self._auth = Auth(config.auth, unwrapped)
        self._login_lock = asyncio.Lock()
        self._token: Token | None = None
        self._ours: list[Token] = []
        self._last: Secret | None = None
        self._in_file: Secret | None = None
        self._number = 0
        self._refused: VaultError | None = None
        self._refused_pause = FIRST_LOGIN_PAUSE
        self._login_at = 0.0
        self._confirmed_at = float("-inf")
        self._wake = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    # -- life

    def start(self) -> None:
        """Log in, keep the token, look after Vault, in the background."""
        self._tasks = [
            asyncio.create_task(self._keep_token(), name="vault-token"),
            asyncio.create_task(self._line.watch(), name="vault-watch"),
        ]

    async def close(self, seconds: float) -> None:
        """Revoke the tokens that are ours, and end."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        tokens, self._ours, self._token = self._ours, [], None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await asyncio.gather(*(self._revoke(token, seconds) for token in tokens))
        self._line.close()

    async def _revoke(self, token: Token, seconds: float) -> None:
        if token.ends is None or token.ends > time.monotonic():
            with contextlib.suppress(VaultError):  # it ends by itself
                await self._line.send(
                    "revoke_token", lambda client: client.auth.token.revoke_self(), token.value.reveal(),
                    whatever=True, seconds=seconds,
                )  # fmt: skip

    # -- what is known

    @property
    def circuit(self) -> Circuit:
        """Whether Vault is known to be away."""
        return self._line.circuit

    @property
    def up(self) -> bool | None:
        """Whether Vault answers and knows us; None before either is known."""
        if self.circuit.error is not None or self._refused is not None:
            return False
        return True if self._line.answered_at is not None and self._token is not None else None

    @property
    def away(self) -> bool:
        """Whether Vault cannot be asked now."""
        return self.circuit.error is not None

    @property
    def number(self) -> int:
        """Which token is in use: grows with each one that is not the one before."""
        return self._number

    @property
    def token_ends(self) -> float | None:
        """When the token ends (monotonic); None for one that does not, or when there is none."""
        return self._token.ends if self._token else None

    # -- requests

    async def request(
        self,
        operation: Operation,
        call: Callable[[Any], Any],
        *,
        about: str = "",
        whatever: bool = False,
        seconds: float | None = None,
        late: Late | None = None,
    ) -> dict[str, Any]:
        """What Vault answers to ``call`` (of hvac's client), logged in. Raises VaultError, which says ``about`` what.

        If it is denied because the token has ended, log in once and ask once more. ``whatever`` asks a Vault that is
        known to be away too. ``late`` gets an answer that comes when it has been given up.
        """

        async def send() -> dict[str, Any]:
            text = token.value.reveal()
            return await self._line.send(operation, call, text, whatever=whatever, seconds=seconds, late=late)

        token = await self.token(whatever=whatever)
        try:
            return await send()
        except VaultError as error:
            if error.kind != "denied" or await self._holds(token):
                raise error.about(about) from None
        token = await self.token(whatever=whatever)
        try:
            return await send()
        except VaultError as error:
            raise error.about(about) from None

    def _changed(self) -> None:
        self._wake.set()
        self._on_change()

    # -- the token

    async def token(self, *, whatever: bool = False) -> Token:
        """The token in use; logs in if there is none. Raises VaultError."""
        if not whatever:
            self.circuit.check()
        async with self._login_lock:
            token = self._token
            if self._auth.follows_file and await self._file_changed(token):
                token = None
            if token is not None and (token.ends is None or time.monotonic() < token.ends):
                return token
            return await self._login()

    async def _file_changed(self, token: Token | None) -> bool:
        """Whether the token's file has another one. One that cannot be read now has not changed."""
        try:
            text = Secret(await self._auth.read_token())
        except VaultError:
            return False
        if text != self._in_file:
            self._in_file, self._login_at = text, 0.0  # whatever was refused was another one
        return token is not None and text != token.value

    async def _login(self) -> Token:
        """A new token in place of the old one. The caller has the lock."""
        if self._refused is not None and time.monotonic() < self._login_at:
            raise self._refused.again()
        try:
            token = await self._auth.login(self._line.send)
        except VaultError as error:
            if not error.away:
                self._login_refused(error)
            raise
        except Exception as fault:  # an answer like no other
            failure = unexpected(fault)
            self._login_refused(failure)
            raise failure from None
        if self._refused is not None:
            log.info("login to Vault succeeded", method=self.config.auth.method)
        self._refused, self._refused_pause = None, FIRST_LOGIN_PAUSE
        self._confirmed_at = time.monotonic()
        if token.value == self._last:  # somebody else has renewed it: the leases that it made hold
            self._token = replace(token, number=self._number)
            self._wake.set()
            return self._token
        self._number += 1
        self._last = token.value
        self._token = replace(token, number=self._number)
        if token.ours:
            now = time.monotonic()
            self._ours = [t for t in self._ours if t.ends is None or t.ends > now] + [self._token]
        log.debug("logged in to Vault", method=self.config.auth.method, ttl=token.ttl)
        self._changed()
        return self._token

    def _login_refused(self, error: VaultError) -> None:
        if self._refused is None or str(self._refused) != str(error):
            log.warning("login to Vault failed", method=self.config.auth.method, result=error.kind, error=str(error))
        self._refused = error
        self._login_at = time.monotonic() + self._refused_pause
        self._refused_pause = min(self._refused_pause * 2, LONGEST_LOGIN_PAUSE)

    async def _holds(self, token: Token) -> bool:
        """Whether ``token`` is still good, so that what was denied is denied to it; drops one that is not."""
        if self._token is not token:
            return False
        if time.monotonic() - self._confirmed_at < CONFIRMED:
            return True
        try:
            await self._line.send("lookup_token", lambda client: client.auth.token.lookup_self(), token.value.reveal())
        except VaultError as error:
            if error.kind != "denied":
                raise
            self._drop(token)
            return False
        self._confirmed_at = time.monotonic()
        return True

    def _drop(self, token: Token) -> None:
        if self._token is token:
            log.info("the token for Vault has ended")
            self._token = None
            self._ours = [each for each in self._ours if each is not token]
            self._wake.set()

    async def _keep_token(self) -> None:
        tracing.detach()
        while True:
            self._wake.clear()
            try:
                token = await self.token()
                seconds = self._renew_in(token)
            except VaultError:
                token, seconds = None, max(0.5, self._login_at - time.monotonic())
                if self._auth.follows_file:
                    seconds = min(seconds, FILE_INTERVAL)
            if await self._woken(seconds) or token is None or token is not self._token:
                continue
            with contextlib.suppress(VaultError):  # tried again, as long as it lasts
                await self._prolong(token)

    async def _woken(self, seconds: float) -> bool:
        """Wait; True when something happened before the time was up."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wake.wait()
                return True
        return False

    def _renew_in(self, token: Token) -> float:
        if self._auth.follows_file:
            return FILE_INTERVAL
        if token.ends is None or not (token.renewable or self._auth.logs_in):
            return HEARTBEAT
        left = token.ends - time.monotonic()
        return max(0.5, left * random.uniform(*RENEW))  # noqa: S311

    async def _prolong(self, token: Token) -> None:
        """Renew the token, or log in again while it still holds: leases that it made end with it."""
        if self._auth.follows_file:
            await self._look_again(token)
        if self._auth.follows_file or token.ends is None:
            return
        if token.renewable:
            try:
                renewed = await self._renewed(token)
            except VaultError as error:
                if error.away or (error.kind == "denied" and not await self._holds(token)):
                    raise
                renewed = replace(token, renewable=False)
            async with self._login_lock:
                if self._token is token:
                    self._token = renewed
                    self._ours = [renewed if each is token else each for each in self._ours]
            token = renewed
            if renewed.renewable and renewed.ends is not None:
                left = renewed.ends - time.monotonic()
                if left >= NEAR_END * renewed.ttl or not self._auth.logs_in:
                    return
        if self._auth.logs_in:
            async with self._login_lock:
                if self._token is token:
                    await self._login()

    async def _look_again(self, token: Token) -> None:
        """How long a token lasts that somebody else renews: asked at half its time, so that its end is known."""
        if token.ends is not None and token.ends - time.monotonic() < token.ttl / 2:
            async with self._login_lock:
                if self._token is token:
                    await self._login()

    async def _renewed(self, token: Token) -> Token:
        answer = await self._line.send(
            "renew_token", lambda client: client.auth.token.renew_self(), token.value.reveal()
        )  # fmt: skip
        auth = answer.get("auth") or {}
        left = auth.get("lease_duration") or 0
        new = made_token(token.value.reveal(), left, renewable=bool(auth.get("renewable")), ours=token.ours)
        self._confirmed_at = time.monotonic()
        return replace(new, value=token.value, ttl=max(token.ttl, left), number=token.number)
