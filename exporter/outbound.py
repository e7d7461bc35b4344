"""One request to an HTTP API of others, as the configuration says: who we are, whom we trust, how long we wait.

Belongs here: what is true of every such request. Does not: what is asked (``alertmanager``, ``triggers``).
"""

from __future__ import annotations

import base64
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import aiohttp
import msgspec
from aiohttp.abc import AbstractResolver
from yarl import URL

from exporter import tracing
from exporter.config.model import HttpDependency, HttpTrigger, Remote
from exporter.config.secrets import Secret
from exporter.errors import ExporterError

#: Gives the text of a secret; ExporterError when it cannot be had now.
Reveal = Callable[[Secret], Awaitable[str]]
#: Bytes of an answer; a longer one is not read to its end.
LARGEST: Final = 16 * 1024 * 1024
_CHUNK: Final = 64 * 1024


class RemoteUnavailable(ExporterError):
    """There is no answer. The text says why, free of secrets; ``sent``: the request may have been taken."""

    def __init__(self, text: str, *, sent: bool) -> None:
        super().__init__(text)
        self.sent = sent


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    body: bytes

    @property
    def ok(self) -> bool:
        """Whether it is a success."""
        return 200 <= self.status < 300

    @property
    def text(self) -> str:
        """The beginning of the body on one line, for people."""
        return " ".join(self.body[:500].decode("utf-8", "replace").split())[:200]


async def ask(
    remote: Remote | HttpTrigger | HttpDependency,
    method: str,
    url: str,
    *,
    reveal: Reveal,
    query: Sequence[tuple[str, str]] = (),
    body: Any = None,
    headers: Mapping[str, str] | None = None,
    resolver: AbstractResolver | None = None,
) -> Answer:
    """The answer of ``url``, whatever its status; ``body`` is sent as JSON. Redirects are not followed.

    ``reveal`` gives the text of a secret, ``resolver`` looks names up in place of aiohttp's. RemoteUnavailable when
    there is no answer within ``remote.timeout``.
    """
    try:
        sent = {**(headers or {}), **await _authorization(remote, reveal), "Accept": "application/json"}
    except ExporterError as e:
        raise RemoteUnavailable(f"no credentials to show: {e}", sent=False) from e
    where = URL(url)
    about = _about(method, where)
    where = where.update_query(query) if query else where
    with tracing.span(f"{method} {where.raw_authority}", "outbound", "client", attributes=about) as span:
        sent.update(tracing.carried())
        answer = await _answer(remote, method, where, headers=sent, body=body, resolver=resolver)
        span.set("http.response.status_code", answer.status)
        if answer.status >= 400:
            span.failed(str(answer.status))
    return answer


def _about(method: str, url: URL) -> dict[str, tracing.Value]:
    """What a trace tells of a request: where to, without path and query, where a token may be."""
    return {"http.request.method": method, "url.full": _place(url), "server.address": url.host, "server.port": url.port}


async def _answer(
    remote: Remote | HttpTrigger | HttpDependency,
    method: str,
    where: URL,
    *,
    headers: dict[str, str],
    body: Any,
    resolver: AbstractResolver | None,
) -> Answer:
    data = None if body is None else msgspec.json.encode(body)
    if data is not None:
        headers["Content-Type"] = "application/json"
    timeout = aiohttp.ClientTimeout(total=remote.timeout, sock_connect=remote.timeout / 2)
    try:
        connector = aiohttp.TCPConnector(ssl=_trust(remote, where), force_close=True, resolver=resolver)
        async with (
            aiohttp.ClientSession(connector=connector, timeout=timeout) as session,
            session.request(method, where, data=data, headers=headers, allow_redirects=False) as response,
        ):
            return Answer(response.status, await _read(response))
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as e:
        raise RemoteUnavailable(f"no connection to {_place(where)}: {_reason(e)}", sent=False) from e
    except TimeoutError as e:
        raise RemoteUnavailable(f"{_place(where)} did not answer within {remote.timeout:g} s", sent=True) from e
    except (aiohttp.ClientError, OSError) as e:
        raise RemoteUnavailable(f"{_place(where)} gave no answer: {type(e).__name__}", sent=True) from e


async def _read(response: aiohttp.ClientResponse) -> bytes:
    found = bytearray()
    async for chunk in response.content.iter_chunked(_CHUNK):
        found += chunk
        if len(found) > LARGEST:
            raise aiohttp.ClientPayloadError(f"more than {LARGEST} bytes")
    return bytes(found)


async def _authorization(remote: Remote | HttpTrigger | HttpDependency, reveal: Reveal) -> dict[str, str]:
    if remote.token is not None:
        return {"Authorization": f"Bearer {await reveal(remote.token)}"}
    if remote.username is not None and remote.password is not None:
        pair = f"{remote.username}:{await reveal(remote.password)}".encode()
        return {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}
    return {}


def _trust(remote: Remote | HttpTrigger | HttpDependency, url: URL) -> ssl.SSLContext | bool:
    return trusting(remote.ca_file) if url.scheme == "https" else True


def trusting(ca_file: str | None) -> ssl.SSLContext:
    """TLS with whoever shows a certificate that ``ca_file`` vouches for, or the system. Raises RemoteUnavailable."""
    try:
        changed = Path(ca_file).stat().st_mtime_ns if ca_file else 0
        return _context(ca_file, changed)
    except OSError as e:  # an SSLError is one
        raise RemoteUnavailable(f"ca_file {ca_file!r} cannot be used: {e.strerror or e}", sent=False) from e


@lru_cache(maxsize=8)
def _context(ca_file: str | None, _changed: int) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=ca_file)


def _reason(error: aiohttp.ClientError) -> str:
    match error:
        case aiohttp.ConnectionTimeoutError():
            return "it takes too long"
        case aiohttp.ClientConnectorCertificateError():
            return str(error.certificate_error)
        case aiohttp.ClientConnectorError():
            return error.os_error.strerror or str(error.os_error)
    return type(error).__name__


def _place(url: URL) -> str:
    """The address without path and query, where a token may be."""
    return f"{url.scheme}://{url.raw_authority}"
