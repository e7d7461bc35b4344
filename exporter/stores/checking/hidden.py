"""The relations that a SELECT reads, and those of which row-level security hides rows: no error, just fewer rows."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from exporter.stores.checking.savepoint import savepoint
from exporter.stores.queries import Wrapped
from exporter.stores.session import Transaction
from exporter.stores.sql import statement


class Read(msgspec.Struct, frozen=True):
    """A row of locked_relations.sql. ``kind`` is pg_class' relkind."""

    relation: str
    hides: bool
    kind: str
    replicated: bool
    oid: int


async def read_by(transaction: Transaction, wrapped: Wrapped, entity: str) -> list[Read]:
    """The relations that ``entity`` reads, those below a view too."""
    async with savepoint(transaction):  # so that the locks held are those of this SELECT
        await transaction.describe("check", wrapped.source(entity))
        return [Read(*row) for row in await transaction.fetch("check", statement("locked_relations"))]


async def hidden(transaction: Transaction, wrapped: Wrapped, entities: Iterable[str]) -> dict[str, list[str]]:
    """Relations of which rows may be hidden, each with those of ``entities`` that read it."""
    found: dict[str, list[str]] = {}
    for entity in entities:
        for one in await read_by(transaction, wrapped, entity):
            if one.hides:
                found.setdefault(one.relation, []).append(entity)
    return found
