"""What a store's errors quote is told without secrets, also where a known password is a part of a key's name."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from psycopg.conninfo import make_conninfo
from support.postgres import Database

from exporter.config.model import Dsn, Duration, PostgresStore
from exporter.errors import StoreError
from exporter.instruments import QueryInstruments
from exporter.logs import scrubber
from exporter.stores.credentials import StoreCredentials
from exporter.stores.session import Session

QUOTED = "client_secret=Zq81mmx0pP"


@pytest.fixture(autouse=True)
def a_password_that_is_a_word() -> Iterator[None]:
    scrubber.add("secret")
    yield
    scrubber.__init__()  # type: ignore[misc] - the one of this process, as it is when that begins


async def told(dsn: str, sql: str) -> str:
    store = PostgresStore(name="main", dsn=Dsn(dsn), timeout=Duration(60))
    session = Session("main", StoreCredentials(store), 60.0, QueryInstruments())
    try:
        with pytest.raises(StoreError) as caught:
            async with session.transaction() as transaction:
                await transaction.fetch("asked", sql)
        return str(caught.value)
    finally:
        await session.close()


async def test_a_refused_statement(database: Database) -> None:
    text = await told(database.dsn, f"SELECT '{QUOTED}'::int")
    assert 'invalid input syntax for type integer: "client_<secret>=<secret>"' in text


async def test_a_refused_login(database: Database) -> None:
    text = await told(make_conninfo(database.dsn, user=QUOTED, password="wrong-one"), "SELECT 1")
    assert 'for user "client_<secret>=<secret>"' in text
