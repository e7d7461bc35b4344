"""Lists of hosts and ports mean what libpq takes them for."""

from __future__ import annotations

import pytest

from exporter.config.places import places


@pytest.mark.parametrize(
    ("host", "port", "expected"),
    [
        ("db", 5433, [("db", 5433)]),
        ("db", "5433", [("db", 5433)]),
        ("a, b", 5433, [("a", 5433), ("b", 5433)]),
        ("a,b,c", "1,,3", [("a", 1), ("b", 5432), ("c", 3)]),
        ("/run/postgresql,::1", "1,2", [("/run/postgresql", 1), ("::1", 2)]),
    ],
)
def test_places(host: str, port: int | str, expected: list[tuple[str, int]]) -> None:
    assert list(places(host, port)) == expected


@pytest.mark.parametrize(
    ("host", "port"), [("", 1), ("a,", 1), ("a,b", "1,2,3"), ("a", "1,2"), ("a", "-1"), ("a", "x")]
)
def test_what_libpq_would_take_for_something_else_is_refused(host: str, port: int | str) -> None:
    with pytest.raises(ValueError, match="expected"):
        places(host, port)
