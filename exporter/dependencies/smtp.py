"""SMTP as far as a greeting: banner, EHLO, STARTTLS, EHLO, QUIT. No mail is sent."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Mapping
from typing import Final

from exporter.config.model import SmtpDependency
from exporter.dependencies.link import Dialer, Link, trust
from exporter.dependencies.results import CheckFailed, Count

_READY, _BYE, _OK = "220", "221", "250"
#: Lines of an answer, at most.
_MOST_LINES: Final = 100


class SmtpCheck:
    """Checks one mail server."""

    def __init__(self, config: SmtpDependency, dialer: Dialer) -> None:
        self._config = config
        self._dialer = dialer

    async def check(self) -> Mapping[Count, int]:
        """Nothing. Raises CheckFailed, OSError."""
        config = self._config
        tls = trust(config.ca_file) if config.tls else None
        async with self._dialer.connected(config.host, config.port, tls) as link:
            await _expect(link, _READY, "its greeting")
            offers = await _hello(link)
            if not config.tls and config.starttls != "never":
                await self._encrypt(link, offered="STARTTLS" in offers)
            await link.say(b"QUIT\r\n")
            await _expect(link, _BYE, "QUIT")
        return {}

    async def close(self) -> None:
        """Nothing is kept."""

    async def _encrypt(self, link: Link, *, offered: bool) -> None:
        """STARTTLS as the configuration wants it, then EHLO once more."""
        always = self._config.starttls == "always"
        if not offered:
            if always:
                raise CheckFailed("tls", "it does not offer STARTTLS")
            return
        await link.say(b"STARTTLS\r\n")
        await _expect(link, _READY, "STARTTLS")
        context = trust(self._config.ca_file) if always else _anybody()
        await link.writer.start_tls(context, server_hostname=link.host)
        await _hello(link)


def _anybody() -> ssl.SSLContext:
    """TLS as mail servers speak it among themselves: nothing secret is said here, and few have certificates to show."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


async def _hello(link: Link) -> set[str]:
    """What the server offers, in capitals."""
    await link.say(f"EHLO {socket.gethostname() or 'localhost'}\r\n".encode())
    return {line.split(" ", 1)[0].upper() for line in (await _expect(link, _OK, "EHLO"))[1:]}


async def _expect(link: Link, code: str, what: str) -> list[str]:
    """The lines of an answer with this code. Raises CheckFailed for another one."""
    found: list[str] = []
    while len(found) < _MOST_LINES:
        line = (await link.line()).decode("utf-8", "replace")
        if line[:3] != code:
            raise CheckFailed("answer", f"{what}: expected {code}; got {line[:100] or 'an empty line'}")
        found.append(line[4:])
        if line[3:4] != "-":
            return found
    raise CheckFailed("answer", f"{what}: more than {_MOST_LINES} lines")
