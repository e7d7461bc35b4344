"""A piece of a transaction that may fail without ending it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from exporter.errors import StoreError, StoreUnavailable
from exporter.stores.session import Transaction


@asynccontextmanager
async def savepoint(transaction: Transaction) -> AsyncIterator[None]:
    """What is asked inside leaves no trace: no failed transaction, no lock, no setting. Its StoreError goes on."""
    await transaction.end("SAVEPOINT piece")
    try:
        yield
    except StoreUnavailable:
        raise  # there is no session to go on in
    except StoreError:
        await _undo(transaction)
        raise
    await _undo(transaction)


async def _undo(transaction: Transaction) -> None:
    await transaction.end("ROLLBACK TO SAVEPOINT piece; RELEASE SAVEPOINT piece")
