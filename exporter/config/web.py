"""exporter-toolkit's web configuration (``--web.config.file``): TLS, client certificates, users, headers.

The format is that of https://github.com/prometheus/exporter-toolkit/blob/master/docs/web-configuration.md.
What Python's ``ssl`` cannot do is refused, never ignored; what is harmless is told in ``WebConfig.warnings``.
Certificates are not opened here (``exporter.httpd.tls`` does).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final, Literal, cast

import msgspec
from msgspec.structs import replace

from exporter.config.convert import Check, Reader
from exporter.config.follow import Verbatim
from exporter.config.model import Duration, Section
from exporter.config.problems import BROKEN, Report, Where, nearest
from exporter.config.secrets import Secret
from exporter.config.shapes import Shape
from exporter.config.yaml_lines import YamlFaultError, compose

#: The suites that Go's ``tls.CipherSuites`` names for TLS 1.2, with OpenSSL's names.
CIPHERS: Final = {
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA": "ECDHE-ECDSA-AES128-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA": "ECDHE-ECDSA-AES256-SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA": "ECDHE-RSA-AES128-SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA": "ECDHE-RSA-AES256-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256": "ECDHE-ECDSA-AES128-GCM-SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": "ECDHE-ECDSA-AES256-GCM-SHA384",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256": "ECDHE-RSA-AES128-GCM-SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384": "ECDHE-RSA-AES256-GCM-SHA384",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-RSA-CHACHA20-POLY1305",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-ECDSA-CHACHA20-POLY1305",
}
#: TLS 1.3's suites: Go and OpenSSL always offer all three, whatever the list says.
CIPHERS_13: Final = ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256")
#: The headers that may be configured, and the values allowed where they are an enumeration.
HEADERS: Final[dict[str, tuple[str, ...]]] = {
    "Content-Security-Policy": (),
    "X-Frame-Options": ("deny", "sameorigin"),
    "X-Content-Type-Options": ("nosniff",),
    "X-XSS-Protection": (),
    "Strict-Transport-Security": (),
}
_BCRYPT: Final = re.compile(r"\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{21}[.Oeu][./A-Za-z0-9]{31}")
_UNVERIFIED: Final = ("RequestClientCert", "RequireAnyClientCert", "RequireClientCert")
_STRICT: Final = "RequireAndVerifyClientCert"

TlsVersion = Literal["TLS10", "TLS11", "TLS12", "TLS13"]
Curve = Literal["CurveP256", "CurveP384", "CurveP521", "X25519"]
ClientAuth = Literal[
    "NoClientCert",
    "VerifyClientCertIfGiven",
    "RequireAndVerifyClientCert",
    "RequestClientCert",
    "RequireAnyClientCert",
    "RequireClientCert",
]


class TlsServer(Section, frozen=True, kw_only=True):
    """``tls_server_config``. Certificate and key each as a file or as text; None is the toolkit's default."""

    cert: str | None = None
    key: Secret | None = None
    client_ca: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    client_ca_file: str | None = None
    client_auth_type: ClientAuth | None = None
    client_allowed_sans: tuple[str, ...] | None = None
    min_version: TlsVersion | None = None
    max_version: TlsVersion | None = None
    cipher_suites: tuple[str, ...] = ()
    prefer_server_cipher_suites: bool | None = None
    curve_preferences: tuple[Curve, ...] = ()


class HttpServer(Section, frozen=True, kw_only=True):
    """``http_server_config``. ``headers`` holds what to set; "" leaves that header out."""

    http2: bool | None = None
    headers: dict[str, str] = msgspec.field(default_factory=dict)


class RateLimit(Section, frozen=True, kw_only=True):
    """``rate_limit``: one more request each ``interval`` (0: no limit), at most ``burst`` at once."""

    interval: Duration = Duration(0)
    burst: int = 0


class WebConfig(Section, frozen=True, kw_only=True):
    """The whole file; paths in it are absolute. ``basic_auth_users`` maps names to bcrypt hashes."""

    tls_server_config: TlsServer = TlsServer()
    http_server_config: HttpServer = HttpServer()
    basic_auth_users: dict[str, Secret] = msgspec.field(default_factory=dict)
    rate_limit: RateLimit = RateLimit()

    @property
    def tls(self) -> TlsServer | None:
        """How to speak TLS, or None for plain HTTP."""
        return None if self.tls_server_config == TlsServer() else self.tls_server_config

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is taken over otherwise than written, without harm."""
        found = []
        if self.http_server_config.http2:
            found.append("http_server_config.http2: HTTP/2 is not offered; clients negotiate HTTP/1.1")
        if set(self.tls_server_config.cipher_suites) & set(CIPHERS_13):
            found.append("tls_server_config.cipher_suites: the suites of TLS 1.3 are always offered")
        return tuple(found)


def load_web_config(path: str | Path) -> WebConfig:
    """Read and check the file; ConfigError lists every fault: ``file:line: key.path: what was expected``."""
    report = Report(str(path))
    text = ""
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except OSError as exc:
        report.add_syntax(f"cannot read the web configuration: {exc.strerror}")
    except UnicodeDecodeError:
        report.add_syntax("the file is not UTF-8 text")
    report.raise_if_any()
    return parse_web_config(text, Path(path))


def parse_web_config(text: str, path: Path) -> WebConfig:
    """The same from ``text``; relative paths in it start at the directory of ``path``. An empty text is valid."""
    report = Report(str(path))
    config = WebConfig()
    try:
        root = compose(text)
    except YamlFaultError as fault:
        report.add_syntax(fault.text, line=fault.line, column=fault.column)
    else:
        if root is not None:
            # Unlike our own file this one has no ${...}: other exporters read it too, and they know none.
            reader = Reader(report, Verbatim(), _CHECKS)
            config = cast(WebConfig, reader.read(Shape(structs=(WebConfig,), optional=True), root[1], ()))
    report.raise_if_any()
    return _with_absolute_paths(config or WebConfig(), path.parent.absolute())


def _with_absolute_paths(config: WebConfig, base: Path) -> WebConfig:
    tls = config.tls_server_config
    names = ("cert_file", "key_file", "client_ca_file")
    paths = {name: str(base / given) for name in names if (given := getattr(tls, name))}
    return replace(config, tls_server_config=replace(tls, **paths))


def _check_tls(tls: Where) -> None:
    """Complete, free of contradictions, and within what Python's ``ssl`` can do."""
    if tls.value == TlsServer():  # plain HTTP, as in the toolkit; a section with any key must be complete
        return
    for name in ("cert", "key"):
        if getattr(tls.value, name) and getattr(tls.value, f"{name}_file"):
            tls.problem(name, f"expected {name} or {name}_file, not both")
        elif not (getattr(tls.value, name) or getattr(tls.value, f"{name}_file")):
            tls.problem(f"{name}_file", f"required: {name}_file or {name}")
    _check_clients(tls)
    _check_versions(tls)
    _check_suites(tls)


