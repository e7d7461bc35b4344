"""The columns that a profile's SELECTs give: asked of the live store, then held against what they must be."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
import psycopg

from exporter.config.model import Profile
from exporter.config.problems import nearest
from exporter.errors import StoreError, StoreTooSlow, StoreUnavailable
from exporter.stores.checking.savepoint import savepoint
from exporter.stores.profile import ENTITIES, PLACEHOLDER
from exporter.stores.queries import COLUMNS, CURSOR_TYPES, NUMBERS, REQUIRED, TIMESTAMPS, Wrapped, type_name
from exporter.stores.session import Transaction
from exporter.stores.sql import statement

#: What Transaction.describe puts before the SELECT: positions in errors count it.
_BEFORE: Final = len("SELECT * FROM (")
_WORD: Final = re.compile(r'"(?:[^"]|"")+"|\w+')
_WRITES: Final = re.compile(r"\s*(INSERT|UPDATE|DELETE|MERGE|CREATE|DROP|ALTER|CALL|DO|SET|COPY|LOCK)\b", re.IGNORECASE)
_TEXTS: Final = ("text", "varchar", "bpchar", "name")
#: how a canonical column is read -> the types that can be read so. Texts may hold numbers, or be an untyped NULL.
_READABLE: Final[Mapping[str, tuple[str, ...]]] = {
    "time": (*TIMESTAMPS, *NUMBERS, *_TEXTS),
    "integer": (*NUMBERS, *_TEXTS),
    "boolean": ("boolean", "integer", *_TEXTS),
}
_EXPECTED: Final = {
    "time": "a timestamp, or a number of seconds since 1970",
    "integer": "a whole number",
    "boolean": "a boolean",
}


class SqlFault(msgspec.Struct, frozen=True):
    """Why the server refuses a SELECT. ``line`` (from 1) and ``column`` (from 0) are 0 where it does not say.

    ``passing``: for the moment only; the SELECT may be right.
    """

    text: str
    line: int = 0
    column: int = 0
    source: str = ""
    hint: str | None = None
    grants: tuple[str, ...] = ()
    passing: bool = False

    def __str__(self) -> str:
        """On one line, for a log."""
        where = f"line {self.line}: " if self.line else ""
        near = f", at {self.source[self.column :].strip()!r}" if self.line else ""
        more = f". {self.hint}" if self.hint else ""
        return f"{where}{self.text}{near}{more}" + (f". Run: {' '.join(self.grants)}" if self.grants else "")

    def lines(self) -> list[str]:
        """On several, with a caret below the place."""
        shown = [self.text]
        if self.line:
            before = f"line {self.line}: "
            shown += [before + self.source, " " * (len(before) + self.column) + "^"]
        if self.hint:
            shown.append(self.hint)
        return shown


class Described(msgspec.Struct):
    """What the live store says of a profile: its columns (entity -> name -> type) and its faults by entity."""

    profile: Profile
    columns: dict[str, dict[str, str]] = msgspec.field(default_factory=dict)
    faults: dict[str, list[SqlFault]] = msgspec.field(default_factory=dict)

    @property
    def wrapped(self) -> Wrapped:
        """The profile with those SELECTs that have no fault."""
        sound = {entity: found for entity, found in self.columns.items() if not self.faults.get(entity)}
        return Wrapped(self.profile, sound)


async def describe(transaction: Transaction, profile: Profile, entities: Sequence[str] = ENTITIES) -> Described:
    """Ask for the columns of the SELECTs of ``entities``; one that the server refuses hides none of the others."""
    described = Described(profile)
    for entity in entities:
        sql = getattr(profile, entity)
        if sql is None:
            continue
        try:
            async with savepoint(transaction):
                found = await transaction.describe("describe", sql)
        except (StoreUnavailable, StoreTooSlow):
            raise
        except StoreError as e:
            found_fault = await refused(transaction, sql, e)
            hint = found_fault.hint or _misread(profile, found_fault)
            described.faults[entity] = [msgspec.structs.replace(found_fault, hint=hint)]
            continue
        described.columns[entity] = {column.name: type_name(column) for column in found}
        faults = column_faults(entity, profile, [(column.name, type_name(column)) for column in found])
        described.faults[entity] = [SqlFault(fault) for fault in faults]
    if "executions" in entities and profile.cursor is not None:
        for name in ("position", "unfinished"):
            if (sql := getattr(profile.cursor, name)) is not None:
                fault = await _id_fault(transaction, name, sql.replace("$1", "0"))
                described.faults.setdefault("executions", []).extend(fault)
    return described


async def _id_fault(transaction: Transaction, name: str, sql: str) -> list[SqlFault]:
    try:
        async with savepoint(transaction):
            columns = await transaction.describe("describe", sql)
    except (StoreUnavailable, StoreTooSlow):
        raise
    except StoreError as e:
        fault = await refused(transaction, sql, e)
        return [SqlFault(f"cursor.{name}: {fault.text}", fault.line, fault.column, fault.source, fault.hint)]
    if len(columns) == 1 and type_name(columns[0]) in CURSOR_TYPES["id"]:
        return []
    given = ", ".join(f"{c.name} {type_name(c)}" for c in columns)
    which = "the greatest id" if name == "position" else "the lowest id that has not finished"
    return [SqlFault(f"cursor.{name} must give one whole number, {which}; it gives ({given})")]


def _misread(profile: Profile, fault: SqlFault) -> str | None:
    """What people mean by some of what PostgreSQL calls a syntax error."""
    placeholder = PLACEHOLDER.match(fault.source, fault.column) if fault.line else None
    if placeholder is not None:
        known = ", ".join(profile.parameters) or "none"
        name = placeholder[1]
        return f"{name!r} is no parameter of the profile (known: {known}){nearest(name, profile.parameters)}"
    if fault.line == 1 and (verb := _WRITES.match(fault.source)) is not None:
        return f"Expected a SELECT: a profile only reads, and {verb[1].upper()} does not."
    if fault.line and fault.column >= len(fault.source.rstrip()):
        return "It ends too early: is a parenthesis or a comma left open?"
    return None


async def refused(transaction: Transaction, sql: str, error: StoreError) -> SqlFault:
    """Why the server refused ``sql``; for want of a privilege, with the GRANTs that would help."""
    cause = error.__cause__
    if not isinstance(cause, psycopg.Error) or isinstance(cause, psycopg.errors.LockNotAvailable):
        return SqlFault(str(error), passing=True)
    text = f"{cause.diag.message_primary or cause} (SQLSTATE {cause.sqlstate})"
    if isinstance(cause, psycopg.errors.InsufficientPrivilege):
        words = [word.strip('"').replace('""', '"') for word in _WORD.findall(sql)]
        rows = await transaction.fetch("describe", statement("ungranted"), words)
        return SqlFault(text, grants=tuple(grant for (grant,) in rows))
    position = cause.diag.statement_position
    if position is None:
        return SqlFault(text, hint=cause.diag.message_hint)
    return _placed(text, sql, int(position) - 1 - _BEFORE, cause.diag.message_hint)


def _placed(text: str, sql: str, offset: int, hint: str | None) -> SqlFault:
    """A fault at a place in ``sql``; one behind its end is at its end: something is not closed."""
    offset = max(0, min(offset, len(sql.rstrip())))
    start = sql.rfind("\n", 0, offset) + 1
    line = sql.count("\n", 0, offset) + 1
    return SqlFault(text, line, offset - start, sql[start:].partition("\n")[0], hint)


def column_faults(entity: str, profile: Profile, found: Sequence[tuple[str, str]]) -> list[str]:
    """What is wrong with an entity's columns, (name, type) in their order: missing, doubled, of a wrong type."""
    columns = dict(found)
    faults = [
        f"has no column {name!r}{nearest(name, columns)}; it has: {', '.join(columns) or 'none'}"
        for name in REQUIRED[entity]
        if name not in columns
    ]
    read = {*COLUMNS[entity]}
    if entity == "executions" and profile.cursor is not None:
        read |= {profile.cursor.column, profile.cursor.seek or "", *profile.key}
    for name, times in Counter(name for name, _ in found).items():
        if times > 1 and name in read:
            faults.append(f"has {times} columns named {name!r}: give the others another name")
    for name, kind in COLUMNS[entity].items():
        fitting = _READABLE.get(kind)
        if fitting is not None and columns.get(name, fitting[0]) not in fitting:
            faults.append(f"column {name!r} is of type {columns[name]}, expected {_EXPECTED[kind]}")
    if entity == "executions":
        faults += cursor_faults(profile, columns)
    return faults


