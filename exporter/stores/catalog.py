"""A profile against the live store: which one fits, whether its columns are right, what counting depends on."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from exporter.config.model import HttpTrigger, PostgresStore, Profile
from exporter.config.problems import nearest
from exporter.domain import Exactness
from exporter.errors import ProfileError, StoreError, StoreTooSlow, StoreUnavailable
from exporter.ledger.identity import Identity
from exporter.stores.checking.apart import apart
from exporter.stores.checking.columns import describe, refused
from exporter.stores.marks import FIRST_TIME_STRETCH
from exporter.stores.profile import fill, named, shipped, triggered_by
from exporter.stores.queries import Wrapped
from exporter.stores.session import Transaction
from exporter.stores.sql import statement

_REQUIREMENT: Final = re.compile(r"^(?P<relation>.+?)\((?P<columns>[^()]*)\)$")
_RELATION_NAME: Final = re.compile(r'"(?:[^"]|"")+"|\w+')


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
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


async def resolve(transaction: Transaction, store: PostgresStore) -> Profile:
    """The profile in force, parameters filled in. Raises ProfileError when none fits or something is missing."""
    profile = await _resolved(transaction, store)
    return profile if isinstance(store.trigger, HttpTrigger) else triggered_by(profile, store.trigger.statement)


async def _resolved(transaction: Transaction, store: PostgresStore) -> Profile:
    if store.profile == "auto":
        return await detect(transaction, store.parameters)
    profile = _chosen(store)
    lacking = await missing(transaction, profile.requires)
    if lacking:
        raise ProfileError(
            f"profile {profile.name!r} does not fit this database: {'; '.join(lacking)}."
            f" Is `parameters` ({_listed(profile.parameters)}) right, and may this role see the tables?"
        )
    return profile


def _chosen(store: PostgresStore) -> Profile:
    """The profile that the configuration names or holds. A name that is wrong is answered with the nearest one."""
    known: Iterable[str] = ("auto", *shipped())
    wrong = str(store.profile)
    try:
        profile = store.profile if isinstance(store.profile, Profile) else named(store.profile)
        known = profile.parameters
        wrong = next((name for name in sorted(store.parameters) if name not in known), "")
        return fill(profile, store.parameters)
    except ProfileError as e:
        raise ProfileError(f"{e}{nearest(wrong, known)}") from e


async def detect(transaction: Transaction, parameters: Mapping[str, str]) -> Profile:
    """The shipped profile whose tables are here. Raises ProfileError when none or several fit."""
    found: list[Profile] = []
    near: list[str] = []
    for profile in shipped().values():
        wanted = {name: value for name, value in parameters.items() if name in profile.parameters}
        for values in await _candidates(transaction, profile, wanted):
            filled = fill(profile, values)
            lacking = await missing(transaction, filled.requires)
            if filled.requires and not lacking:
                found.append(filled)
            elif len(lacking) < len(filled.requires):
                near.append(f"{filled.name} ({_listed(filled.parameters)}) nearly fits: {'; '.join(lacking)}")
    if len(found) == 1:
        return found[0]
    names = ", ".join(sorted(shipped()))
    if not found:
        raise ProfileError(
            f"profile auto recognises no scheduler in this database (known: {names}). Name a profile, write one"
            f" (docs/profiles.md), or set `parameters: {{schema: ...}}`; may this role see the tables?"
            + "".join(f" {one}." for one in near)
        )
    fits = "; ".join(f"{p.name} ({_listed(p.parameters)})" for p in found)
    raise ProfileError(f"profile auto finds more than one scheduler here: {fits}. Set `profile` and `parameters`")


async def _candidates(transaction: Transaction, profile: Profile, wanted: dict[str, str]) -> list[dict[str, str]]:
    """Parameter sets to try: as given, else every schema that holds the profile's first table."""
    if "schema" in wanted or "schema" not in profile.parameters or not profile.requires:
        return [wanted]
    first = fill(profile, wanted).requires[0]
    table = _RELATION_NAME.findall(_parse(first)[0])[-1].strip('"').replace('""', '"')
    rows = await transaction.fetch("detect", statement("schemas"), table)
    return [{**wanted, "schema": schema} for (schema,) in rows]


async def missing(transaction: Transaction, requires: Sequence[str]) -> list[str]:
    """What a profile requires and the database does not show, in words: tables, columns, privileges."""
    wanted = dict(_parse(requirement) for requirement in requires)
    try:
        async with apart(transaction):
            rows = await transaction.fetch("detect", statement("relations"), list(wanted))
    except (StoreUnavailable, StoreTooSlow):
        raise
    except StoreError as e:  # a schema that the role may not use, or a name that is none
        return [str(await refused(transaction, " ".join(wanted), e))]
    present = {name: set(columns) for name, columns in rows}
    lacking = []
    for relation, columns in wanted.items():
        if relation not in present:
            lacking.append(f"there is no table {relation}")
            continue
        has = present[relation]
        lacking += [f"{relation} has no column {name}{nearest(name, has)}" for name in columns if name not in has]
    return lacking


def _parse(requirement: str) -> tuple[str, tuple[str, ...]]:
    match = _REQUIREMENT.match(requirement)
    if match is None:
        return requirement, ()
    names = (name.strip() for name in match["columns"].split(","))
    return match["relation"], tuple(name for name in names if name)


def _listed(parameters: Mapping[str, str]) -> str:
    return ", ".join(f"{name}: {value}" for name, value in parameters.items()) or "no parameters"


async def wrap(transaction: Transaction, profile: Profile) -> Wrapped:
    """Ask the store which columns each SELECT gives. Raises ProfileError naming every fault found."""
    described = await describe(transaction, profile)
    faults = [f"{entity}: {fault}" for entity, found in described.faults.items() for fault in found]
    if faults:
        raise ProfileError(
            f"profile {profile.name!r}: {'; '.join(faults)} (`scheduler-exporter profile check` shows the places)"
        )
    return described.wrapped


async def exactness(transaction: Transaction, wrapped: Wrapped, server: Server, late_window: float) -> Exactness:
    """What stands against counting every execution exactly once, in words."""
    reasons = []
    if server.standby:
        reasons.append(
            "the server is a standby: transactions that are open on the primary cannot be seen. Point the dsn at the"
            " primary"
        )
    if wrapped.cursor.kind == "id":
        cache = await _sequence_cache(transaction, wrapped)
        if cache > 1:
            reasons.append(
                f"the cursor's sequence has CACHE {cache}: ids are drawn long before they are used. ALTER SEQUENCE ..."
                " CACHE 1, or a cursor by the end's time"
            )
    elif not server.reads_all_stats:
        reasons.append(
            f"the role lacks pg_read_all_stats: a stamp drawn more than late_window ({late_window:g} s) before its"
            f" transaction's first write, or more than {FIRST_TIME_STRETCH:g} s before counting began, would be missed."
            " GRANT pg_monitor (or pg_read_all_stats) to the role"
        )
    if not wrapped.cursor.at_end:
        reasons.append(
            "the cursor is not set when the execution ends: what was long running is behind it by then. Take a column"
            " that the end sets"
        )
    return Exactness(reasons=tuple(reasons))


async def _sequence_cache(transaction: Transaction, wrapped: Wrapped) -> int:
    origin = await transaction.column_origin(wrapped.source("executions"), wrapped.cursor.column)
    if origin is None:
        return 1
    rows = await transaction.fetch("server", statement("sequence_cache"), *origin)
    return int(rows[0][0]) if rows else 1
