"""Stands for who checks the servers that a store lists: remembers the rows, has the results that a test gives it."""

from __future__ import annotations

from dataclasses import dataclass, field

from exporter.directory import ConnectionStatus, StoreConnection

STATUS = ConnectionStatus(
    connection_id=1,
    is_healthy=True,
    last_check=1_700_000_000.25,
    response_seconds=0.0126,
    server_version="15.4",
    error_message=None,
    failed_stage=None,
)


@dataclass
class Directory:
    """Remembers what was listed; knows the results that it is given."""

    statuses: list[ConnectionStatus] = field(default_factory=list)
    rows: tuple[StoreConnection, ...] | None = None
    asked_for: int = 0

    def listed(self, store: str, connections: tuple[StoreConnection, ...]) -> None:
        assert store == "main"
        self.rows = connections

    def asked(self, store: str) -> None:
        assert store == "main"
        self.asked_for += 1

    def checked(self, store: str) -> list[ConnectionStatus]:
        assert store == "main"
        return self.statuses
