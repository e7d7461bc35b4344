"""Whatever takes connections: one is made, with TLS if that is wanted, and nothing is said."""

from __future__ import annotations

from collections.abc import Mapping

from exporter.config.model import TcpDependency
from exporter.dependencies.link import Dialer, trust
from exporter.dependencies.results import Count


class TcpCheck:
    """Checks one address."""

    def __init__(self, config: TcpDependency, dialer: Dialer) -> None:
        self._config = config
        self._dialer = dialer

    async def check(self) -> Mapping[Count, int]:
        """Nothing. Raises CheckFailed, OSError."""
        tls = trust(self._config.ca_file) if self._config.tls else None
        async with self._dialer.connected(self._config.host, self._config.port, tls):
            return {}

    async def close(self) -> None:
        """Nothing is kept."""
