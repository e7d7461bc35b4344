"""A lease in a store's table: of several exporters that would write the same, one does.

A row with an expiry instead of an advisory lock: that would belong to a server's session, which PgBouncer lends to
another client after each transaction.
"""

from __future__ import annotations

import os
import socket
from typing import Final

from exporter.errors import StoreError
from exporter.stores.queries import quoted
from exporter.stores.session import Transaction
from exporter.stores.sql import statement

#: Who this process is among its replicas, also for people who look into the table.
HOLDER: Final = f"{socket.gethostname()} {os.getpid()} {os.urandom(4).hex()}"
_COLUMNS: Final = ("name", "holder", "expires_at")


class Lease:
    """The row ``name`` of ``relation``, to be had for ``seconds`` at a time. One user at a time."""

    def __init__(self, relation: str, name: str, seconds: float, holder: str = HOLDER) -> None:
        self._relation = relation
        self._name = name
        self._seconds = seconds
        self._holder = holder

    async def there(self, transaction: Transaction) -> bool:
        """Whether the store has the table. Raises StoreError that says what is wrong with it."""
        rows = await transaction.fetch("connection_lease", statement("status_columns"), self._relation)
        if not rows:
            return False
        found = {row[0]: row for row in rows}
        if lacking := [name for name in _COLUMNS if name not in found]:
            raise StoreError(f"{self._relation} has no column {', '.join(lacking)}; it has: {', '.join(found)}")
        if not found["name"][4]:
            raise StoreError(
                f"{self._relation} may hold a lease twice. Run: CREATE UNIQUE INDEX ON {self._relation} (name);"
            )
        if not all(found[name][2] and found[name][3] for name in _COLUMNS):
            role = quoted(rows[0][6])
            raise StoreError(
                f"the role may not take the lease that says which replica writes. Run: GRANT SELECT, INSERT, UPDATE ON"
                f" {self._relation} TO {role};"
            )
        return True

    async def take(self, transaction: Transaction) -> bool:
        """Have the lease from now on, or for longer. False: somebody else has it, and nothing was written."""
        until = "clock_timestamp() + $3::float8 * interval '1 second'"
        given = (self._name, self._holder, self._seconds)
        renewed = await transaction.fetch(
            "connection_lease",
            f"UPDATE {self._relation} SET holder = $2::text, expires_at = {until}"
            " WHERE name = $1::text AND (holder = $2::text OR expires_at < clock_timestamp()) RETURNING 1",
            *given,
        )
        if renewed:
            return True
        first = await transaction.fetch(
            "connection_lease",
            f"INSERT INTO {self._relation} (name, holder, expires_at) VALUES ($1::text, $2::text, {until})"
            " ON CONFLICT (name) DO NOTHING RETURNING 1",
            *given,
        )
        return bool(first)
