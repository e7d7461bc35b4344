"""Streams that are given up: whoever gave up is what is told, and the connection is as good as before."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Any

import pytest
from psycopg import AsyncServerCursor
from support.postgres import Database

from exporter.config.model import Duration, PostgresStore
from exporter.instruments import QueryInstruments
from exporter.stores.credentials import StoreCredentials
from exporter.stores.session import Session

NUMBERS = "SELECT n FROM generate_series(1, 10000) n"


async def test_cancelled_while_the_server_closes_the_cursor(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = PostgresStore(name="main", dsn=database.dsn, timeout=Duration(60))
    session = Session("main", StoreCredentials(store), 60.0, QueryInstruments())
    close = AsyncServerCursor.close

    async def closed_unheard(cursor: AsyncServerCursor[Any]) -> None:
        """The server closes it; that it has done so is not heard any more."""
        monkeypatch.undo()
        await close(cursor)
        cursor._closed = False
        raise asyncio.CancelledError

    try:
        with pytest.raises(asyncio.CancelledError):
            async with (
                session.transaction() as transaction,
                aclosing(transaction.stream("numbers", NUMBERS, chunk=10)) as stream,
            ):
                assert len(await anext(stream)) == 10
                monkeypatch.setattr(AsyncServerCursor, "close", closed_unheard)
        async with session.transaction() as transaction:
            assert await transaction.fetch("after", "SELECT 1") == [(1,)]
    finally:
        await session.close()
