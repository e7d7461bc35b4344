"""A target as the checks see it: where it is, how it is spoken to, and where its credentials come from.

Belongs here: turning a target into libpq's connection parameters. Does not: reading the configuration.
"""

from __future__ import annotations

import ipaddress
import os

import msgspec

from exporter.config.model import SessionAttrs, SslMode, Target
from exporter.config.places import places
from exporter.credentials import Credentials, CredentialSource

APPLICATION_NAME = "scheduler-exporter"
#: Where systems keep the authorities that they trust. psycopg's wheels bring an OpenSSL that looks in none of them, so
#: that libpq's own `system` would trust nobody.
SYSTEM_AUTHORITIES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)


class Host(msgspec.Struct, frozen=True):
    """One of a target's hosts: a name, an address, or a unix socket's directory (or, with @, its abstract name)."""

    name: str
    port: int

    @property
    def is_socket(self) -> bool:
        """Whether it is reached without the network."""
        return self.name.startswith(("/", "@"))

    @property
    def literal_address(self) -> str | None:
        """``name`` where it is an address already and no name to look up."""
        try:
            return str(ipaddress.ip_address(self.name))
        except ValueError:
            return None


class CheckTarget(msgspec.Struct, frozen=True, kw_only=True):
    """A PostgreSQL server, or several of which one is wanted. ``login`` is used where there are no ``credentials``.

    ``host`` and ``port`` are as configured, ``hosts`` what they mean.
    """

    id: int | str
    name: str
    host: str
    port: int | str
    hosts: tuple[Host, ...]
    database: str
    session_attrs: SessionAttrs = "any"
    sslmode: SslMode = "prefer"
    sslrootcert: str | None = None
    sslcert: str | None = None
    sslkey: str | None = None
    login: Credentials = msgspec.field(default=Credentials(None, None))
    credentials: CredentialSource | None = None

    @classmethod
    def from_config(cls, target: Target, credentials: CredentialSource | None = None) -> CheckTarget:
        """The target of a configuration entry."""
        return cls(
            id=target.name if target.id is None else target.id,
            name=target.name,
            host=target.host,
            port=target.port,
            hosts=tuple(Host(name, port) for name, port in places(target.host, target.port)),
            database=target.database,
            session_attrs=target.target_session_attrs,
            sslmode=target.sslmode,
            sslrootcert=_authorities(target.sslrootcert),
            sslcert=target.sslcert,
            sslkey=target.sslkey,
            login=Credentials(target.user, target.password),
            credentials=credentials,
        )


class Place(msgspec.Struct, frozen=True):
    """Where one connection goes: ``address`` is None for a unix socket; ``session_attrs`` is what libpq demands there.

    ``server_name`` is what a server with several certificates chooses by, None where no name is known.
    """

    host: Host
    address: str | None
    session_attrs: SessionAttrs

    @property
    def server_name(self) -> str | None:
        """The host's name, if it is one."""
        return None if self.host.literal_address else self.host.name


def conninfo(target: CheckTarget, login: Credentials, place: Place) -> bytes:
    """libpq's connection string for one place.

    Empty values are deliberate: they keep the environment (PGHOSTADDR, PGOPTIONS, PGPASSWORD) from reaching
    targets that nobody meant them for. ~/.pgpass names its hosts, so it stays in use where no password is
    configured. GSS encryption is off: it is one more round trip, and one more connection where it fails.
    """
    parameters = {
        "host": place.host.name,
        "hostaddr": place.address or "",
        "port": str(place.host.port),
        "dbname": target.database,
        "user": login.user,
        "password": login.password.reveal() if login.password else "",
        "target_session_attrs": place.session_attrs,
        "sslmode": target.sslmode,
        "sslrootcert": target.sslrootcert,
        "sslcert": target.sslcert,
        "sslkey": target.sslkey,
        "gssencmode": "disable",
        "application_name": APPLICATION_NAME,
        "client_encoding": "utf8",
        "options": "",
        "keepalives": "1",
    }
    text = " ".join(f"{key}={_quoted(value)}" for key, value in parameters.items() if value is not None)
    return text.encode("utf-8", "surrogateescape")


def has_nul(target: CheckTarget, login: Credentials) -> bool:
    """Whether a parameter holds a NUL character: C would end the string there, and connect to something else."""
    files = (target.sslrootcert, target.sslcert, target.sslkey)
    password = login.password.reveal() if login.password else None
    texts = (target.host, target.database, login.user, password, *files)
    return any("\0" in text for text in texts if text)


def tries_tls_first(target: CheckTarget, host: Host) -> bool:
    """Whether TLS is what libpq asks for as soon as it has a connection."""
    return not host.is_socket and target.sslmode not in ("disable", "allow")


def _authorities(configured: str | None) -> str | None:
    """``configured``, or for `system` the file that it means; whoever sets OpenSSL's own variables is taken at that."""
    if configured != "system" or {"SSL_CERT_FILE", "SSL_CERT_DIR"} & os.environ.keys():
        return configured
    return next((path for path in SYSTEM_AUTHORITIES if os.access(path, os.R_OK)), configured)


def _quoted(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
