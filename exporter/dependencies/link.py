"""A connection to a server, by name, with or without TLS; and what went wrong with it.

Belongs here: what is true of each protocol that is spoken over a stream. Does not: what is said (one module each).
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

import msgspec

from exporter.connections.failure import first_line
from exporter.connections.resolve import Resolver
from exporter.connections.target import Host
from exporter.credentials import CredentialsError
from exporter.dependencies.results import CheckFailed, Result
from exporter.outbound import RemoteUnavailable, trusting

#: Seconds that a server is given to take its leave.
_LEAVE: Final = 0.5
#: Bytes of a line, at most.
_LINE: Final = 64 * 1024


class Link(msgspec.Struct, frozen=True):
    """An open connection; ``host`` is the name that its certificate has to have."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    host: str

    async def say(self, data: bytes) -> None:
        """Send."""
        self.writer.write(data)
        await self.writer.drain()

    async def line(self) -> bytes:
        """The next line without its end. Raises CheckFailed for one that has none."""
        try:
            return (await self.reader.readuntil(b"\n")).rstrip(b"\r\n")
        except asyncio.LimitOverrunError:
            raise CheckFailed("answer", f"a line of more than {_LINE} bytes") from None


class Dialer(msgspec.Struct, frozen=True):
    """Makes connections. ``timeout``: seconds of the whole check, of which all addresses but the last share a half."""

    resolver: Resolver
    timeout: float

    @contextlib.asynccontextmanager
    async def connected(self, host: str, port: int, tls: ssl.SSLContext | None = None) -> AsyncIterator[Link]:
        """A connection to the first of the host's addresses that takes one; closed at the end, whatever happens."""
        link = await self._connect(host, port, tls)
        try:
            yield link
        finally:
            await _leave(link.writer)

    async def _connect(self, host: str, port: int, tls: ssl.SSLContext | None) -> Link:
        literal = Host(host, port).literal_address
        *others, last = (literal,) if literal is not None else await self.resolver.resolve(host)
        for address in others:
            try:
                async with asyncio.timeout(self.timeout / 2 / len(others)):
                    return await self._open(address, host, port, tls)
            except ssl.SSLError:
                raise
            except OSError:  # TimeoutError is one; the next address may do better
                continue
        return await self._open(last, host, port, tls)

    @staticmethod
    async def _open(address: str, host: str, port: int, tls: ssl.SSLContext | None) -> Link:
        name = host if tls is not None else None
        return Link(*await asyncio.open_connection(address, port, limit=_LINE, ssl=tls, server_hostname=name), host)


async def _leave(writer: asyncio.StreamWriter) -> None:
    """Close, at once where the other side does not answer."""
    writer.close()
    try:
        async with asyncio.timeout(_LEAVE):
            await writer.wait_closed()
    except OSError:  # it is gone already, or does not answer
        pass
    finally:
        writer.transport.abort()


def trust(ca_file: str | None) -> ssl.SSLContext:
    """Who is trusted to sign certificates. Raises CheckFailed."""
    try:
        return trusting(ca_file)
    except RemoteUnavailable as error:
        raise CheckFailed("tls", str(error)) from error


def failure_of(error: Exception, timeout: float) -> CheckFailed | None:
    """What ``error`` means for a check of ``timeout`` seconds; None for one that nobody expected."""
    if isinstance(error, CheckFailed):
        return error
    if isinstance(error, TimeoutError):
        return CheckFailed("timeout", f"no answer within {timeout:g} s")
    for kind, result, text in _MEANINGS:
        if isinstance(error, kind):
            return CheckFailed(result, first_line(text(error)))
    return None


#: The first that fits counts: most are OSErrors.
_MEANINGS: Final[tuple[tuple[type[Exception], Result, Callable[[Any], str]], ...]] = (
    (CredentialsError, "vault", str),
    (EOFError, "other", lambda _: "the connection was closed"),
    (socket.gaierror, "dns", lambda e: e.strerror or "no such name"),
    (ssl.SSLCertVerificationError, "tls", lambda e: f"its certificate is not trusted: {e.verify_message}"),
    (ssl.SSLError, "tls", lambda e: e.reason or "TLS failed"),
    (ConnectionRefusedError, "refused", lambda _: "the connection was refused"),
    (ConnectionError, "other", lambda _: "the connection was closed"),
    (OSError, "other", lambda e: e.strerror or type(e).__name__),
)
