"""How values are written in JSON."""

from __future__ import annotations

import math

import pytest

from exporter.api.wire import iso, milliseconds, percent


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [(200, 230, "86.96%"), (0, 0, "0.00%"), (0, 7, "0.00%"), (7, 7, "100.00%"), (1, 3, "33.33%"), (2, 3, "66.67%"),
     (97, 800, "12.13%"), (1, 100_000, "0.00%"), (10**12, 10**12, "100.00%")],
)  # fmt: skip
def test_percent(part: int, whole: int, text: str) -> None:
    assert percent(part, whole) == text


def test_iso_is_utc_with_milliseconds() -> None:
    assert iso(1769614200.0) == "2026-01-28T15:30:00.000Z"
    assert iso(1769614200.0128) == "2026-01-28T15:30:00.012Z"
    assert iso(0) == "1970-01-01T00:00:00.000Z"
    for nothing in (None, math.inf, -math.inf, math.nan, 1e18):
        assert iso(nothing) is None


def test_milliseconds_are_whole() -> None:
    assert [milliseconds(value) for value in (None, 0.0, 1.2504, 15.0)] == [None, 0, 1250, 15000]
