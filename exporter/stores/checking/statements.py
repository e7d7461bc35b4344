"""The statements that the polls of a store and requests run, as they run them, for EXPLAIN. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from exporter.config.durations import format_duration
from exporter.config.model import PostgresStore
from exporter.ledger.cursor import Position
from exporter.stores import read_queries
from exporter.stores.listing import LISTED
from exporter.stores.queries import RECURRING_LISTED, RUNNING_COLUMNS, WORKER_COLUMNS, Wrapped, bounds

STEADY_SECONDS: Final = 60.0
DAY_SECONDS: Final = 86_400.0
STEADY_IDS: Final = 100
#: An id tells no time: for "a day back", as many as a slice of catching up may hold.
MANY_IDS: Final = 20_000


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """One statement. ``every_poll``: it must not read a whole table; ``seconds``: its statement timeout.

    ``reads_finished``: the cursor's bounds are to be served by an index; ``seeks``: or those of its ``seek``.
    """

    name: str
    what: str
    sql: str
    every: str
    seconds: float
    parameters: tuple[object, ...] = ()
    every_poll: bool = True
    reads_finished: bool = False
    seeks: bool = False


def asked(wrapped: Wrapped, store: PostgresStore, now: float, greatest: int, budget: int) -> Iterator[Asked]:
    """Every statement; ``now`` is the server's clock, ``greatest`` the greatest id of an id cursor."""
    every, seconds = f"every {format_duration(store.interval)}", store.timeout

    def one(name: str, what: str, sql: str, *parameters: object) -> Asked:
        return Asked(name=name, what=what, sql=sql, parameters=parameters, every=every, seconds=seconds)

    if wrapped.has("executions"):
        if wrapped.cursor.position is not None:
            yield one("position", "the greatest id", wrapped.cursor.position)
        if wrapped.cursor.unfinished is not None:
            what = "the lowest id that has not finished"
            yield one("unfinished", what, wrapped.cursor.unfinished, greatest - STEADY_IDS)
        yield from _finished(wrapped, store, now, greatest)
    if wrapped.has("running"):
        yield one("running", "what runs now", wrapped.select("running", tuple(RUNNING_COLUMNS)))
    if wrapped.has("live_jobs") or wrapped.has("jobs"):
        yield one("queues", "unfinished jobs by queue", wrapped.queues())
        yield one("overdue", "jobs past their run", wrapped.overdue(), store.grace, budget)
    if "type" in wrapped.columns.get("jobs", {}):
        yield one("schedules", "recurring jobs", wrapped.recurring(), RECURRING_LISTED)
    if wrapped.has("workers"):
        yield one("workers", "workers", wrapped.select("workers", tuple(WORKER_COLUMNS)))
    if wrapped.has("operations"):
        yield one("operations", "operations by stage", wrapped.operation_counts())
    if wrapped.has("connections"):
        yield Asked(
            name="targets",
            what="servers to check",
            sql=wrapped.listed_connections(),
            parameters=(LISTED + 1,),
            every=every,
            seconds=seconds,
            every_poll=False,  # it is the whole table that is wanted
        )
    if wrapped.has("jobs"):
        yield Asked(
            name="jobs",
            what="the full count of jobs",
            sql=wrapped.job_counts(),
            every="seldom, under the load budget",
            seconds=max(store.timeout, 30.0),
            every_poll=False,
        )
    yield from _requests(wrapped, store)


def _finished(wrapped: Wrapped, store: PostgresStore, now: float, greatest: int) -> Iterator[Asked]:
    ids = wrapped.cursor.kind == "id"
    high: Position = greatest if ids else now
    steady: Position = STEADY_IDS if ids else STEADY_SECONDS
    day: Position = MANY_IDS if ids else DAY_SECONDS
    sql = wrapped.finished()
    yield Asked(
        name="executions",
        what=f"what finished, the last {STEADY_IDS:,} ids" if ids else "what finished in the last minute",
        sql=sql,
        parameters=bounds(wrapped.cursor, high - steady, high),
        every=f"every {format_duration(store.interval)}",
        seconds=store.timeout,
        reads_finished=True,
        seeks=wrapped.cursor.seek is not None,
    )
    yield Asked(
        name="catch-up",
        what=f"what finished, the last {MANY_IDS:,} ids" if ids else "what finished in the last day",
        sql=sql,
        parameters=bounds(wrapped.cursor, high - day, high),
        every="after the exporter was down",
        seconds=store.timeout,
        every_poll=False,
        reads_finished=True,
    )


def _requests(wrapped: Wrapped, store: PostgresStore) -> Iterator[Asked]:
    """What requests ask for one job: an index on its id should serve them."""

    def one(name: str, what: str, sql: str, parameter: str) -> Asked:
        return Asked(
            name=name,
            what=what,
            sql=sql,
            parameters=(parameter,),
            every="when somebody asks",
            seconds=store.timeout,
            every_poll=False,
        )

    entity = read_queries.lookup_entity(wrapped)
    if entity is not None:
        kind = wrapped.columns[entity]["id"]
        yield one("job", "one job", read_queries.job_lookup(wrapped, entity), read_queries.sample_id(kind))
    kind = wrapped.columns.get("executions", {}).get("job_id", "")
    if kind:
        where = f"WHERE {read_queries.id_equals('job_id', kind, '$1')}"
        sql = read_queries.log_page(wrapped, where, "20", "0")
        yield one("log", "the log of one job", sql, read_queries.sample_id(kind))
