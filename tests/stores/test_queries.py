"""The statements wrapped round a profile's SELECTs: identifiers quoted, the cursor left bare, its bounds cast."""

from __future__ import annotations

import pytest

from exporter.config.model import Cursor, Profile
from exporter.errors import ProfileError
from exporter.stores.queries import CURSOR_TYPES, Wrapped, bounds, quoted


def wrapped(
    column: str = "ended", kind: str = "timestamp", type_: str = "timestamp with time zone", **more: str
) -> Wrapped:
    position = "SELECT 1" if kind == "id" else None
    profile = Profile(
        executions="SELECT * FROM t -- all",
        cursor=Cursor(column=column, kind=kind, position=position),  # type: ignore[arg-type]
        key=tuple(more) or ("id",),
    )
    return Wrapped(profile, {"executions": {"id": "bigint", "status": "text", column: type_, **more}})


@pytest.mark.parametrize(
    ("name", "identifier"),
    [("completed_at", '"completed_at"'), ("CompletedAt", '"CompletedAt"'), ('a "b" c', '"a ""b"" c"'), ("é", '"é"')],
)
def test_identifiers_are_quoted(name: str, identifier: str) -> None:
    assert quoted(name) == identifier
    sql = wrapped(name).finished()
    assert f"WHERE q.{identifier} > to_timestamp($1::float8) AND q.{identifier} <= to_timestamp($2::float8)" in sql


def test_a_comment_at_the_end_ends_with_its_line() -> None:
    assert "-- all\n) q WHERE" in wrapped().finished()


def test_key_columns_are_quoted() -> None:
    sql = wrapped(**{"Run Id": "uuid", "attempt": "integer"}).finished()
    assert """SELECT coalesce(q."Run Id"::text, '') || chr(31) || coalesce(q."attempt"::text, '')""" in sql


@pytest.mark.parametrize(("kind", "type_"), [(kind, t) for kind, types in CURSOR_TYPES.items() for t in types])
def test_the_cursor_stays_bare(kind: str, type_: str) -> None:
    """A cast on the column would cost its index."""
    where = wrapped("ended", kind, type_).finished().rpartition(" WHERE ")[2]
    low, _, high = where.partition(" AND ")
    assert low.startswith('q."ended" > ')
    assert high.startswith('q."ended" <= ')
    assert '"ended"::' not in where


@pytest.mark.parametrize(
    ("kind", "type_", "seconds"),
    [
        ("timestamp", "timestamp with time zone", 0.0),
        ("epoch", "integer", 1.0),
        ("epoch", "double precision", 0.0),
        ("epoch_ms", "bigint", 0.001),
        ("id", "bigint", 0.0),
    ],
)
def test_granularity(kind: str, type_: str, seconds: float) -> None:
    assert wrapped("ended", kind, type_).granularity == seconds


def test_a_cursor_in_milliseconds_is_read_as_seconds_under_its_canonical_name_too() -> None:
    sql = wrapped("completed_at", "epoch_ms", "bigint").finished()
    assert "q.completed_at::float8 / 1000" in sql
    assert "q.completed_at::float8," not in sql


def test_bounds_have_the_cursors_type() -> None:
    assert bounds(Cursor(kind="id", position="SELECT 1"), 1.0, 2.0) == (1, 2)
    assert bounds(Cursor(), 1, 2) == (1.0, 2.0)


def test_absent_columns_are_typed_nulls() -> None:
    made = wrapped()
    assert made.column("executions", "started_at") == "NULL::float8"
    assert made.column("executions", "attempt") == "NULL::int8"
    assert made.column("executions", "worker_id") == "NULL::text"


def test_what_is_not_mapped_cannot_be_asked() -> None:
    with pytest.raises(ProfileError, match="no running"):
        wrapped().source("running")
    with pytest.raises(ProfileError, match="no cursor"):
        _ = Wrapped(Profile(jobs="SELECT 1"), {}).cursor