def _check_clients(tls: Where) -> None:
    policy = tls.get("client_auth_type") or "NoClientCert"
    authority = tls.value.client_ca or tls.value.client_ca_file
    if tls.value.client_ca and tls.value.client_ca_file:
        tls.problem("client_ca", "expected client_ca or client_ca_file, not both")
    if policy in _UNVERIFIED:
        text = f"{policy} takes certificates unverified and is not supported; use {_STRICT}"
        tls.problem("client_auth_type", text)
    elif tls.value.client_auth_type is not BROKEN and authority and policy == "NoClientCert":
        tls.problem("client_auth_type", f"expected {_STRICT} or VerifyClientCertIfGiven with a client CA")
    elif not authority and policy != "NoClientCert":
        tls.problem("client_ca_file", f"required with {policy}: the system's CAs are not used")
    allowed = tls.get("client_allowed_sans")
    if allowed is not None and not allowed:
        tls.problem("client_allowed_sans", "expected a name; without the key all names are allowed")
    elif allowed and policy != _STRICT:
        tls.problem("client_allowed_sans", f"needs client_auth_type {_STRICT}")


def _check_versions(tls: Where) -> None:
    for name in ("min_version", "max_version"):
        version = tls.get(name)
        if version in ("TLS10", "TLS11"):
            tls.problem(name, f"{version} is broken and not offered; expected TLS12 or TLS13")
    if (tls.get("min_version"), tls.get("max_version")) == ("TLS13", "TLS12"):
        tls.problem("max_version", "expected at least min_version, which is TLS13")


def _check_suites(tls: Where) -> None:
    suites = tls.get("cipher_suites") or ()
    for index, suite in enumerate(suites):
        if suite not in CIPHERS and suite not in CIPHERS_13:
            text = f"unknown or insecure suite{nearest(str(suite), CIPHERS)} (known: {', '.join(CIPHERS)})"
            tls.problem("cipher_suites", text, index)
    if suites and tls.get("max_version") == "TLS12" and not set(suites) & CIPHERS.keys():
        tls.problem("cipher_suites", "has no suite of TLS 1.2, the only version that max_version allows")
    if len(tls.get("curve_preferences") or ()) > 1:
        text = "Python's ssl takes one curve; give one, or none for OpenSSL's own order"
        tls.problem("curve_preferences", text)


def _check_http(http: Where) -> None:
    for name, value in (http.get("headers") or {}).items():
        if name not in HEADERS:
            text = f"cannot be configured{nearest(name, HEADERS)} (known: {', '.join(HEADERS)})"
            http.problem("headers", text, name)
        elif value is BROKEN:
            continue
        elif HEADERS[name] and value not in HEADERS[name]:
            http.problem("headers", f"expected {' or '.join(HEADERS[name])}", name)
        elif not value.isprintable():
            http.problem("headers", "expected one line of printable text", name)


def _check_rate(rate: Where) -> None:
    burst = rate.get("burst")
    if rate.get("interval") and burst is not None and burst < 1:
        rate.problem("burst", "expected at least 1: nothing would be answered")


def _check_users(config: Where) -> None:
    for name, hashed in (config.get("basic_auth_users") or {}).items():
        if not name or ":" in name or not name.isprintable():
            text = "expected a user's name: printable, not empty, without a colon"
            config.problem("basic_auth_users", text, name)
        if hashed is BROKEN:
            continue
        match = _BCRYPT.fullmatch(hashed.reveal()) if hashed is not None else None
        if match is None:
            text = "expected a bcrypt hash ($2y$10$...); make one with htpasswd -nBC 10 ''"
            config.problem("basic_auth_users", text, name)
        elif not 4 <= int(match[1]) <= 18:
            text = "expected a bcrypt cost from 4 to 18; above, one check takes minutes"
            config.problem("basic_auth_users", text, name)


_CHECKS: Final[dict[type, Check]] = {
    TlsServer: _check_tls,
    HttpServer: _check_http,
    RateLimit: _check_rate,
    WebConfig: _check_users,
}
