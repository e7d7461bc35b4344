"""A profile against the live store: which one fits, whether its columns are right, what counting depends on."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from exporter.config.model import PostgresStore, Profile
from exporter.domain import Exactness
from exporter.errors import ProfileError, StoreError, StoreUnavailable
from exporter.ledger.ledger import Identity
from exporter.stores.profile import ENTITIES, fill, named, shipped
from exporter.stores.queries import CURSOR_TYPES, REQUIRED, Wrapped, type_name
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
    if isinstance(store.profile, Profile):
        profile = fill(store.profile, store.parameters)
    elif store.profile != "auto":
        profile = fill(named(store.profile), store.parameters)
    else:
        return await detect(transaction, store.parameters)
    lacking = await missing(transaction, profile)
    if lacking:
        raise ProfileError(
            f"profile {profile.name!r} does not fit database: missing {'; '.join(lacking)}."
            f" Is `parameters` ({_listed(profile.parameters)}) right, and may this role see the tables?"
        )
    return profile


async def detect(transaction: Transaction, parameters: Mapping[str, str]) -> Profile:
    """The shipped profile whose tables are here. Raises ProfileError when none or several fit."""
    found: list[Profile] = []
    for profile in shipped().values():
        wanted = {name: value for name, value in parameters.items() if name in profile.parameters}
        for values in await _candidates(transaction, profile, wanted):
            filled = fill(profile, values)
            if filled.requires and not await missing(transaction, filled):
                found.append(filled)
    if len(found) == 1:
        return found[0]
    names = ", ".join(sorted(shipped()))
    if not found:
        raise ProfileError(
            f"profile auto recognises no scheduler in this database (known: {names}). Name a profile, write one"
            f" (docs/profiles.md), or set `parameters: {{schema: ...}}`; may this role see the tables?"
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


async def missing(transaction: Transaction, profile: Profile) -> list[str]:
    """What the profile requires and the database does not show: tables and columns, in words."""
    wanted = dict(_parse(requirement) for requirement in profile.requires)
    rows = await transaction.fetch("detect", statement("relations"), list(wanted))
    present = {name: set(columns) for name, columns in rows}
    lacking = []
    for relation, columns in wanted.items():
        if relation not in present:
            lacking.append(f"table {relation}")
        else:
            lacking += [f"column {name} of {relation}" for name in columns if name not in present[relation]]
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
    columns: dict[str, dict[str, str]] = {}
    faults: list[str] = []
    for entity in ENTITIES:
        sql = getattr(profile, entity)
        if sql is None:
            continue
        try:
            described = await transaction.describe("describe", sql)
        except StoreUnavailable:
            raise
        except StoreError as e:
            # The transaction is aborted now; what follows could not be asked.
            raise ProfileError(f"profile {profile.name!r}, {entity}: {e}") from e
        columns[entity] = {column.name: type_name(column) for column in described}
        faults += [f"{entity} has no column {name!r}" for name in REQUIRED[entity] if name not in columns[entity]]
    wrapped = Wrapped(profile, columns)
    if wrapped.has("executions"):
        faults += _cursor_faults(wrapped)
    if faults:
        raise ProfileError(f"profile {profile.name!r}: {'; '.join(faults)}")
    return wrapped


def _cursor_faults(wrapped: Wrapped) -> list[str]:
    cursor, columns = wrapped.cursor, wrapped.columns["executions"]
    if cursor.column not in columns:
        return [f"executions has no column {cursor.column!r}, which is its cursor"]
    actual, fitting = columns[cursor.column], CURSOR_TYPES[cursor.kind]
    faults = [f"key column {name!r} is not among executions' columns" for name in wrapped.profile.key
              if name not in columns and name != "attempt"]  # fmt: skip
    if actual not in fitting:
        faults.append(
            f"the cursor {cursor.column!r} is of type {actual}, but kind {cursor.kind!r} needs {' or '.join(fitting)}"
        )
    return faults


async def exactness(transaction: Transaction, wrapped: Wrapped, server: Server, late_window: float) -> Exactness:
    """What stands against counting every execution exactly once, in words."""
    reasons = []
    if server.standby:
        reasons.append("the server is a standby: transactions that are open on the primary cannot be seen")
    if wrapped.cursor.kind == "id":
        cache = await _sequence_cache(transaction, wrapped)
        if cache > 1:
            reasons.append(f"the cursor's sequence has CACHE {cache}: ids are drawn long before they are used")
    elif not server.reads_all_stats:
        reasons.append(
            f"the role lacks pg_read_all_stats: a stamp drawn more than late_window ({late_window:g} s) before its"
            f" transaction's first write would be missed. GRANT pg_monitor (or pg_read_all_stats) to the role"
        )
    if not wrapped.cursor.at_end:
        reasons.append("the cursor is not set when the execution ends")
    return Exactness(reasons=tuple(reasons))


async def _sequence_cache(transaction: Transaction, wrapped: Wrapped) -> int:
    origin = await transaction.column_origin(wrapped.source("executions"), wrapped.cursor.column)
    if origin is None:
        return 1
    rows = await transaction.fetch("server", statement("sequence_cache"), *origin)
    return int(rows[0][0]) if rows else 1
