"""The section about what a scheduler leans on beside its store: what is checked, how, and how often."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from exporter.config.base import Broker, Duration, Name, PageUrl, Port, Positive, RedisUrl, Section, Text
from exporter.config.secrets import Secret


class Dependency(Section, frozen=True, kw_only=True):
    """What all kinds have. One that is ``required`` makes ``/health/ready`` fail while it is down."""

    name: Name
    required: bool = False
    interval: Positive = Duration(15)
    timeout: Positive = Duration(5)
    staleness: Positive = Duration(300)


class RedisDependency(Dependency, frozen=True, kw_only=True):
    """A Redis server: it answers PING, and its INFO is read."""

    kind: Literal["redis"]
    url: RedisUrl
    username: Text | None = None
    password: Secret | None = None
    ca_file: Text | None = None


class KafkaDependency(Dependency, frozen=True, kw_only=True):
    """A Kafka cluster: one of ``brokers`` answers, ``topics`` are there, and positions in them are read."""

    kind: Literal["kafka"]
    brokers: Annotated[tuple[Broker, ...], Meta(min_length=1)]
    topics: tuple[Text, ...] = ()
    groups: tuple[Text, ...] = ()
    username: Text | None = None
    password: Secret | None = None
    tls: bool = False
    ca_file: Text | None = None


class HttpDependency(Dependency, frozen=True, kw_only=True):
    """A page that answers with one of ``statuses``; none are those from 200 to 299."""

    kind: Literal["http"]
    url: PageUrl
    method: Literal["GET", "HEAD"] = "GET"
    statuses: tuple[Annotated[int, Meta(ge=100, le=599)], ...] = ()
    username: Text | None = None
    password: Secret | None = None
    token: Secret | None = None
    ca_file: Text | None = None


class SmtpDependency(Dependency, frozen=True, kw_only=True):
    """A mail server that greets and takes EHLO; ``tls`` from the first byte on, ``starttls`` after EHLO."""

    kind: Literal["smtp"]
    host: Text
    port: Port = 25
    starttls: Literal["auto", "always", "never"] = "auto"
    tls: bool = False
    ca_file: Text | None = None


class TcpDependency(Dependency, frozen=True, kw_only=True):
    """Something that takes connections, and with ``tls`` shows a certificate that is trusted."""

    kind: Literal["tcp"]
    host: Text
    port: Port
    tls: bool = False
    ca_file: Text | None = None
