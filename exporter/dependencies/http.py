"""A page over HTTP that has to answer with a status that is expected."""

from __future__ import annotations

from collections.abc import Mapping

import aiohttp

from exporter.config.model import HttpDependency
from exporter.dependencies.link import failure_of
from exporter.dependencies.results import CheckFailed, Count, Result
from exporter.outbound import RemoteUnavailable, ask
from exporter.vault.references import Secrets


class HttpCheck:
    """Checks one page. Redirects are not followed: their statuses can be expected."""

    def __init__(self, config: HttpDependency, secrets: Secrets) -> None:
        self._config = config
        self._secrets = secrets

    async def check(self) -> Mapping[Count, int]:
        """Nothing. Raises CheckFailed."""
        config = self._config
        try:
            answer = await ask(config, config.method, config.url, reveal=self._secrets.value)
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
