"""Logging in to a server that counts refused logins: the account's guard, and texts without its password."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from exporter.config.model import KafkaDependency, RedisDependency
from exporter.config.secrets import REDACTED
from exporter.connections.failure import first_line
from exporter.credentials import Account, Credentials, Fixed
from exporter.dependencies.results import CheckFailed
from exporter.vault.references import Secrets

T = TypeVar("T")


class Guard:
    """The account of a configured dependency: a login that was refused is not tried again and again."""

    def __init__(self, config: RedisDependency | KafkaDependency, secrets: Secrets) -> None:
        source = secrets.login(config.username, config.password)
        self._account = Account(source or Fixed(Credentials(config.username, config.password)), _is_refusal)

    async def login(self, attempt: Callable[[str | None, str | None], Awaitable[T]]) -> T:
        """What ``attempt`` returns for a user and a password. Raises CheckFailed, CredentialsError and what it does."""

        async def tried(credentials: Credentials) -> T:
            password = credentials.password.reveal() if credentials.password is not None else None
            try:
                return await attempt(credentials.user, password)
            except CheckFailed as error:
                # No known server repeats a password. This one might be the first.
                text = str(error).replace(password, REDACTED) if password else str(error)
                raise CheckFailed(error.result, first_line(text)) from None

        return await self._account.login(tried)


def _is_refusal(error: Exception) -> bool:
    return isinstance(error, CheckFailed) and error.result == "auth"
