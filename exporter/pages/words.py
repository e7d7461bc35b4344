"""Values in words for people: ages, durations, times, names. Nothing that is shown can be longer than it may be."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from typing import Final
from urllib.parse import quote, urlencode

#: Characters of a name that are shown; of an error.
NAME: Final = 80
TEXT: Final = 240
#: Bytes of a job's address; one that needs more has no page of its own here.
ADDRESS: Final = 600
_DAY: Final = 86_400
#: Controls, lone surrogates and what turns the direction of the text after it: none of them is anybody's name.
_UNSHOWN: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]+")


#: What leaves nothing to be seen: fillers, joiners and blanks of no width.
_BLANK: Final = re.compile(
    r"[\s\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200d\u2060-\u2064\u2800\u3164\ufe00-\ufe0f\uffa0]*"
)


def clip(text: object, most: int = NAME) -> str:
    """``text`` on one line, cut to ``most`` characters; an empty one is shown as such."""
    whole = str(text)
    # A name of megabytes is not searched to its end.
    shown = _UNSHOWN.sub(" ", whole[: 2 * most]).strip()
    if _BLANK.fullmatch(shown):
        return "(empty)"
    if len(shown) > most or len(whole) > 2 * most:
        return shown[: most - 1].rstrip() + "…"
    return shown


def age(seconds: float | None) -> str:
    """``5 s``, ``3 min``, ``2 h 10 min``, ``4 d 3 h``; ``never``."""
    if seconds is None:
        return "never"
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min"
    great, unit, small, name = (3600, "h", 60, "min") if whole < _DAY else (_DAY, "d", 3600, "h")
    rest = whole % great // small
    return f"{whole // great:,} {unit}" + (f" {rest} {name}" if rest and whole < 100 * great else "")


def span(seconds: float | None) -> str:
    """A duration with what matters of it: ``0.4 ms``, ``35 ms``, ``1.2 s``, ``4 min 3 s``; a dash where unknown."""
    if seconds is None:
        return "–"  # noqa: RUF001 - a dash, on purpose
    if seconds < 0.01:
        return f"{seconds * 1000:.1f} ms"
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    if seconds < 3600:
        minutes, rest = divmod(round(seconds), 60)
        return f"{minutes} min" + (f" {rest} s" if rest else "")
    return age(seconds)


def moment(seconds: float | None) -> datetime | None:
    """Unix seconds as UTC; None for a time that no calendar has."""
    if seconds is None:
        return None
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def stamp(seconds: float | None) -> str:
    """For programs: ``2026-01-28T15:30:00Z``."""
    found = moment(seconds)
    return found.strftime("%Y-%m-%dT%H:%M:%SZ") if found is not None else ""


def clock(seconds: float | None, now: float | None = None) -> str:
    """``14:07:03``, with the day in front where that is not today's (UTC)."""
    found, today = moment(seconds), moment(time.time() if now is None else now)
    if found is None or today is None:
        return "unknown"
    if found.date() == today.date():
        return found.strftime("%H:%M:%S")
    return found.strftime("%d %b %H:%M" if found.year == today.year else "%d %b %Y %H:%M")


def hour(seconds: float | None, now: float | None = None) -> str:
    """The beginning of an hour: ``14:00``, with the day in front where that is not today's (UTC)."""
    return re.sub(r"(:\d\d):\d\d$", r"\1", clock(seconds, now))


def count(number: int | None) -> str:
    """``1,234``; a dash where unknown."""
    return "–" if number is None else f"{number:,}"  # noqa: RUF001


def share(part: int, whole: int) -> str | None:
    """``86.9%``, never rounded up to all; None of nothing."""
    if not whole:
        return None
    tenths = 1000 * part // whole
    return f"{tenths // 10}%" if tenths % 10 == 0 else f"{tenths / 10:.1f}%"


def job_address(store: str, job_id: str | None) -> str | None:
    """Where a job's own page is; None where it can have none."""
    if not job_id or _UNSHOWN.search(job_id):
        return None
    address = f"/jobs/{quote(job_id, safe='')}?{urlencode({'store': store})}"
    return address if len(address) <= ADDRESS and job_id not in (".", "..") else None
