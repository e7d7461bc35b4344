"""From ``tls_server_config`` to an SSLContext. Files are read here, each time anew."""

from __future__ import annotations

import contextlib
import os
import ssl
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final

from exporter.config.web import CIPHERS, TlsServer, load_web_config
from exporter.errors import ConfigError

_VERSIONS: Final = {"TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3}
_CURVES: Final = {
    "CurveP256": "prime256v1",
    "CurveP384": "secp384r1",
    "CurveP521": "secp521r1",
    "X25519": "X25519",
}
_VERIFY: Final = {
    "VerifyClientCertIfGiven": ssl.CERT_OPTIONAL,
    "RequireAndVerifyClientCert": ssl.CERT_REQUIRED,
}


def check_web_config(path: str | Path) -> None:
    """Read the file and open its certificates without serving anything; ConfigError says what is wrong."""
    config = load_web_config(path)
    if config.tls is not None:
        server_context(config.tls)


def server_context(tls: TlsServer) -> ssl.SSLContext:
    """A context for new handshakes; ConfigError names the file that cannot be used."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _VERSIONS[tls.min_version or "TLS12"]
    context.maximum_version = _VERSIONS[tls.max_version or "TLS13"]
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    if tls.prefer_server_cipher_suites is False:
        context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    with _explained("cipher_suites and curve_preferences", "what is listed"):
        _use_suites(context, tls)
    context.set_alpn_protocols(["http/1.1"])
    _use_certificate(context, tls)
    _use_client_authority(context, tls)
    return context


def _use_suites(context: ssl.SSLContext, tls: TlsServer) -> None:
    suites = [CIPHERS[name] for name in tls.cipher_suites if name in CIPHERS]
    if suites:
        context.set_ciphers(":".join(suites))
    elif tls.cipher_suites:  # only TLS 1.3's were listed: so nothing older may be spoken
        context.minimum_version = ssl.TLSVersion.TLSv1_3
    for curve in tls.curve_preferences:
        context.set_ecdh_curve(_CURVES[curve])


def _use_certificate(context: ssl.SSLContext, tls: TlsServer) -> None:
    with contextlib.ExitStack() as stack:
        cert = tls.cert_file or stack.enter_context(_as_file(tls.cert or ""))
        key = tls.key_file or stack.enter_context(_as_file(tls.key.reveal() if tls.key else ""))
        names = f"{tls.cert_file or 'the inline cert'} and {tls.key_file or 'the inline key'}"
        with _explained("certificate and key", names):
            # An encrypted key would ask for its passphrase on the terminal.
            context.load_cert_chain(cert, key, password=lambda: b"")


def _use_client_authority(context: ssl.SSLContext, tls: TlsServer) -> None:
    if tls.client_auth_type is None or tls.client_auth_type == "NoClientCert":
        return
    with _explained("client_ca_file", tls.client_ca_file or "the inline client_ca"):
        context.load_verify_locations(cafile=tls.client_ca_file or None, cadata=tls.client_ca or None)
    # As Go does: each certificate in the file is trusted itself, an intermediate or a client's own one too.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.verify_mode = _VERIFY[tls.client_auth_type]


@contextlib.contextmanager
def _explained(key: str, name: str) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as exc:  # ssl.SSLError is an OSError
        reason = exc.reason if isinstance(exc, ssl.SSLError) and exc.reason else getattr(exc, "strerror", None)
        text = (reason or "not usable").replace("_", " ").lower()
        raise ConfigError([f"tls_server_config: {key}: cannot use {name}: {text}"]) from exc


@contextlib.contextmanager
def _as_file(text: str) -> Iterator[str]:
    """``text`` under a path, as OpenSSL wants it: in memory if the system can, for it may be a key."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("pem")
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            yield f"/proc/self/fd/{descriptor}"
        return
    with tempfile.NamedTemporaryFile("w", encoding="utf-8") as file:  # mode 0600
        file.write(text)
        file.flush()
        yield file.name


def san_allowed(certificate: Mapping[str, Any] | None, allowed: Sequence[str]) -> bool:
    """Whether one of the certificate's alternative names (DNS, e-mail, IP, URI) equals one of ``allowed``."""
    names = (certificate or {}).get("subjectAltName", ())
    return any(_canonical(kind, value) in allowed for kind, value in names)


def _canonical(kind: str, value: str) -> str:
    if kind != "IP Address":
        return value
    try:
        return str(ip_address(value.strip()))  # OpenSSL writes ::1 in full
    except ValueError:
        return value
