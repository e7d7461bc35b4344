"""PostgreSQL connection strings, parsed by libpq itself. Nothing of one is ever part of an error."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, TypeVar

import psycopg
from psycopg import pq
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from exporter.config.base import Dsn
from exporter.config.references import Reference, Template, filled, written
from exporter.config.secrets import REDACTED

T = TypeVar("T")

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
# Stands for the reference of that number while libpq takes a template apart: characters of no alphabet, which no
# way of quoting touches.
_PLACEHOLDER: Final = re.compile("\ue000([0-9]+)\ue001")


def parse_dsn(text: str) -> dict[str, Any]:
    """The parameters of a connection string; ValueError, whose text holds nothing of it, when it is none.

    Of one with references, what the file says of them; nothing where a reference stands for more than a value.
    """
    if isinstance(text, Dsn) and text.template is not None:
        return {key: written(value) for key, value in (_parameters(text.template) or {}).items()}
    return _parse(text)


def fill_dsn(dsn: str, values: Mapping[Reference, str]) -> dict[str, Any]:
    """The parameters of a connection string with ``values`` in place of its references. Raises ValueError.

    A value within a parameter is taken as it is: no character in it has to be quoted or percent-encoded.
    """
    if not isinstance(dsn, Dsn) or dsn.template is None:
        return _parse(dsn)
    parameters = _parameters(dsn.template)
    if parameters is None:
        return _parse(filled(dsn.template, values))
    return {key: filled(value, values) for key, value in parameters.items()}


def redact_dsn(text: str) -> str:
    """The connection string as key=value pairs, its secrets hidden; ``<dsn>`` when it is none.

    libpq takes it apart and it is put together anew, so that no way of writing a secret (user info, a query
    parameter, quoting) gets past.
    """
    template = text.template if isinstance(text, Dsn) else None
    if template is not None and not any(isinstance(part, str) and part.strip() for part in template):
        return written(template)
    try:
        parameters = parse_dsn(text)
    except ValueError:
        return "<dsn>"
    if not parameters:
        return "<dsn>"
    hidden = _hidden()
    shown = {key: REDACTED if key in hidden and value else value for key, value in parameters.items()}
    return make_conninfo("", **shown)


def secrets_of_dsn(dsn: str) -> tuple[str, ...]:
    """The secrets that a connection string spells out; references stand for others."""
    try:
        template = dsn.template if isinstance(dsn, Dsn) else None
        parameters = _parse(dsn) if template is None else _parameters(template) or {}
    except ValueError:
        return ()
    values = {key: (value,) if isinstance(value, str) else value for key, value in parameters.items()}
    return tuple(part for value in secrets_in(values) for part in value if isinstance(part, str))


def secrets_in(parameters: Mapping[str, T]) -> tuple[T, ...]:
    """The values of the parameters that are secret by themselves."""
    hidden = _hidden() - {"passfile"}
    return tuple(value for key, value in parameters.items() if value and key in hidden)


def _parse(text: str) -> dict[str, Any]:
    if not text.strip():
        raise ValueError("expected a PostgreSQL connection string; it is empty")
    try:
        parameters = dict(conninfo_to_dict(text))
    except (psycopg.Error, UnicodeError):
        # psycopg quotes the text it failed at, which may be a password.
        raise ValueError(_EXPECTED) from None
    ports = _PLACEHOLDER.sub("1", str(parameters.get("port") or ""))
    if _splits_password(text) or not _PORTS.fullmatch(ports):
        raise ValueError(_EXPECTED)
    return parameters


def _parameters(template: Template) -> dict[str, Template] | None:
    """The parameters of a template, each a template. None where a reference stands for more than a value.

    Raises ValueError.
    """
    if not isinstance(template[0], str):  # what begins with a reference may have all of a DSN in it
        return None
    references = [part for part in template if not isinstance(part, str)]
    placeholders = {part: f"\ue000{number}\ue001" for number, part in enumerate(references)}
    text = filled(template, placeholders)
    try:
        return {key: _template(str(value), references) for key, value in _parse(text).items()}
    except ValueError as error:
        raise ValueError(f"{error}; a reference in it stands for one value, at its beginning for more") from None


def _template(value: str, references: list[Reference]) -> Template:
    pieces = _PLACEHOLDER.split(value)  # text, number, text, ..., text
    parts = [references[int(piece)] if index % 2 else piece for index, piece in enumerate(pieces)]
    return tuple(part for part in parts if part != "")


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


def _hidden() -> frozenset[str]:
    return _SECRET_KEYS | {option.keyword.decode() for option in pq.Conninfo.get_defaults() if option.dispchar == b"*"}
