"""When a query is asked at all: server versions, databases, primaries, a predicate."""

from __future__ import annotations

from typing import Final

import msgspec

from exporter.errors import PackError
from exporter.packs.columns import at
from exporter.packs.model import Query
from exporter.packs.versions import Version, matches, version_of
from exporter.stores.session import Transaction

_SERVER: Final = "SELECT current_setting('server_version_num')::int, current_database()::text, pg_is_in_recovery()"


class Server(msgspec.Struct, frozen=True):
    """The server that is asked; all None where no condition asks for it."""

    version: Version | None = None
    database: str | None = None
    standby: bool | None = None

    @classmethod
    async def ask(cls, transaction: Transaction, query: Query) -> Server:
        """What a query's conditions need to know."""
        condition = query.condition
        if not (
            condition.versions or condition.databases or condition.primary or any(m.versions for m in query.metrics)
        ):
            return cls()
        number, database, standby = (await transaction.fetch("packs", _SERVER))[0]
        return cls(version_of(number), database, standby)

    def has(self, versions: str | None) -> bool:
        """Whether the server's version lies in a range."""
        return versions is None or self.version is None or matches(versions, self.version)


async def fits(transaction: Transaction, query: Query, server: Server) -> bool:
    """Whether the query is for this server, now. Raises PackError for a predicate that gives no yes or no."""
    condition = query.condition
    if not server.has(condition.versions):
        return False
    if condition.databases and server.database not in condition.databases:
        return False
    if condition.primary and server.standby:
        return False
    if condition.predicate is None:
        return True
    rows = await transaction.fetch("packs", f"SELECT * FROM ({condition.predicate}\n) q LIMIT 1")
    answer = rows[0][0] if rows and rows[0] else None
    if answer is not None and not isinstance(answer, bool):
        raise PackError(f"{at(query, 'predicate_query')}: expected one boolean column")
    return bool(answer)
