"""A PostgreSQL server, checked as a target of ``connections`` is, stage by stage."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from exporter.config.model import PostgresDependency, Target
from exporter.connections.check import Checker
from exporter.connections.resolve import Resolver
from exporter.connections.target import CheckTarget
from exporter.dependencies.results import CheckFailed, Count
from exporter.vault.references import Secrets

#: Seconds for which a connection is kept at most; the check then logs in anew.
_KEPT: Final = 300.0
#: What a target has of it; a credential from Vault becomes a source of logins instead.
_SAME: Final = {*PostgresDependency.__struct_fields__} & {*Target.__struct_fields__} - {"vault"}


class PostgresCheck:
    """Checks one server, or several of which one answers."""

    def __init__(self, config: PostgresDependency, secrets: Secrets, resolver: Resolver) -> None:
        self._timeout = config.timeout
        self._release: Callable[[], Awaitable[None]] | None = None
        source = secrets.login(config.user, config.password)
        if config.vault is not None:
            source = leased = secrets.source(config.vault, user=config.user)
            self._release = lambda: secrets.release(leased)
        target = Target(**{name: getattr(config, name) for name in _SAME})
        self._checker = Checker(CheckTarget.from_config(target, source), resolver, keep=_KEPT)

    async def check(self) -> Mapping[Count, int]:
        """Nothing. Raises CheckFailed."""
        result = await self._checker.check(self._timeout)
        if not result.is_healthy:
            raise CheckFailed(result.result, result.error_message or result.result)
        return {}

    async def close(self) -> None:
        """End the connection that is kept."""
        await self._checker.close()
        if self._release is not None:
            await self._release()
