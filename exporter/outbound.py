"""One request to an HTTP API of others, as the configuration says: who we are, whom we trust, how long we wait.

Belongs here: what is true of every such request. Does not: what is asked (``alertmanager``, ``triggers``).
"""

from __future__ import annotations

import base64
import os
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, Literal

import aiohttp
import msgspec
from aiohttp.abc import AbstractResolver
from yarl import URL

from exporter import tracing
from exporter.config.model import HttpDependency, HttpStore, HttpTrigger, Remote
from exporter.config.secrets import Secret
from exporter.errors import ExporterError

#: Gives the text of a secret; ExporterError when it cannot be had now.
Reveal = Callable[[Secret], Awaitable[str]]
#: Bytes of an answer; a longer one is not read to its end.
LARGEST: Final = 16 * 1024 * 1024
_CHUNK: Final = 64 * 1024
#: A pause of more digits is no number of seconds.
_PAUSE_DIGITS: Final = 9


#: Why there is no answer, in a word. ``vault``: there are no credentials to show.
Reason = Literal["timeout", "refused", "dns", "tls", "vault", "too_large", "truncated", "other"]


class RemoteUnavailable(ExporterError):
    """There is no answer. The text says why, free of secrets; ``sent``: the request may have been taken."""

    def __init__(self, text: str, *, sent: bool, reason: Reason = "other") -> None:
        super().__init__(text)
        self.sent = sent
        self.reason = reason


class _TooLarge(aiohttp.ClientPayloadError):
    """An answer that is longer than may be read."""


class Answer(msgspec.Struct, frozen=True):
    """What came back. ``encoding`` is how the body is packed, where whoever asked has to unpack it.

    ``retry_after``: seconds for which we are not to ask again, where the answer tells them.
    """

    status: int
    body: bytes
    encoding: str | None = None
    retry_after: int | None = None

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
    largest: int | None = None,
    packed: bool = True,
) -> Answer:
    """The answer of ``url``, whatever its status; ``body`` is sent as JSON. Redirects are not followed.

    ``reveal`` gives the text of a secret, ``resolver`` looks names up in place of aiohttp's, ``largest`` is how many
    bytes of a body are read (LARGEST). Without ``packed`` the body is asked for as it is, and not unpacked if it comes
    otherwise: a few packed bytes may be any number of bytes. RemoteUnavailable when there is no answer within
    ``remote.timeout``.
    """
    try:
        sent = {**(headers or {}), **await _authorization(remote, reveal), "Accept": "application/json"}
    except RemoteUnavailable:
        raise
    except ExporterError as e:
        raise RemoteUnavailable(f"no credentials to show: {e}", sent=False, reason="vault") from e
    if not packed:
        sent["Accept-Encoding"] = "identity"
    where = URL(url)
    about = _about(method, where)
    where = where.update_query(query) if query else where
    with tracing.span(f"{method} {where.raw_authority}", "outbound", "client", attributes=about) as span:
        sent.update(tracing.carried())
        most = LARGEST if largest is None else largest
        answer = await _answer(
            remote, method, where, headers=sent, body=body, resolver=resolver, largest=most, packed=packed
        )
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
    largest: int,
    packed: bool,
) -> Answer:
    data = None if body is None else msgspec.json.encode(body)
    if data is not None:
        headers["Content-Type"] = "application/json"
    timeout = aiohttp.ClientTimeout(total=remote.timeout, sock_connect=remote.timeout / 2)
    try:
        connector = aiohttp.TCPConnector(ssl=_trust(remote, where), force_close=True, resolver=resolver)
        async with (
            aiohttp.ClientSession(connector=connector, timeout=timeout, auto_decompress=packed) as session,
            session.request(method, where, data=data, headers=headers, allow_redirects=False) as response,
        ):
            encoding = None if packed else response.headers.get("Content-Encoding")
            pause = response.headers.get("Retry-After", "").strip()
            retry_after = int(pause) if pause.isdecimal() and len(pause) <= _PAUSE_DIGITS else None
            return Answer(response.status, await _read(response, largest), encoding, retry_after)
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as e:
        text = f"no connection to {_place(where)}: {_reason(e)}"
        raise RemoteUnavailable(text, sent=False, reason=_word(e)) from e
    except TimeoutError as e:
        text = f"{_place(where)} did not answer within {remote.timeout:g} s"
        raise RemoteUnavailable(text, sent=True, reason="timeout") from e
    except (aiohttp.ClientError, OSError) as e:
        text = f"{_place(where)} gave no answer: {_reason(e)}"
        raise RemoteUnavailable(text, sent=True, reason=_word(e)) from e


