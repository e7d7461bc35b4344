"""PostgreSQL connection strings, parsed by libpq itself. Nothing of one is ever part of an error."""

from __future__ import annotations

from typing import Any, Final

import psycopg
from psycopg import pq
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from exporter.config.secrets import REDACTED

# libpq marks most of its secrets itself; these hold one or lead to one as well.
_SECRET_KEYS: Final = frozenset(
    {"password", "passfile", "sslpassword", "oauth_client_secret", "scram_client_key", "scram_server_key"}
)
_EXPECTED: Final = (
    "expected a PostgreSQL connection string such as postgresql://user@host:5432/database or "
    "host=... dbname=...; in a URI, special characters of a password are percent-encoded"
)


def parse_dsn(text: str) -> dict[str, Any]:
    """The parameters of a connection string; ValueError, whose text holds nothing of it, when it is none."""
    if not text.strip():
        raise ValueError("expected a PostgreSQL connection string; it is empty")
    try:
        return dict(conninfo_to_dict(text))
    except (psycopg.Error, UnicodeError):
        # psycopg quotes the text it failed at, which may be a password.
        raise ValueError(_EXPECTED) from None


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
