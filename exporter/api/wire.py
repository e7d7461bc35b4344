"""How values are written in JSON: times, durations, shares. The same in every family that writes them so."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from math import inf, isfinite
from typing import Final


def iso(seconds: float | None) -> str | None:
    """Unix seconds as ``2026-01-28T15:30:00.000Z``; None stays None, and so does a time that no calendar has."""
    if seconds is None:
        return None
    try:
        moment = datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def milliseconds(seconds: float | None) -> int | None:
    """Seconds as whole milliseconds."""
    return None if seconds is None else round(seconds * 1000)


def percent(part: int, whole: int) -> str:
    """``"86.96%"``, half a hundredth upwards; ``"0.00%"`` of nothing."""
    hundredths = (20_000 * part + whole) // (2 * whole) if whole else 0
    return f"{hundredths // 100}.{hundredths % 100:02d}%"


def iso_second(seconds: float | None) -> str | None:
    """Unix seconds as ``2024-01-01T02:00:00Z``."""
    text = iso(seconds)
    return None if text is None else f"{text[:19]}Z"


def unix(seconds: float | None) -> int | None:
    """Unix seconds, whole; None for a time that is none (``infinity``)."""
    return int(seconds) if seconds is not None and isfinite(seconds) else None


def lasted(started: float | None, ended: float | None) -> float | None:
    """Seconds between two moments, never below 0; None where one is not known."""
    if started is None or ended is None or not isfinite(ended - started):
        return None
    return max(0.0, ended - started)


def in_words(seconds: float | None) -> str | None:
    """``"5 minutes"``: a duration rounded to its greatest unit."""
    if seconds is None:
        return None
    for unit, size, until in (("second", 1, 60), ("minute", 60, 3600), ("hour", 3600, 86_400), ("day", 86_400, inf)):
        number = max(1, round(seconds / size))
        if number * size < until:
            return f"{number} {unit}{'' if number == 1 else 's'}"
    return None


def number_or_text(value: str | None, *, integral: bool) -> int | str | None:
    """An id: a number where the store has numbers."""
    return int(value) if integral and value is not None and _WHOLE.fullmatch(value) else value


_WHOLE: Final = re.compile(r"-?[0-9]{1,19}", re.ASCII)