def cursor_faults(profile: Profile, columns: Mapping[str, str]) -> list[str]:
    """What is wrong with the cursor and the key, given the columns of executions."""
    cursor = profile.cursor
    if cursor is None:
        return ["has no cursor: name the column that orders finished executions under `cursor`"]
    faults = [
        f"key column {name!r} is not among its columns{nearest(name, columns)}"
        for name in profile.key
        if name not in columns and name != "attempt"
    ]
    if cursor.column not in columns:
        near = nearest(cursor.column, columns)
        has = f"; it has: {', '.join(columns)}"
        return [*faults, f"has no column {cursor.column!r}, which is its cursor{near}{has}"]
    actual, fitting = columns[cursor.column], CURSOR_TYPES[cursor.kind]
    if actual not in fitting:
        others = [kind for kind, types in CURSOR_TYPES.items() if actual in types]
        meant = f". For this type, kind may be: {', '.join(others)}" if others else ""
        faults.append(
            f"the cursor {cursor.column!r} is of type {actual}, but kind {cursor.kind!r} needs"
            f" {' or '.join(fitting)}{meant}"
        )
    if cursor.seek is not None and columns.get(cursor.seek) != actual:
        given = f"is of type {columns[cursor.seek]}" if cursor.seek in columns else "is not among its columns"
        faults.append(f"cursor.seek: {cursor.seek!r} {given}; expected a column of the cursor's type, {actual}")
    return faults
