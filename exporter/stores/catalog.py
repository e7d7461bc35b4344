"""A profile against the live store: whether its columns are right, what counting depends on."""

from __future__ import annotations

import msgspec

from exporter.config.durations import format_duration
from exporter.config.model import PostgresStore, Profile
from exporter.domain import Exactness
from exporter.errors import ProfileError, StoreError
from exporter.ledger.identity import Identity
from exporter.stores.checking.columns import describe
from exporter.stores.checking.hidden import read_by
from exporter.stores.marks import FIRST_TIME_STRETCH
from exporter.stores.origins import plan_doubts, relation_doubts
from exporter.stores.queries import Wrapped
from exporter.stores.session import Transaction
from exporter.stores.sql import statement


class Server(msgspec.Struct, frozen=True, kw_only=True):
    """What the server says about itself and about our role."""

    identity: Identity
    reads_all_stats: bool
    standby: bool
    version: int


async def server(transaction: Transaction) -> Server:
    """Ask who and where we are."""
    rows = await transaction.fetch("server", statement("server"))
    database, oid, may_identify, all_stats, standby, version = rows[0]
    system = None
    if may_identify:
        system = (await transaction.fetch("server", statement("system_identifier")))[0][0]
    identity = Identity(system=system, database=database, oid=oid)
    return Server(identity=identity, reads_all_stats=all_stats, standby=standby, version=version)


async def wrap(transaction: Transaction, profile: Profile) -> Wrapped:
    """Ask the store which columns each SELECT gives. Raises ProfileError naming every fault found.

    A table that is locked for the moment is no fault of the profile's: StoreError.
    """
    described = await describe(transaction, profile)
    passing = [str(fault) for found in described.faults.values() for fault in found if fault.passing]
    if passing:
        raise StoreError(passing[0])
    faults = [f"{entity}: {fault}" for entity, found in described.faults.items() for fault in found]
    if faults:
        raise ProfileError(
            f"profile {profile.name!r}: {'; '.join(faults)} (`scheduler-exporter profile check` shows the places)"
        )
    return described.wrapped


async def exactness(transaction: Transaction, wrapped: Wrapped, server: Server, store: PostgresStore) -> Exactness:
    """What stands against counting every execution exactly once, in words."""
    reasons = []
    late_window = store.counting.late_window
    if server.standby:
        reasons.append(
            "the server is a standby: transactions that are open on the primary cannot be seen. Point the dsn at the"
            " primary"
        )
    if wrapped.cursor.kind != "id" and not server.reads_all_stats:
        reasons.append(
            f"the role lacks pg_read_all_stats: a stamp drawn more than late_window ({late_window:g} s) before its"
            f" transaction's first write, or more than {FIRST_TIME_STRETCH:g} s before counting began, would be missed."
            " GRANT pg_monitor (or pg_read_all_stats) to the role"
        )
    reasons += await plan_doubts(transaction, wrapped)
    reasons += relation_doubts(await read_by(transaction, wrapped, "executions"))
    retention = wrapped.profile.retention
    if retention is not None and store.interval * 2 > retention:
        reasons.append(
            f"the scheduler deletes what finished after {format_duration(retention)}, and it is asked every"
            f" {format_duration(store.interval)}: what comes and goes in between is not counted. Lower `interval`"
        )
    if not (wrapped.cursor.at_end or wrapped.cursor.unfinished is not None or wrapped.watches_running):
        reasons.append(
            "the cursor is not set when the execution ends: what was long running is behind it by then. Take a column"
            " that the end sets"
        )
    return Exactness(reasons=tuple(reasons))


async def untracked(transaction: Transaction, late_window: float) -> list[str]:
    """The roles that hide when their transactions begin, each as what it stands for, in words."""
    return [
        f"sessions of role {role!r} have track_activities off: a stamp drawn more than late_window ({late_window:g} s)"
        f" before its transaction's first write would be missed. ALTER ROLE ... SET track_activities = on"
        for (role,) in await transaction.fetch("server", statement("untracked"))
    ]
