"""When a server's certificate ends, where no login shows it: read in a TLS handshake of its own, broken off after it.

It tells the end of a certificate that libpq has just refused because it has ended. The server starts no session for it.
"""

from __future__ import annotations

import asyncio
import calendar
import contextlib
import ssl
import struct
import time
from typing import Final

#: PostgreSQL's request to go on in TLS: length 8, code 80877103. The answer is one byte, S or N.
_SSL_REQUEST: Final = struct.pack("!ii", 8, 80877103)
_INTEGER, _SEQUENCE, _UTC_TIME, _VERSION = 0x02, 0x30, 0x17, 0xA0


async def fetch_expiry(address: str, port: int, server_name: str | None) -> float | None:
    """The notAfter (Unix seconds) of the certificate at ``address``, None when the server does no TLS.

    ``server_name`` is what a server with several certificates chooses by. Nothing is verified: the date of a
    bad certificate is wanted too. Raises OSError (ssl.SSLError), EOFError or ValueError; the caller sets the
    deadline.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    reader, writer = await asyncio.open_connection(address, port)
    try:
        writer.write(_SSL_REQUEST)
        if await reader.readexactly(1) != b"S":
            return None
        await writer.start_tls(context, server_hostname=server_name)
        der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        writer.close()  # in due form: the server would log a connection that is cut off
        with contextlib.suppress(OSError):
            await writer.wait_closed()
    finally:
        writer.transport.abort()
    return None if der is None else not_after(der)


def not_after(der: bytes) -> float:
    """The end of an X.509 certificate's validity in Unix seconds. Raises ValueError for anything else.

    RFC 5280, 4.1: Certificate {TBSCertificate {[0] version, serial, signature, issuer, Validity {notBefore,
    notAfter}.
    """
    _, certificate, _ = _element(der)
    _, body, _ = _element(certificate)
    tag, _, rest = _element(body)
    if tag == _VERSION:
        tag, _, rest = _element(rest)
    if tag != _INTEGER:
        raise ValueError("not a certificate")
    for _ in ("signature", "issuer"):
        _, _, rest = _element(rest)
    tag, validity, _ = _element(rest)
    if tag != _SEQUENCE:
        raise ValueError("not a certificate")
    tag, text, _ = _element(_element(validity)[2])
    return _time(text.decode("ascii"), short=tag == _UTC_TIME)


def _time(text: str, *, short: bool) -> float:
    if short:  # two digits: 50 to 99 are of the last century
        text = ("19" if text >= "5" else "20") + text
    return float(calendar.timegm(time.strptime(text, "%Y%m%d%H%M%SZ")))


def _element(data: bytes) -> tuple[int, bytes, bytes]:
    """The first DER element of ``data``: its tag, its content, and what follows it."""
    if len(data) < 2:
        raise ValueError("not a certificate")
    size, start = data[1], 2
    if size & 0x80:  # the length itself takes several bytes
        start += size & 0x7F
        size = int.from_bytes(data[2:start], "big")
    if start + size > len(data):
        raise ValueError("not a certificate")
    return data[0], data[start : start + size], data[start + size :]
