"""What a store's sessions log in with, from its configuration."""

from __future__ import annotations

from typing import Any

from exporter.config.dsn import parse_dsn
from exporter.config.model import PostgresStore
from exporter.config.secrets import Secret


class StoreCredentials:
    """Asked before each connect, so that a rotated secret reaches the next one."""

    def __init__(self, store: PostgresStore, application_name: str = "scheduler-exporter") -> None:
        self._store = store
        self._application_name = application_name

    async def __call__(self) -> tuple[dict[str, Any], Secret | None]:
        """libpq's keywords without the password, and the password."""
        parameters = parse_dsn(self._store.dsn)
        password = parameters.pop("password", None)
        parameters.setdefault("application_name", self._application_name)
        parameters.setdefault("connect_timeout", str(max(2, int(self._store.timeout))))
        return parameters, Secret(str(password)) if password is not None else self._store.password
