"""The sections of stores that are asked over HTTP: schedulers with a monitoring API of their own."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar, Final, Literal

from exporter.config.base import Duration, Name, Positive, Remote
from exporter.config.problems import Where

#: What people write who know stores in PostgreSQL, and what stands here in its place.
_INSTEAD: Final = MappingProxyType(
    {
        "dsn": "write url, the address of its API",
        "vault": 'write token: "${vault:path#field}"',
        "profile": "leave it out: the kind says how it is read",
        "parameters": "leave it out: the kind says how it is read",
        "trigger": "leave it out: these APIs trigger nothing",
    }
)


class HttpStore(Remote, frozen=True, kw_only=True):
    """What all kinds have. ``url`` is the address below which the API's paths begin.

    ``verify``: whether the server's certificate has to be trusted.
    """

    instead: ClassVar[Mapping[str, str]] = _INSTEAD

    name: Name
    verify: bool = True
    interval: Positive = Duration(15)
    staleness: Positive = Duration(300)
    worker_lost_after: Positive = Duration(120)


class NativelinkStore(HttpStore, frozen=True, kw_only=True):
    """A NativeLink scheduler with its ``monitoring`` service."""

    kind: Literal["nativelink"]


class ChronosStore(HttpStore, frozen=True, kw_only=True):
    """A CHRONOS scheduler."""

    kind: Literal["chronos"]


def check_tls(store: Where) -> None:
    """A trusted authority only where certificates are verified, verification only where there is TLS."""
    url, verify = store.get("url"), store.get("verify")
    plain = url is not None and url.startswith("http://")
    if store.get("ca_file") is not None and (plain or verify is False):
        store.problem("ca_file", "never used with http://" if plain else "never used with verify: false")
    if plain and verify is False:
        store.problem("verify", "never used with http://; there is no certificate")
