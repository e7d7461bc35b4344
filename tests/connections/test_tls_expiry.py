"""The end of a certificate, against certificates that others made."""

from __future__ import annotations

import asyncio
import datetime as dt
import socket
import ssl
from typing import Any

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from support.faulty_servers import LOCALHOST, Server

from exporter.config.secrets import Secret
from exporter.connections.tls_expiry import fetch_expiry, not_after


def certificate(end: dt.datetime) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "x" * 60)] * 4)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(dt.datetime(1990, 1, 1, tzinfo=dt.UTC)).not_valid_after(end)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


@pytest.mark.parametrize("year", [1999, 2000, 2024, 2049, 2050, 2100, 9999])
def test_not_after(year: int) -> None:
    end = dt.datetime(year, 12, 31, 23, 59, 59, tzinfo=dt.UTC)
    assert not_after(certificate(end)) == end.timestamp()


def test_not_after_of_trustme(authority: trustme.CA) -> None:
    pem = authority.issue_cert("db.example").cert_chain_pems[0].bytes()
    expected = x509.load_pem_x509_certificate(pem).not_valid_after_utc.timestamp()
    assert not_after(ssl.PEM_cert_to_DER_cert(pem.decode())) == expected


def test_anything_else_is_refused() -> None:
    der = certificate(dt.datetime(2030, 1, 1, tzinfo=dt.UTC))
    for junk in (b"", b"\x30", b"\x30\x84\xff\xff\xff\xff", der[:40], der[:-1], b"\x30\x03\x30\x01\x30", bytes(500)):
        with pytest.raises(ValueError):
            not_after(junk)


async def test_fetched(tls_server: Server) -> None:
    before = tls_server.log.read_bytes()
    found = await fetch_expiry(LOCALHOST, tls_server.port, "localhost")
    pem = (tls_server.log.parent / "data" / "server.crt").read_bytes()
    assert found == x509.load_pem_x509_certificate(pem).not_valid_after_utc.timestamp()
    assert await fetch_expiry(LOCALHOST, tls_server.port, None) == found
    assert tls_server.log.read_bytes() == before  # nothing that an administrator would wonder about


async def test_a_login_shows_it_without_a_handshake_more(
    check: Any, tls_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(*_: Any) -> float | None:
        raise AssertionError("the login has shown it")

    monkeypatch.setattr("exporter.connections.check.fetch_expiry", never)
    pem = (tls_server.log.parent / "data" / "server.crt").read_bytes()
    login = {"database": "postgres", "user": "postgres", "password": Secret("secret")}
    result = await check(port=tls_server.port, sslmode="require", **login)
    assert result.tls_expiry == x509.load_pem_x509_certificate(pem).not_valid_after_utc.timestamp()


async def test_server_without_tls(postgres_server: Any) -> None:
    assert await fetch_expiry(LOCALHOST, postgres_server.port, None) is None


async def test_server_that_ends_the_handshake(rude_port: int) -> None:
    with pytest.raises((OSError, EOFError)):
        await fetch_expiry(LOCALHOST, rude_port, None)


async def test_server_that_starts_no_handshake() -> None:
    async def say_yes(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(8)
        writer.write(b"S")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(say_yes, LOCALHOST, 0, family=socket.AF_INET)
    async with server:
        with pytest.raises((OSError, EOFError)):
            await fetch_expiry(LOCALHOST, server.sockets[0].getsockname()[1], None)
