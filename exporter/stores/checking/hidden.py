"""Rows that row-level security hides from the role: no error, no plan node, just fewer rows."""

from __future__ import annotations

from collections.abc import Iterable

from exporter.stores.checking.savepoint import savepoint
from exporter.stores.queries import Wrapped
from exporter.stores.session import Transaction
from exporter.stores.sql import statement


async def hidden(transaction: Transaction, wrapped: Wrapped, entities: Iterable[str]) -> dict[str, list[str]]:
    """Relations of which rows may be hidden, each with those of ``entities`` that read it."""
    found: dict[str, list[str]] = {}
    for entity in entities:
        async with savepoint(transaction):  # so that the locks held are those of this SELECT
            await transaction.describe("check", wrapped.source(entity))
            for relation, hides in await transaction.fetch("check", statement("locked_relations")):
                if hides:
                    found.setdefault(relation, []).append(entity)
    return found
