"""A query's columns: what they are in the store, and the SQL that reads them as texts and numbers. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import psycopg

from exporter.config.problems import nearest, quote
from exporter.errors import PackError
from exporter.packs.model import Query
from exporter.stores.queries import NUMBERS, TIMESTAMPS, quoted, type_name

#: Characters of a label's value; what is longer is cut.
LABEL_CHARACTERS: Final = 200
#: Characters of a number that is given as text.
_NUMBER_CHARACTERS: Final = 100
_NUMBER: Final = re.compile(r"\s*[-+]?(?:(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|inf(?:inity)?|nan)\s*", re.IGNORECASE)
_ARRAYS: Final = frozenset(f"{name}[]" for name in (*NUMBERS, "int2", "int4", "int8", "float4", "float8"))
_DURATION: Final = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)")
_MILLISECONDS: Final = {"ns": 1e-6, "us": 1e-3, "µs": 1e-3, "μs": 1e-3, "ms": 1.0, "s": 1e3, "m": 6e4, "h": 3.6e6}

Types = Mapping[str, str]


def types_of(columns: Sequence[psycopg.Column], query: Query) -> dict[str, str]:
    """Column -> type. Raises PackError for a name that stands twice."""
    names = [column.name for column in columns]
    double = sorted({name for name in names if names.count(name) > 1})
    if double:
        listed = ", ".join(map(quote, double))
        raise PackError(f"{at(query)}: the SELECT gives {listed} more than once; name the columns apart (AS ...)")
    return {column.name: type_name(column) for column in columns}


def at(query: Query, *keys: str) -> str:
    """Where to look: the query's file and line, and the key."""
    return f"{query.place}: {'.'.join((query.name, *keys))}"


def lacking(query: Query, wanted: Iterable[tuple[str, str]], types: Types) -> list[str]:
    """What is wrong: (key, column) pairs whose column the SELECT does not give."""
    return [
        f"{at(query, key)}: the SELECT gives no column {quote(column)}{nearest(column, types)}"
        f" (columns: {', '.join(types) or 'none'})"
        for key, column in wanted
        if column not in types
    ]


def is_number(kind: str) -> bool:
    """Whether a type has a number for each value."""
    return kind in NUMBERS or kind in TIMESTAMPS or kind in ("boolean", "interval", "oid")


def label(column: str) -> str:
    """A label's value."""
    return f"left(q.{quoted(column)}::text, {LABEL_CHARACTERS})"


def number(column: str, kind: str) -> str:
    """A value as float8; as text where the type has no number."""
    bare = f"q.{quoted(column)}"
    if kind in NUMBERS:
        return f"{bare}::float8"
    if kind in TIMESTAMPS or kind == "interval":
        return f"extract(epoch FROM {bare})::float8"
    if kind == "boolean":
        return f"{bare}::int::float8"
    if kind == "oid":
        return f"{bare}::int8::float8"
    if kind in _ARRAYS:
        return f"{bare}::float8[]"
    return f"left({bare}::text, {_NUMBER_CHARACTERS})"


def parsed(text: str) -> float | None:
    """A number that is given as text; None where it is none."""
    return float(text) if _NUMBER.fullmatch(text) else None


def milliseconds(text: str) -> float | None:
    """A duration such as ``1h2m3.5s``; None where it is none. ``-1`` stands for none there."""
    sign, rest = (-1, text[1:]) if text.startswith("-") else (1, text.removeprefix("+"))
    found = _DURATION.findall(rest)
    if rest == "0":
        return 0.0
    if not found or "".join(amount + unit for amount, unit in found) != rest:
        return None
    return sign * math.fsum(float(amount) * _MILLISECONDS[unit] for amount, unit in found)
