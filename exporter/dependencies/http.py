"""A page over HTTP that has to answer with a status that is expected."""

from __future__ import annotations

import socket
from collections.abc import Mapping

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from exporter.config.model import HttpDependency
from exporter.connections.resolve import Resolver
from exporter.dependencies.link import failure_of
from exporter.dependencies.results import CheckFailed, Count, Result
from exporter.outbound import RemoteUnavailable, ask
from exporter.vault.references import Secrets


class _Resolver(AbstractResolver):
    """Our resolver for aiohttp, whose own looks names up in threads that everybody shares."""

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The addresses of ``host`` that are of this family, if one is wanted."""
        found: list[ResolveResult] = []
        for address in await self._resolver.resolve(host):
            kind = socket.AF_INET6 if ":" in address else socket.AF_INET
            if family in (socket.AF_UNSPEC, kind):
                flags = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
                found.append(ResolveResult(hostname=host, host=address, port=port, family=kind, proto=0, flags=flags))
        return found

    async def close(self) -> None:
        """Nothing is open."""


class HttpCheck:
    """Checks one page. Redirects are not followed: their statuses can be expected."""

    def __init__(self, config: HttpDependency, secrets: Secrets, resolver: Resolver) -> None:
        self._config = config
        self._secrets = secrets
        self._resolver = _Resolver(resolver)

    async def check(self) -> Mapping[Count, int]:
        """Nothing. Raises CheckFailed."""
        config = self._config
        try:
            answer = await ask(config, config.method, config.url, reveal=self._secrets.value, resolver=self._resolver)
        except RemoteUnavailable as error:
            raise CheckFailed(self._result(error.__cause__), str(error)) from error
        if answer.status not in config.statuses if config.statuses else not answer.ok:
            expected = ", ".join(map(str, config.statuses)) or "200 to 299"
            result: Result = "auth" if answer.status in (401, 403) else "answer"
            raise CheckFailed(result, f"expected status {expected}; got {answer.status}")
        return {}

    async def close(self) -> None:
        """Nothing is kept."""

    def _result(self, cause: BaseException | None) -> Result:
        match cause:
            case aiohttp.ClientConnectorCertificateError() | aiohttp.ClientSSLError():
                return "tls"
            case aiohttp.ClientConnectorDNSError():
                return "dns"
            case aiohttp.ClientConnectorError():
                cause = cause.os_error
            case aiohttp.ClientResponseError() | aiohttp.ClientPayloadError():
                return "answer"
        failure = failure_of(cause, self._config.timeout) if isinstance(cause, Exception) else None
        return failure.result if failure is not None else "other"
