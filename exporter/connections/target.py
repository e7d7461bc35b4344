"""A target as the checks see it: where it is, how it is spoken to, and where its credentials come from.

Belongs here: turning a target into libpq's connection parameters. Does not: reading the configuration.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field

from exporter.config.model import SslMode, Target
from exporter.credentials import Credentials, CredentialSource

APPLICATION_NAME = "scheduler-exporter"


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckTarget:
    """A PostgreSQL server to check. ``login`` is used where there are no ``credentials`` to ask for."""

    id: int | str
    name: str
    host: str
    port: int
    database: str
    sslmode: SslMode = "prefer"
    sslrootcert: str | None = None
    sslcert: str | None = None
    sslkey: str | None = None
    login: Credentials = field(default=Credentials(None, None))
    credentials: CredentialSource | None = None

    @classmethod
    def from_config(cls, target: Target, credentials: CredentialSource | None = None) -> CheckTarget:
        """The target of a configuration entry."""
        return cls(
            id=target.name if target.id is None else target.id,
            name=target.name,
            host=target.host,
            port=target.port,
            database=target.database,
            sslmode=target.sslmode,
            sslrootcert=target.sslrootcert,
            sslcert=target.sslcert,
            sslkey=target.sslkey,
            login=Credentials(target.user, target.password),
            credentials=credentials,
        )

    @property
    def is_socket(self) -> bool:
        """Whether ``host`` is a unix socket's directory (or, with @, its abstract name)."""
        return self.host.startswith(("/", "@"))

    @property
    def literal_address(self) -> str | None:
        """``host`` where it is an address already and no name to look up."""
        try:
            return str(ipaddress.ip_address(self.host))
        except ValueError:
            return None

    @property
    def tries_tls_first(self) -> bool:
        """Whether TLS is what libpq asks for as soon as it has a connection."""
        return not self.is_socket and self.sslmode not in ("disable", "allow")


def conninfo(target: CheckTarget, login: Credentials, address: str | None) -> bytes:
    """libpq's connection string; ``address`` is the one to connect to, None for a unix socket.

    Empty values are deliberate: they keep the environment (PGHOSTADDR, PGOPTIONS, PGPASSWORD) from reaching
    targets that nobody meant them for. ~/.pgpass names its hosts, so it stays in use where no password is
    configured. GSS encryption is off: it is one more round trip, and one more connection where it fails.
    """
    parameters = {
        "host": target.host,
        "hostaddr": address or "",
        "port": str(target.port),
        "dbname": target.database,
        "user": login.user,
        "password": login.password.reveal() if login.password else "",
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


def _quoted(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
