"""What a store's sessions log in with: its connection string, and who logs in, from the file or from Vault."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeVar

from exporter.config.model import PostgresStore
from exporter.config.secrets import Secret
from exporter.credentials import Account, Credentials, CredentialsError, CredentialSource, Rest
from exporter.errors import StoreUnavailable
from exporter.logs import scrubber
from exporter.stores.connecting import LoginRefused
from exporter.vault.references import Secrets

T = TypeVar("T")

_NOBODY: Final = Credentials(None, None)
APPLICATION_NAME: Final = "scheduler-exporter"


class StoreCredentials:
    """A store's account, for all of its sessions: what is refused to one is not tried by the other.

    Everything is asked for before each login, so that what rotates reaches the next one.
    """

    def __init__(
        self, store: PostgresStore, secrets: Secrets | None = None, application_name: str = APPLICATION_NAME
    ) -> None:
        #: Seconds for a connect. The sessions wait for each other's, so that none takes longer.
        self.timeout = float(store.timeout)
        self._source = _Source(store, secrets or Secrets())
        self._account = Account(self._source, lambda error: isinstance(error, LoginRefused))
        self._defaults = {"application_name": application_name}
        self._rest: Rest | None = None
        self._rest_told = ""
        # One login at a time: two at once would be two refused ones.
        self._lock = asyncio.Lock()

    async def login(self, attempt: Callable[[Mapping[str, Any]], Awaitable[T]]) -> tuple[T, Credentials]:
        """What ``attempt`` returns for libpq's parameters, and the credentials in them. Raises StoreUnavailable."""
        used: Credentials | None = None

        async def with_credentials(credentials: Credentials) -> T:
            nonlocal used
            used = credentials
            if credentials.password is not None:
                scrubber.add(credentials.password.reveal())
            return await attempt({**self._defaults, **self._source.place, **_login(credentials)})

        async with self._lock:
            try:
                return await self._account.login(with_credentials), used or _NOBODY
            except LoginRefused as error:
                if used is not None:
                    raise
                raise LoginRefused(f"{error}{self._told(self._account.rest)}") from None
            except CredentialsError as error:
                raise StoreUnavailable(f"no connection: {error}") from error

    def _told(self, rest: Rest | None) -> str:
        """How long credentials are left alone, in the same words for as long: a new text would be a new log line."""
        if rest is None:
            return ""
        if rest != self._rest:
            now, wall = time.monotonic(), time.time()
            since, until = (_utc(wall + at - now) for at in (rest.since, rest.until))
            self._rest, self._rest_told = rest, f"; refused since {since}, not tried again before {until}"
        return self._rest_told

    async def replaced(self, used: Credentials) -> bool:
        """Whether Vault gives other credentials by now than a session was opened with, whose role may go any time."""
        return await self._source.replaced(used)

    async def close(self) -> None:
        """Nobody logs in any more: a lease can end."""
        await self._source.close()


class _Source:
    """Where a store is (``place``, as of the last call) and who logs in there: a CredentialSource."""

    def __init__(self, store: PostgresStore, secrets: Secrets) -> None:
        self._store = store
        self._secrets = secrets
        self._vault: CredentialSource | None = None
        self.place: dict[str, Any] = {}

    async def current(self) -> Credentials:
        """What holds as far as is known."""
        written = await self._written(0.0)
        vault = self._in_vault(written)
        return written if vault is None else await vault.current()

    async def renewed(self, refused: Credentials) -> Credentials:
        """What holds by now."""
        written = await self._written(time.monotonic())
        vault = self._in_vault(written)
        return written if vault is None else await vault.renewed(refused)

    async def replaced(self, used: Credentials) -> bool:
        """Whether Vault gives others by now. Nobody knows while it is away: what is open stays open."""
        if self._vault is None:
            return False
        try:
            return await self._vault.current() != used
        except CredentialsError:
            return False

    async def close(self) -> None:
        """Give the credentials back."""
        vault, self._vault = self._vault, None
        if vault is not None:
            await self._secrets.release(vault)

    def _in_vault(self, written: Credentials) -> CredentialSource | None:
        """Vault's part. The user of a kept secret may be written in the connection string; a role makes its own."""
        credential = self._store.vault
        if self._vault is None and credential is not None:
            self._vault = self._secrets.source(credential, user=None if credential.role else written.user)
        return self._vault

    async def _written(self, newer_than: float) -> Credentials:
        """What the connection string and the password beside it say, which wins."""
        place = await self._secrets.parameters(self._store.dsn, newer_than=newer_than)
        user, password = place.pop("user", None), place.pop("password", None)
        if self._store.password is not None:
            password = await self._secrets.value(self._store.password, newer_than=newer_than)
        self.place = place
        return Credentials(user, Secret(str(password)) if password else None)


def _utc(at: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))


def _login(credentials: Credentials) -> dict[str, str]:
    password = credentials.password.reveal() if credentials.password is not None else None
    given = {"user": credentials.user, "password": password}
    return {name: value for name, value in given.items() if value is not None}