async def _read(response: aiohttp.ClientResponse, largest: int) -> bytes:
    if (response.content_length or 0) > largest:
        raise _TooLarge(f"more than {largest} bytes")
    found = bytearray()
    async for chunk in response.content.iter_chunked(_CHUNK):
        found += chunk
        if len(found) > largest:
            raise _TooLarge(f"more than {largest} bytes")
    return bytes(found)


def _printable(token: str) -> str:
    """A token as a header may hold it. Raises RemoteUnavailable: what a header refuses is no token of anybody's."""
    if not token.isascii() or not token.isprintable():
        text = "no credentials to show: the token has a line break or another character that no header may have"
        raise RemoteUnavailable(text, sent=False, reason="vault")
    return token


async def _authorization(remote: Remote | HttpTrigger | HttpDependency, reveal: Reveal) -> dict[str, str]:
    if remote.token is not None:
        return {"Authorization": f"Bearer {_printable(await reveal(remote.token))}"}
    if remote.username is not None and remote.password is not None:
        pair = f"{remote.username}:{await reveal(remote.password)}".encode()
        return {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}
    return {}


def _trust(remote: Remote | HttpTrigger | HttpDependency, url: URL) -> ssl.SSLContext | bool:
    if url.scheme != "https":
        return True
    if isinstance(remote, HttpStore) and not remote.verify:
        return False
    return trusting(remote.ca_file)


def trusting(ca_file: str | None) -> ssl.SSLContext:
    """TLS with whoever shows a certificate that ``ca_file`` vouches for, or the system. Raises RemoteUnavailable."""
    try:
        changed = Path(ca_file).stat().st_mtime_ns if ca_file else 0
        return _context(ca_file, changed)
    except OSError as e:  # an SSLError is one
        text = f"ca_file {ca_file!r} cannot be used: {e.strerror or e}"
        raise RemoteUnavailable(text, sent=False, reason="tls") from e


@lru_cache(maxsize=8)
def _context(ca_file: str | None, _changed: int) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=ca_file)


def _reason(error: Exception) -> str:
    match error:
        case _TooLarge():
            return f"it is too long, {error}"
        case aiohttp.ClientPayloadError() | aiohttp.ServerDisconnectedError():
            return "it broke off"
        case aiohttp.ConnectionTimeoutError():
            return "it takes too long"
        case aiohttp.ClientConnectorCertificateError():
            return str(error.certificate_error)
        case aiohttp.ClientConnectorError():
            return in_words(error.os_error)
    return "what answers speaks no HTTP" if isinstance(error, aiohttp.ClientResponseError) else type(error).__name__


def in_words(error: OSError) -> str:
    """What the system says of a connection that failed; asyncio's own words name the address once more."""
    if isinstance(error, ssl.SSLError):  # its numbers are not the system's
        return f"TLS failed: {error.reason or 'it broke off'}"
    if error.errno is not None and error.errno > 0:
        return os.strerror(error.errno)
    return error.strerror or str(error) or "it broke off"


#: The first that fits counts: most are ClientErrors, or OSErrors.
_WORDS: Final[tuple[tuple[type[Exception], Reason], ...]] = (
    (TimeoutError, "timeout"),
    (aiohttp.ClientConnectorCertificateError, "tls"),
    (aiohttp.ClientSSLError, "tls"),
    (aiohttp.ClientConnectorDNSError, "dns"),
    (_TooLarge, "too_large"),
    (aiohttp.ClientPayloadError, "truncated"),
    (aiohttp.ServerDisconnectedError, "truncated"),
)


def _word(error: Exception) -> Reason:
    if isinstance(error, aiohttp.ClientConnectorError) and isinstance(error.os_error, ConnectionRefusedError):
        return "refused"
    return next((word for kind, word in _WORDS if isinstance(error, kind)), "other")


def _place(url: URL) -> str:
    """The address without path and query, where a token may be."""
    return f"{url.scheme}://{url.raw_authority}"
