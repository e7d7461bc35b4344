"""Vault as the rest of the program knows it: secrets by path, sources of credentials, one reload, one end."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import TracebackType
from typing import Final, Self

from exporter.config.model import Vault as Config
from exporter.config.model import VaultCredential
from exporter.config.secrets import Secret
from exporter.credentials import CredentialsError, CredentialSource
from exporter.vault.secrets import Fetched, Secrets
from exporter.vault.session import Session
from exporter.vault.sources import KeptSource, NoVault
from exporter.vault.state import Requests

#: Seconds for everything that Vault is told at the end.
CLOSING: Final = 5.0


class Vault:
    """One Vault, or none (``config`` None: then whoever asks is told so). An async context manager."""

    def __init__(self, config: Config | None) -> None:
        self._config = config
        self._requests = Requests()
        self._unwrapped: dict[Secret, Secret] = {}
        self._session: Session | None = None
        self._secrets: Secrets | None = None
        if config is not None:
            self._session = self._make_session(config)
            self._secrets = Secrets(self._session, config.refresh)

    async def __aenter__(self) -> Self:
        if self._session is not None:
            self._session.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close(CLOSING)

    async def read(self, path: str, *, fetched_after: float = 0.0) -> Fetched:
        """The secret at ``path`` (KV version 1 or 2), asked for at ``fetched_after`` (monotonic) or later.

        Read once for all who ask at the same time, and kept. Raises CredentialsError, whose text is safe to show.
        """
        if self._secrets is None or self._config is None:
            raise CredentialsError("the configuration has no section vault")
        try:
            async with asyncio.timeout(self._patience(self._config)):
                return await self._secrets.read(path, fetched_after)
        except TimeoutError:
            raise CredentialsError(f"Vault at {self._config.address} did not answer in time") from None

    @property
    def requests(self) -> Mapping[tuple[str, str], int]:
        """How many requests there were, by operation and result."""
        return self._requests.snapshot()

    def source(
        self, credential: VaultCredential, *, user: str | None = None, connection: str | None = None
    ) -> CredentialSource:
        """Where to ask for ``credential``. Give it back with ``release``.

        ``user`` is one that is known from elsewhere, ``connection`` the target's name, if there is one, for metrics.
        Equal credentials share what is behind them.
        """
        del connection  # leases have ends, secrets have none
        if self._secrets is None:
            return NoVault()
        return KeptSource(self._secrets, credential, user)

    async def release(self, source: CredentialSource) -> None:
        """``source`` is not used any more."""

    async def apply(self, config: Config | None) -> None:
        """Take over a changed configuration."""

    def _make_session(self, config: Config) -> Session:
        return Session(config, requests=self._requests, unwrapped=self._unwrapped, on_change=self._changed)

    def _changed(self) -> None:
        """There is a new token, or Vault is back."""

    @staticmethod
    def _patience(config: Config) -> float:
        """Seconds for logging in, asking, and asking once more."""
        return 4 * float(config.timeout)
