"""exporter-toolkit's web configuration (``--web.config.file``): TLS, client certificates, users, headers.

The format is that of https://github.com/prometheus/exporter-toolkit/blob/master/docs/web-configuration.md.
What Python's ``ssl`` cannot do is refused, never ignored; what is harmless is told in ``WebConfig.warnings``.
Certificates are not opened here (``exporter.httpd.tls`` does).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final, Literal

import msgspec
import yaml

from exporter.config.model import Section
from exporter.config.secrets import Secret
from exporter.errors import ConfigError

TlsVersion = Literal["TLS12", "TLS13"]
ClientAuth = Literal["NoClientCert", "VerifyClientCertIfGiven", "RequireAndVerifyClientCert"]

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
CURVES: Final = {
    "CurveP256": "prime256v1",
    "CurveP384": "secp384r1",
    "CurveP521": "secp521r1",
    "X25519": "X25519",
}
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
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)")
_UNITS: Final = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


class TlsServer(Section, frozen=True):
    """``tls_server_config``, checked: certificate and key each as a file or as text; paths are absolute."""

    cert: str | None = None
    key: Secret | None = None
    client_ca: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    client_ca_file: str | None = None
    client_auth_type: ClientAuth = "NoClientCert"
    client_allowed_sans: tuple[str, ...] = ()
    min_version: TlsVersion = "TLS12"
    max_version: TlsVersion = "TLS13"
    cipher_suites: tuple[str, ...] = ()
    prefer_server_cipher_suites: bool = True
    curve_preferences: tuple[str, ...] = ()


class RateLimit(Section, frozen=True):
    """A token bucket over all requests: one more each ``interval`` seconds, at most ``burst`` at once."""

    interval: float
    burst: int


class WebConfig(Section, frozen=True):
    """The whole file. ``headers`` holds what to set ("" unsets); ``users`` name -> bcrypt hash."""

    tls: TlsServer | None = None
    headers: dict[str, str] = msgspec.field(default_factory=dict)
    users: dict[str, Secret] = msgspec.field(default_factory=dict)
    rate_limit: RateLimit | None = None
    warnings: tuple[str, ...] = ()


class _Tls(Section, frozen=True):
    """``tls_server_config`` as written."""

    cert: str = ""
    key: str = ""
    client_ca: str = ""
    cert_file: str = ""
    key_file: str = ""
    client_ca_file: str = ""
    client_auth_type: str = "NoClientCert"
    client_allowed_sans: tuple[str, ...] | None = None
    min_version: str = "TLS12"
    max_version: str = "TLS13"
    cipher_suites: tuple[str, ...] = ()
    prefer_server_cipher_suites: bool = True
    curve_preferences: tuple[str, ...] = ()


class _Http(Section, frozen=True):
    http2: bool | None = None
    headers: dict[str, str] = msgspec.field(default_factory=dict)


class _Rate(Section, frozen=True):
    interval: str | int = 0
    burst: int = 0


class _File(Section, frozen=True):
    tls_server_config: Any = None
    http_server_config: Any = None
    basic_auth_users: Any = None
    rate_limit: Any = None


def load_web_config(path: str | Path) -> WebConfig:
    """Read and check the file; ConfigError lists every fault: ``file:line: key.path: what was expected``."""
    file = Path(path)
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else "not UTF-8 text"
        raise ConfigError([f"{file}: cannot read the web configuration: {reason}"]) from exc
    return parse_web_config(text, file)


def parse_web_config(text: str, path: Path) -> WebConfig:
    """The same from ``text``; relative paths in it start at the directory of ``path``."""
    reader = _Reader(path)
    top = reader.section(_File, reader.read(text), ())
    tls = _tls(reader, top.get("tls_server_config"), path.parent.absolute())
    http = reader.section(_Http, top.get("http_server_config"), ("http_server_config",))
    config = WebConfig(
        tls=tls,
        headers=_headers(reader, http.get("headers", {})),
        users=_users(reader, top.get("basic_auth_users")),
        rate_limit=_rate_limit(reader, top.get("rate_limit")),
        warnings=_warnings(http, tls),
    )
    if reader.problems:
        raise ConfigError(reader.problems)
    return config


class _Reader:
    """Collects faults with the line of the key they concern. No text here ever repeats a value."""

    def __init__(self, path: Path) -> None:
        self.problems: list[str] = []
        self._path = path
        self._lines: dict[tuple[str, ...], int] = {}

    def fault(self, key: tuple[str, ...], text: str) -> None:
        line = next((self._lines[key[:n]] for n in range(len(key), -1, -1) if key[:n] in self._lines), 1)
        name = f" {'.'.join(key)}:" if key else ""
        self.problems.append(f"{self._path}:{line}:{name} {text}")

    def read(self, text: str) -> Any:
        """The document as plain values; ConfigError when it is no YAML at all."""
        try:
            node = yaml.compose(text, Loader=yaml.SafeLoader)
            if node is not None:
                self._walk(node, ())
            return yaml.safe_load(text)
        except yaml.YAMLError as exc:
            # The error's own text may quote the line, and the line may be a key.
            mark = getattr(exc, "problem_mark", None)
            line = mark.line + 1 if mark is not None else 1
            raise ConfigError([f"{self._path}:{line}: not valid YAML"]) from None

    def _walk(self, node: yaml.Node, key: tuple[str, ...]) -> None:
        if not isinstance(node, yaml.MappingNode):
            return
        for name, value in node.value:
            path = (*key, str(name.value))
            if path in self._lines:
                self.fault(path, "given twice")
            self._lines[path] = name.start_mark.line + 1
            self._walk(value, path)

    def mapping(self, data: Any, key: tuple[str, ...]) -> dict[Any, Any]:
        if data is not None and not isinstance(data, dict):
            self.fault(key, "expected a mapping")
        return data if isinstance(data, dict) else {}

    def section(self, shape: type[Section], data: Any, key: tuple[str, ...]) -> dict[str, Any]:
        """The known keys of ``data`` that have the right type; a null counts as absent."""
        fields = {field.encode_name: field.type for field in msgspec.structs.fields(shape)}
        values = {}
        for name, value in self.mapping(data, key).items():
            path = (*key, str(name))
            if name not in fields:
                self.fault(path, f"unknown key{_nearest(name, fields)}")
            elif value is not None:
                try:
                    values[name] = msgspec.convert(value, fields[name])
                except msgspec.ValidationError as exc:
                    self.fault(path, str(exc))
        return values


def _nearest(name: object, known: Iterable[str]) -> str:
    known = list(known)
    near = get_close_matches(str(name), known, 1, 0.6)
    return f"; did you mean {near[0]}?" if near else f"; expected one of {', '.join(known)}"


def _tls(reader: _Reader, data: Any, base: Path) -> TlsServer | None:
    section = ("tls_server_config",)
    before = len(reader.problems)
    given = reader.section(_Tls, data, section)
    if not data:  # plain HTTP, as in the toolkit; a section with any key in it must be complete
        return None
    raw = _Tls(**given)
    for name in ("cert", "key"):
        _one_of(reader, raw, name, section)
    _client_rules(reader, raw, section)
    _version_rules(reader, raw, section)
    _suite_rules(reader, raw, section)
    if len(reader.problems) > before:
        return None
    files = {
        name: str(base / given[name])
        for name in ("cert_file", "key_file", "client_ca_file")
        if given.get(name)
    }
    return msgspec.structs.replace(
        msgspec.convert({k: v for k, v in given.items() if v != "" and k not in ("key", *files)}, TlsServer),
        key=Secret(raw.key) if raw.key else None,
        **files,
    )


def _one_of(reader: _Reader, raw: _Tls, name: str, section: tuple[str, ...]) -> None:
    inline, file = bool(getattr(raw, name)), bool(getattr(raw, f"{name}_file"))
    if inline and file:
        reader.fault((*section, name), f"give {name} or {name}_file, not both")
    if not (inline or file):
        reader.fault(section, f"missing one of {name} or {name}_file")


def _client_rules(reader: _Reader, raw: _Tls, section: tuple[str, ...]) -> None:
    kind, key = raw.client_auth_type or "NoClientCert", (*section, "client_auth_type")
    policies = ClientAuth.__args__  # type: ignore[attr-defined]
    authority = bool(raw.client_ca or raw.client_ca_file)
    if kind in _UNVERIFIED:
        reader.fault(
            key,
            f"{kind} would take any certificate unverified; use RequireAndVerifyClientCert",
        )
    elif kind not in policies:
        reader.fault(key, f"unknown policy{_nearest(kind, policies)}")
    elif authority and kind == "NoClientCert":
        reader.fault(key, "a client CA needs RequireAndVerifyClientCert or VerifyClientCertIfGiven")
    elif not authority and kind != "NoClientCert":
        reader.fault(section, f"{kind} needs client_ca_file or client_ca (the system's CAs are not used)")
    if raw.client_ca and raw.client_ca_file:
        reader.fault((*section, "client_ca"), "give client_ca or client_ca_file, not both")
    if raw.client_allowed_sans is not None:
        if not raw.client_allowed_sans:
            reader.fault(
                (*section, "client_allowed_sans"), "expected a name; without the key all are allowed"
            )
        elif kind != "RequireAndVerifyClientCert":
            reader.fault((*section, "client_allowed_sans"), "needs RequireAndVerifyClientCert")


def _version_rules(reader: _Reader, raw: _Tls, section: tuple[str, ...]) -> None:
    known = TlsVersion.__args__  # type: ignore[attr-defined]
    for name in ("min_version", "max_version"):
        version = getattr(raw, name)
        if version in ("TLS10", "TLS11"):
            reader.fault((*section, name), f"{version} is broken and not offered; expected TLS12 or TLS13")
        elif version not in known:
            reader.fault((*section, name), "expected TLS12 or TLS13")
    if (raw.min_version, raw.max_version) == ("TLS13", "TLS12"):
        reader.fault((*section, "max_version"), "is below min_version")


def _suite_rules(reader: _Reader, raw: _Tls, section: tuple[str, ...]) -> None:
    key = (*section, "cipher_suites")
    for suite in raw.cipher_suites:
        if suite not in CIPHERS and suite not in CIPHERS_13:
            reader.fault(key, f"unknown or insecure suite {suite}{_nearest(suite, CIPHERS)}")
    if raw.cipher_suites and raw.max_version == "TLS12" and not set(raw.cipher_suites) & CIPHERS.keys():
        reader.fault(key, "has no suite of TLS 1.2, the only version allowed by max_version")
    key = (*section, "curve_preferences")
    for curve in raw.curve_preferences:
        if curve not in CURVES:
            reader.fault(key, f"unknown curve {curve}; expected one of {', '.join(CURVES)}")
    if len(raw.curve_preferences) > 1:
        reader.fault(key, "Python's ssl takes one curve; give one, or none for OpenSSL's own order")


def _headers(reader: _Reader, headers: dict[str, str]) -> dict[str, str]:
    for name, value in headers.items():
        key = ("http_server_config", "headers", name)
        if name not in HEADERS:
            reader.fault(key, f"cannot be configured{_nearest(name, HEADERS)}")
        elif HEADERS[name] and value not in HEADERS[name]:
            reader.fault(key, f"expected {' or '.join(HEADERS[name])}")
        elif not value.isprintable():
            reader.fault(key, "expected one line of printable text")
    return headers


def _users(reader: _Reader, data: Any) -> dict[str, Secret]:
    users = {}
    for name, hashed in reader.mapping(data, ("basic_auth_users",)).items():
        key = ("basic_auth_users", str(name))
        match = _BCRYPT.fullmatch(hashed) if isinstance(hashed, str) else None
        if not isinstance(name, str):
            reader.fault(key, "expected text as the user's name; quote it")
        elif not name or ":" in name or not name.isprintable():
            reader.fault(key, "a user's name is printable, not empty and has no colon")
        elif match is None:
            reader.fault(key, "expected a bcrypt hash ($2y$10$...); make one with htpasswd -nBC 10")
        elif not 4 <= int(match[1]) <= 18:
            reader.fault(key, "expected a bcrypt cost from 4 to 18; above, one check takes minutes")
        else:
            users[name] = Secret(hashed)
    return users


def _rate_limit(reader: _Reader, data: Any) -> RateLimit | None:
    raw = _Rate(**reader.section(_Rate, data, ("rate_limit",)))
    parts = _DURATION.findall(str(raw.interval))
    if str(raw.interval) == "0":
        return None
    if "".join(number + unit for number, unit in parts) != str(raw.interval):
        reader.fault(("rate_limit", "interval"), "expected a duration such as 100ms or 1s, or 0 for no limit")
        return None
    interval = sum(float(number) * _UNITS[unit] for number, unit in parts)
    if interval > 0 and raw.burst < 1:
        reader.fault(("rate_limit", "burst"), "expected at least 1: nothing would be answered")
    return RateLimit(interval=interval, burst=raw.burst) if interval > 0 else None


def _warnings(http: dict[str, Any], tls: TlsServer | None) -> tuple[str, ...]:
    found = []
    if http.get("http2"):
        found.append("http_server_config.http2: HTTP/2 is not offered; clients negotiate HTTP/1.1")
    if tls is not None and set(tls.cipher_suites) & set(CIPHERS_13):
        found.append("tls_server_config.cipher_suites: the suites of TLS 1.3 are always offered")
    return tuple(found)
