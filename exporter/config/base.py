"""What sections of the configuration are made of: types of single values, and what several sections share."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, ClassVar

import msgspec
from msgspec import Meta

from exporter.config.references import Template, written
from exporter.config.secrets import Secret


class Duration(float):
    """Seconds. Written ``15s``, ``5m``, ``2h``, ``35d``, ``500ms``; never a bare number."""

    __slots__ = ()


class Dsn(str):
    """A PostgreSQL connection string (URI or key=value). Its repr leaves the password out.

    One with a ``template`` is followed before each login; its text is then what the file says, references and all.
    """

    __slots__ = ("template",)
    template: Template | None

    def __new__(cls, text: str | Template) -> Dsn:
        dsn = super().__new__(cls, text if isinstance(text, str) else written(text))
        dsn.template = getattr(text, "template", None) if isinstance(text, str) else text
        return dsn

    def __eq__(self, other: object) -> bool:
        return str.__eq__(self, other) is True and self.template == getattr(other, "template", None)

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = str.__hash__

    def __repr__(self) -> str:
        return "<dsn>"


# What one key alone must keep to. Formats are our own (``scalars``): msgspec bounds plain numbers only.
Positive = Annotated[Duration, Meta(extra={"format": "positive"})]
Name = Annotated[str, Meta(min_length=1, max_length=200)]
Text = Annotated[str, Meta(min_length=1)]
Sql = Annotated[str, Meta(min_length=1, extra={"format": "sql"})]
ListenAddress = Annotated[str, Meta(extra={"format": "listen_address"})]
HttpUrl = Annotated[str, Meta(min_length=1, extra={"format": "http_url"})]
VaultPath = Annotated[str, Meta(min_length=1, extra={"format": "vault_path"})]
TelemetryPath = Annotated[str, Meta(extra={"format": "telemetry_path"})]
TriggerUrl = Annotated[str, Meta(extra={"format": "trigger_url"})]
RedisUrl = Annotated[str, Meta(extra={"format": "redis_url"})]
PageUrl = Annotated[str, Meta(extra={"format": "page_url"})]
Broker = Annotated[str, Meta(extra={"format": "broker"})]
Port = Annotated[int, Meta(ge=1, le=65535)]
Ports = Port | Annotated[str, Meta(extra={"format": "ports"})]
Ratio = Annotated[float, Meta(ge=0, le=1)]
Amount = Annotated[float, Meta(ge=0)]


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The base of every section. ``instead``: what to do where a key of another kind was written, by that key."""

    instead: ClassVar[Mapping[str, str]] = MappingProxyType({})


class Remote(Section, frozen=True, kw_only=True):
    """An HTTP API that is asked: a login or a bearer token at most; ``ca_file`` is trusted instead of the system's."""

    url: HttpUrl
    username: Text | None = None
    password: Secret | None = None
    token: Secret | None = None
    ca_file: Text | None = None
    timeout: Positive = Duration(5)
