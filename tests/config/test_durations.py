from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.config.durations import format_duration, parse_duration
from exporter.config.model import Duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("0s", 0),
        ("500ms", 0.5),
        ("15s", 15),
        ("5m", 300),
        ("1m30s", 90),
        ("2h", 7200),
        ("35d", 35 * 86400),
        ("1d2h3m4s5ms", 93784.005),
        ("90s", 90),
        ("36500d", 36500 * 86400),
    ],
)
def test_reads(text: str, seconds: float) -> None:
    parsed = parse_duration(text)
    assert parsed == seconds
    assert type(parsed) is Duration


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "15",
        "-5s",
        "1.5h",
        "5 m",
        "5S",
        "s",
        "30s1m",
        "1m1m",
        "5y",
        "\uff11s",
        "1e3s",
        "inf",
        "36501d",
        "9" * 50 + "s",
    ],
)
def test_refuses(text: str) -> None:
    with pytest.raises(ValueError, match="expected a duration"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(15, "15s"), (90, "1m30s"), (300, "5m"), (3024000, "35d"), (0.5, "500ms"), (0, "0s")],
)
def test_writes(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


def test_a_negative_duration_is_not_written() -> None:
    with pytest.raises(ValueError, match="not negative"):
        format_duration(-1)


@given(st.integers(min_value=0, max_value=36_500 * 86_400_000))
def test_what_is_written_reads_back(millis: int) -> None:
    assert parse_duration(format_duration(millis / 1000)) == millis / 1000


@given(st.text(max_size=12))
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert parse_duration(text) >= 0
