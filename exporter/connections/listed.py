"""A row of a store's ``connections`` table as a target, held to the same rules as one of the configuration. Pure."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Final

import msgspec

from exporter.config.addresses import check_vault_path
from exporter.config.model import StoreTargets, Target, VaultCredential
from exporter.config.places import places
from exporter.directory import StoreConnection
from exporter.errors import ExporterError

_FROM_DEFAULTS: Final = ("sslrootcert", "sslcert", "sslkey")


class RowError(ExporterError):
    """A row that cannot be a target; the text names the column and what was expected."""


def target_of(store: str, row: StoreConnection, defaults: StoreTargets) -> Target:
    """The target that ``row`` means; what it does not say is as ``defaults`` say. Raises RowError.

    A row without a name is called "STORE/ID". With a Vault path its credentials come from there, and from there alone:
    only a user that the row itself names stands beside a secret that has none.
    """
    given = {
        "name": row.name or f"{store}/{row.id}",
        "host": row.host,
        "port": row.port,
        "database": row.database or None,
        "user": row.user or (None if row.vault_path else defaults.user),
        "sslmode": row.sslmode or defaults.sslmode,
        **{name: getattr(defaults, name) for name in _FROM_DEFAULTS},
    }
    try:
        target = msgspec.convert({name: value for name, value in given.items() if value is not None}, Target)
        places(target.host, target.port)
    except msgspec.ValidationError as error:
        raise RowError(_explained(error)) from error
    except ValueError as error:
        raise RowError(f"host: {error}") from error
    replace = msgspec.structs.replace
    if not row.vault_path:
        return replace(target, id=row.id, password=defaults.password)
    vault = _credential(row.vault_path, defaults.vault_paths)
    return replace(target, id=row.id, vault=vault, user=target.user if vault.path else None)


def _credential(text: str, allowed: tuple[str, ...]) -> VaultCredential:
    """What a Vault path means: a database role (``.../creds/NAME``, ``.../static-creds/NAME``), or a secret.

    KV version 2 has ``data`` in its paths: whatever follows that is a secret's name.
    """
    try:
        path = check_vault_path(text)
    except ValueError as error:
        raise RowError(f"vault_path: {error}") from error
    if not any(fnmatchcase(path, pattern) for pattern in allowed):
        raise RowError(f"vault_path: {path!r} is none of connections.store_targets.vault_paths")
    *before, kind, _ = ("", "", *path.split("/"))
    is_role = kind in ("creds", "static-creds") and "data" not in before
    return VaultCredential(role=path) if is_role else VaultCredential(path=path)


def _explained(error: msgspec.ValidationError) -> str:
    """msgspec's "Expected `int` <= 65535 - at `$.port`" the other way round."""
    text, _, place = str(error).partition(" - at `$.")
    return f"{place.rstrip('`')}: {text[:1].lower()}{text[1:]}" if place else text
