"""Queries of packs as collectors: each has one of its own.

A query that fails is its collector's failure and nobody else's: the poller has its boundary, its deadline, its budget.
The queries of a store take turns on its second connection, so the deadline leaves each of the others its timeout.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, NamedTuple, TypeVar

import psycopg
from msgspec.structs import replace

from exporter.errors import ExporterError, LedgerError, PackError, StoreError, StoreTooSlow, StoreUnavailable
from exporter.ledger.ledger import Ledger
from exporter.ledger.packs import PackLedger
from exporter.packs.answer import PackAnswer, collector_name
from exporter.packs.columns import at
from exporter.packs.counting import Counting, book
from exporter.packs.model import Query
from exporter.packs.names import Taken
from exporter.packs.snapshots import Snapshot
from exporter.packs.telling import Complaints
from exporter.poller import Collected, Collector
from exporter.snapshot import Hub, Part
from exporter.stores.beside import Beside
from exporter.stores.queries import Wrapped

T = TypeVar("T")

#: Seconds for the full count and a slice of history, which use the same connection.
OTHERS: Final = 60.0
#: SQLSTATE -> what to do about it.
_REMEDIES: Final = {
    "42P01": "does the table exist, and is its schema in the role's search_path? A query that is not wanted goes into"
    " the pack's `skip`",
    "42703": "correct the column in the SELECT",
    "42501": "GRANT SELECT on the table to the exporter's role",
    "25006": "packs only read; the transaction is read-only",
}


def collectors(
    packs: Sequence[tuple[str, Query]], beside: Beside, ledger: Ledger, hub: Hub, *, budget: int, taken: Taken
) -> list[Collector]:
    """The queries of a store (pack, query), as collectors. ``taken``: the names of metrics that are given out."""
    # Each may have to wait until every other one has come to its timeout.
    deadline = OTHERS + sum(query.timeout or beside.config.timeout for _, query in packs) + beside.config.timeout
    context = _Context(beside, ledger, hub, budget, deadline, taken)
    return [_collector(pack, query, context) for pack, query in packs]


def _collector(pack: str, query: Query, context: _Context) -> Collector:
    beside, store = context.beside, context.beside.config.name
    complaints = Complaints(store, query.place, query.name, lasting=query.cursor is not None)
    name, interval = collector_name(pack, query.name), max(beside.config.interval, query.interval or 0.0)
    if query.cursor is None:
        snapshot = Snapshot(pack, query, complaints, context.budget, context.taken.take)
        return beside.collector(name, _snapshot(snapshot, query, beside), context.deadline, interval)
    counts = PackLedger(context.ledger, book(store, pack, query), context.budget)
    counting = Counting(pack, query, beside, counts, complaints)
    made = beside.collector(name, _counting(counting, query, beside), context.deadline, interval)
    return replace(made, collect=_announced(made.collect, counting, name, context))


class _Context(NamedTuple):
    """What the collectors of one store share."""

    beside: Beside
    ledger: Ledger
    hub: Hub
    budget: int
    deadline: float
    taken: Taken


def _snapshot(snapshot: Snapshot, query: Query, beside: Beside) -> Callable[[Wrapped], Awaitable[Collected]]:
    async def ask(_: Wrapped) -> Collected:
        value, seconds = await _told(query, beside.ask("packs", snapshot.ask, query.timeout))
        return Collected(value=value, load_seconds=seconds)

    return ask


def _counting(counting: Counting, query: Query, beside: Beside) -> Callable[[Wrapped], Awaitable[Collected]]:
    async def ask(_: Wrapped) -> Collected:
        (value, more), seconds = await _told(query, beside.ask("packs", counting.ask, query.timeout))
        return Collected(value=value, load_seconds=seconds, more=more)

    return ask


def _announced(
    collect: Callable[[], Awaitable[Collected]], counting: Counting, name: str, context: _Context
) -> Callable[[], Awaitable[Collected]]:
    """Show what was counted before, old as it is, until the store has answered: it may be away."""
    hub, store = context.hub, context.beside.config.name

    async def announced() -> Collected:
        part = hub.current.part(name, store)
        if part is None or part.value is None:
            with contextlib.suppress(LedgerError):  # the poll that follows says so
                value = await counting.known()
                if value is not None:
                    hub.publish(_part(name, context.beside, value))
        return await collect()

    return announced


def _part(name: str, beside: Beside, value: PackAnswer) -> Part:
    return Part(
        collector=name,
        source=beside.config.name,
        value=value,
        success=False,
        collected_at=None,
        collected_mono=None,
        duration=0.0,
        interval=beside.config.interval,
        staleness=beside.config.staleness,
    )


async def _told(query: Query, asking: Awaitable[T]) -> T:
    """The answer; a store's refusal names the query's place and what to do."""
    try:
        return await asking
    except StoreUnavailable:
        raise
    except StoreError as e:
        raise explained(query, e) from e


def explained(query: Query, error: StoreError) -> ExporterError:
    """A store's refusal with the query's place and what to do."""
    if isinstance(error, StoreTooSlow):
        text = f"{at(query, 'timeout')}: no answer within the timeout; make the SELECT cheaper, or the timeout longer"
        return StoreTooSlow(text, error.load_seconds)
    cause = error.__cause__
    state = cause.sqlstate if isinstance(cause, psycopg.Error) else None
    remedy = _REMEDIES.get(state or "", "correct the SELECT")
    return PackError(f"{at(query, 'sql')}: {str(error).removeprefix('packs: ')}; {remedy}")
