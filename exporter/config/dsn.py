"""PostgreSQL connection strings, parsed by libpq itself. Nothing of one is ever part of an error."""

from __future__ import annotations

import re
from typing import Any, Final

import psycopg
from psycopg import pq
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from exporter.config.secrets import REDACTED

# libpq marks most of its secrets itself; these hold one or lead to one as well.
_SECRET_KEYS: Final = frozenset(
    {"password", "passfile", "sslpassword", "oauth_client_secret", "scram_client_key", "scram_server_key"}
)
# A port for each host; one that is no number is the rest of a URI without an @: a password.
_PORTS: Final = re.compile(r"[0-9]{0,5}(,[0-9]{0,5})*")
_EXPECTED: Final = (
    "expected a PostgreSQL connection string such as postgresql://user@host:5432/database or "
    "host=... dbname=...; in a URI, special characters of a password are percent-encoded"
)


def parse_dsn(text: str) -> dict[str, Any]:
    """The parameters of a connection string; ValueError, whose text holds nothing of it, when it is none."""
    if not text.strip():
        raise ValueError("expected a PostgreSQL connection string; it is empty")
    try:
        parameters = dict(conninfo_to_dict(text))
    except (psycopg.Error, UnicodeError):
        # psycopg quotes the text it failed at, which may be a password.
        raise ValueError(_EXPECTED) from None
    if _splits_password(text) or not _PORTS.fullmatch(str(parameters.get("port") or "")):
        raise ValueError(_EXPECTED)
    return parameters


def _splits_password(text: str) -> bool:
    """Whether a URI has an @ after the one, or the slash, at which libpq ends the password.

    Then the rest of the password is taken for a host, a port or a database, which are no secrets and are shown.
    """
    scheme, found, rest = text.partition("://")
    if not found or scheme not in ("postgresql", "postgres"):
        return False
    at, slash = rest.find("@"), rest.find("/")
    place = rest[at + 1 :] if at >= 0 and not 0 <= slash < at else rest
    return "@" in place.partition("?")[0]


def redact_dsn(text: str) -> str:
    """The connection string as key=value pairs, its secrets hidden; ``<dsn>`` when it is none.

    libpq takes it apart and it is put together anew, so that no way of writing a secret (user info, a query
    parameter, quoting) gets past.
    """
    try:
        parameters = parse_dsn(text)
    except ValueError:
        return "<dsn>"
    hidden = _SECRET_KEYS | _marked_secret()
    shown = {key: REDACTED if key in hidden and value else value for key, value in parameters.items()}
    return make_conninfo("", **shown)


def _marked_secret() -> set[str]:
    return {option.keyword.decode() for option in pq.Conninfo.get_defaults() if option.dispchar == b"*"}
