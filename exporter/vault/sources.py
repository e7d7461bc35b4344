"""Credentials from Vault as those who log in see them."""

from __future__ import annotations

from exporter.config.model import VaultCredential
from exporter.credentials import Credentials
from exporter.vault.roles import Role
from exporter.vault.secrets import Fetched, Secrets


class KeptSource:
    """Credentials that a secret holds; ``user`` if it is known from elsewhere."""

    def __init__(self, secrets: Secrets, credential: VaultCredential, user: str | None) -> None:
        assert credential.path is not None  # noqa: S101 - checked with the configuration
        self._secrets = secrets
        self._path = credential.path
        self._credential = credential
        self._user = user

    async def current(self) -> Credentials:
        """What the secret held when it was last read."""
        fetched = await self._secrets.read(self._path)
        return fetched.credentials(self._path, self._credential, self._user)

    async def renewed(self, refused: Credentials) -> Credentials:
        """What it holds now, unless others have been read since."""
        known = self._secrets.known(self._path)
        if known is not None:
            credentials = known.credentials(self._path, self._credential, self._user)
            if credentials != refused:
                return credentials
        after = known.fetched_at + 1e-6 if known else 0.0
        fetched = await self._secrets.read(self._path, after)
        return fetched.credentials(self._path, self._credential, self._user)


class RoleSource:
    """Credentials that a role gives."""

    def __init__(self, role: Role, credential: VaultCredential, user: str | None, connection: str | None) -> None:
        self.role = role
        self.connection = connection
        self._credential = credential
        self._user = user

    async def current(self) -> Credentials:
        """What the role gives now."""
        return self._credentials(await self.role.get())

    async def renewed(self, refused: Credentials) -> Credentials:
        """What it gives anew, unless others have been had since."""
        return self._credentials(await self.role.renewed(lambda fetched: self._credentials(fetched) == refused))

    def _credentials(self, fetched: Fetched) -> Credentials:
        return fetched.credentials(self.role.path, self._credential, self._user)
