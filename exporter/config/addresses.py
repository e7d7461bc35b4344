"""Addresses and paths: those of the HTTP listener, and those of servers that are asked over HTTP."""

from __future__ import annotations

import ipaddress
import re
from typing import Final
from urllib.parse import urlsplit

#: Paths that are answered whatever the configuration says.
RESERVED_PATHS: Final = (
    "/",
    "/health",
    "/health/live",
    "/health/ready",
    "/-/healthy",
    "/-/ready",
    "/-/reload",
    "/config",
    "/docs",
    "/live",
    "/openapi.json",
    "/probe",
    "/sd",
    "/sign-in",
    "/sign-out",
)
#: And everything below these.
RESERVED: Final = ("/api/", "/monitoring/", "/jobs/", "/act/")

_ADDRESS: Final = re.compile(r"(\[[^\[\]]*\]|[A-Za-z0-9._-]*):([0-9]{1,5})")
_PATH: Final = re.compile(r"(?:/[A-Za-z0-9._~-]+)+/?")
_BLANK: Final = re.compile(r"[\s\x00-\x1f\x7f]")
#: What would end a URL's path, or make it another one.
_UNSAFE: Final = re.compile(r"[\x00-\x1f\x7f?#%\\]")
_EXPECTED: Final = "expected host:port, :port or [::1]:port with a port from 0 to 65535"


def parse_listen_address(text: str) -> tuple[str, int]:
    """``("127.0.0.1", 9795)``; the host has no brackets and is "" for every interface.

    ValueError says what is wrong.
    """
    if text.startswith("unix:"):
        raise ValueError(f"{_EXPECTED}; Unix sockets are not supported")
    match = _ADDRESS.fullmatch(text)
    if match is None or int(match[2]) > 65535:
        hint = "; an IPv6 address stands in brackets" if text.count(":") > 1 and "[" not in text else ""
        raise ValueError(f"{_EXPECTED}{hint}")
    host = match[1]
    if host.startswith("["):
        host = host[1:-1]
        try:
            ipaddress.IPv6Address(host)
        except ValueError:
            raise ValueError(f"{_EXPECTED}; what is in the brackets is no IPv6 address") from None
    return host, int(match[2])


def check_listen_address(value: str | tuple[str, ...]) -> str | tuple[str, ...]:
    """The address as it is, if it can be listened on; ValueError otherwise. Those of a list were checked before it."""
    if isinstance(value, str):
        parse_listen_address(value)
    return value


def is_loopback(address: str) -> bool:
    """Whether only this machine reaches what listens on ``address``."""
    host, _ = parse_listen_address(address)
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def check_telemetry_path(text: str) -> str:
    """The text as it is, if metrics can be served there; ValueError otherwise."""
    if not text.startswith("/"):
        raise ValueError('expected a path that begins with "/"')
    if text in RESERVED_PATHS or text.rstrip("/") in RESERVED_PATHS or text.startswith(RESERVED):
        taken = ", ".join((*RESERVED_PATHS, *RESERVED))
        raise ValueError(f"expected a path that is not taken: {taken} are")
    if not _PATH.fullmatch(text):
        raise ValueError("expected a path of letters, digits and . _ ~ - between single slashes")
    return text


def check_http_url(text: str) -> str:
    """The base URL of a server without its last slash; ValueError, which never shows the URL, when it is none."""
    expected = "expected a URL such as https://server.example.com:8200"
    try:
        url = urlsplit(text)
        port_fits = url.port is None or url.port > 0
    except ValueError:
        raise ValueError(expected) from None
    if url.username is not None or url.password is not None:
        raise ValueError(f"{expected}; it must not hold a login")
    if url.scheme not in ("http", "https") or not url.hostname or not port_fits or _BLANK.search(text):
        raise ValueError(expected)
    if url.query or url.fragment:
        raise ValueError(f"{expected}; without a query or a fragment")
    return text.rstrip("/")


def check_vault_path(text: str) -> str:
    """A path within Vault without slashes at its ends; ValueError when it is none."""
    path = text.strip("/")
    if path.startswith("v1/"):
        raise ValueError('expected a path without the leading "v1/", such as secret/data/reports')
    if not path or any(part in ("", ".", "..") for part in path.split("/")) or _UNSAFE.search(path):
        raise ValueError("expected a path in Vault, such as secret/data/reports")
    return path
