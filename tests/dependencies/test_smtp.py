"""A real mail server, with and without TLS, and one that is none."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from typing import Any

import trustme
from aiosmtpd.smtp import SMTP
from dependencies.conftest import HOST, QUICK, watching

from exporter.config.model import SmtpDependency


class Mailbox:
    """Takes nothing, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []


@contextlib.asynccontextmanager
async def mail_server(tls: ssl.SSLContext | None = None, **options: Any) -> AsyncIterator[int]:
    """The port of a server; ``tls`` from the first byte on."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(Mailbox(), hostname="mail.test", **options), HOST, 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


def config(port: int, **changes: object) -> SmtpDependency:
    values = {**QUICK, "name": "mail", "kind": "smtp", "host": HOST, "port": port}
    return SmtpDependency(**{**values, **changes})  # type: ignore[arg-type]


def server_side(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(HOST).configure_cert(context)
    return context


async def test_starttls_is_used_where_it_is_offered(authority: trustme.CA, ca_file: str) -> None:
    async with (
        mail_server() as plain,
        mail_server(tls_context=server_side(authority)) as offers,
        watching(
            config(plain),
            config(plain, name="wants", starttls="always", ca_file=ca_file),
            config(offers, name="auto"),  # whose certificate nobody knows
            config(offers, name="always", starttls="always", ca_file=ca_file),
            config(offers, name="untrusted", starttls="always"),
            config(offers, name="never", starttls="never"),
        ) as watched,
    ):
        for name in ("mail", "auto", "always", "never"):
            state = await watched.checked(name)
            assert (state.result, state.message) == ("ok", None), name
        state = await watched.checked("wants")
        assert (state.result, state.message) == ("tls", "it does not offer STARTTLS")
        assert (await watched.checked("untrusted")).result == "tls"


async def test_starttls_is_required_by_the_server_and_spoken(authority: trustme.CA) -> None:
    """``require_starttls`` refuses all but EHLO, STARTTLS, NOOP and QUIT before it: the second EHLO is within TLS."""
    seen: list[bool] = []

    class Watcher(SMTP):
        async def smtp_EHLO(self, hostname: str) -> None:  # noqa: N802
            seen.append(self.session is not None and self.session.ssl is not None)
            await super().smtp_EHLO(hostname)

    loop = asyncio.get_running_loop()
    options = {"tls_context": server_side(authority), "require_starttls": True}
    server = await loop.create_server(lambda: Watcher(Mailbox(), hostname="mail.test", **options), HOST, 0)
    async with server, watching(config(server.sockets[0].getsockname()[1])) as watched:
        assert (await watched.checked("mail")).result == "ok"
        assert seen[:2] == [False, True]


async def test_tls_from_the_first_byte(authority: trustme.CA, ca_file: str) -> None:
    async with (
        mail_server(server_side(authority)) as port,
        watching(config(port, tls=True, ca_file=ca_file), config(port, name="plain", timeout=1.0)) as watched,
    ):
        assert (await watched.checked("mail")).result == "ok"
        assert (await watched.checked("plain")).result in ("timeout", "other", "answer")


async def test_what_answers_must_be_a_mail_server() -> None:
    async def refuses(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"554 no service for you\r\n")
        writer.close()

    server = await asyncio.start_server(refuses, HOST, 0)
    async with server, watching(config(server.sockets[0].getsockname()[1])) as watched:
        state = await watched.checked("mail")
        assert (state.result, state.message) == ("answer", "its greeting: expected 220; got 554 no service for you")
