"""The servers that stores list, and the results of their checks: what ``stores`` and ``connections`` tell each other.

Belongs here: values that cross between the two, and the protocol. Does not: reading tables (``stores``), which rows
become targets (``connections``).
"""

from __future__ import annotations

from typing import Protocol

import msgspec


class StoreConnection(msgspec.Struct, frozen=True, kw_only=True):
    """A PostgreSQL server in a store's ``connections`` table, to be checked; None is what the row does not say.

    ``id`` is a number where the store's column is one.
    """

    id: int | str
    name: str | None
    host: str
    port: int | None = None
    database: str | None = None
    user: str | None = None
    sslmode: str | None = None
    vault_path: str | None = None


class StoreConnections(msgspec.Struct, frozen=True, kw_only=True):
    """The part that the ``targets`` collector publishes: the rows of a store's ``connections`` table."""

    connections: tuple[StoreConnection, ...]


class ConnectionStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The latest check of a store's connection, for its ``connection_status`` table: Unix seconds, seconds."""

    connection_id: int | str
    is_healthy: bool
    last_check: float
    response_seconds: float
    server_version: str | None
    error_message: str | None
    failed_stage: str | None


class StatusWritten(msgspec.Struct, frozen=True, kw_only=True):
    """The part that the ``connection_status`` collector publishes: how many results its last statement wrote."""

    results: int


class Directory(Protocol):
    """Who checks the servers that stores list."""

    def listed(self, store: str, connections: tuple[StoreConnection, ...]) -> None:
        """The rows that the store has now."""

    def asked(self, store: str) -> None:
        """The store is about to be asked for its rows; it may be the thousandth time in vain."""

    def checked(self, store: str) -> list[ConnectionStatus]:
        """The latest check of each of the store's rows that are checked here."""
