"""Durations as people write them: ``500ms``, ``15s``, ``1m30s``, ``2h``, ``35d``."""

from __future__ import annotations

import re
from typing import Final

from exporter.config.model import Duration

EXPECTED: Final = "a duration such as 15s, 5m, 2h, 35d"

#: Units in milliseconds, greatest first: the order in which they are written.
_UNITS: Final = (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1))
_PATTERN: Final = re.compile("".join(rf"(?:([0-9]{{1,12}}){unit})?" for unit, _ in _UNITS))
#: A century: far above any sense, far below what datetime or a 64-bit timestamp holds.
_LONGEST: Final = 36_500 * 86_400_000


def parse_duration(text: str) -> Duration:
    """Seconds from whole numbers with units, greatest unit first, or a bare ``0``; ValueError otherwise."""
    if text == "0":
        return Duration(0)
    match = _PATTERN.fullmatch(text)
    if match is None or not text:
        raise ValueError(f"expected {EXPECTED}")
    millis = sum(
        int(count) * size for count, (_, size) in zip(match.groups(), _UNITS, strict=True) if count is not None
    )
    if millis > _LONGEST:
        raise ValueError("expected a duration of at most 36500d")
    return Duration(millis / 1000)


def format_duration(seconds: float) -> str:
    """The text that ``parse_duration`` reads back, to the millisecond: 90.0 is ``1m30s``, 0 is ``0s``."""
    millis = round(seconds * 1000)
    if millis < 0:
        raise ValueError("a duration is not negative")
    parts = []
    for unit, size in _UNITS:
        count, millis = divmod(millis, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"
