"""What is said again and again is said a few times, then counted, and summed up in one line.

Only warnings and errors are counted. Two are the same where component, message and values are; ids of requests and
digits within error texts make no difference. The same one is shown three times a minute; of different ones with one
message a hundred. The rest of the minute becomes one line with ``repeated``. While it goes on, minutes become two,
four, at most sixteen.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from typing import Any, Final

import msgspec

#: Seconds: the first stretch, the longest.
SHORTEST: Final = 60.0
LONGEST: Final = 960.0
#: How many are shown in a stretch: the same one, those with one message.
SAME: Final = 3
ALIKE: Final = 100
#: Different ones that are told apart at a time.
MOST: Final = 1_000
#: Does not tell one occurrence from another.
_PASSING: Final = frozenset({"request_id", "trace_id", "span_id", "duration", "since", "exc_info"})
#: Texts in which a number is no more than a detail.
_TEXTS: Final = frozenset({"error", "reason", "exception", "detail", "event"})
_DIGITS: Final = re.compile(r"\d+")

Key = tuple[Any, ...]


class Stretch(msgspec.Struct):
    """How often something was said since ``began``; ``last`` is what was left out last."""

    began: float
    length: float
    shown: int = 0
    left_out: int = 0
    last: dict[str, Any] = msgspec.field(default_factory=dict)
    severity: str = "warning"


class Summary(msgspec.Struct, frozen=True):
    """So many times more within so many seconds: ``fields`` are those of the last time."""

    severity: str
    fields: dict[str, Any]


class Repetition:
    """Decides what is shown. Safe to use from several threads."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._stretches: dict[Key, Stretch] = {}
        self._next = float("inf")

    def admits(self, severity: str, fields: dict[str, Any]) -> bool:
        """Whether this one is shown; one that is not is counted."""
        now = self._clock()
        alike: Key = (severity, fields.get("component"), _DIGITS.sub("0", str(fields.get("event"))))
        with self._lock:
            same = self._stretch((*alike, _values(fields)), now)
            like = self._stretch(alike, now)
            for stretch, most in ((same, SAME), (like, ALIKE)):
                if stretch.shown >= (most if stretch.length == SHORTEST else 0):
                    stretch.left_out += 1
                    stretch.last, stretch.severity = dict(fields), severity
                    return False
            same.shown += 1
            like.shown += 1
            return True

    def due(self, *, all_of_them: bool = False) -> list[Summary]:
        """What was left out in stretches that are over, or until now: to be told, and forgotten here."""
        now = self._clock()
        if now < self._next and not all_of_them:
            return []
        with self._lock:
            return [summary for key in list(self._stretches) for summary in self._end(key, now, all_of_them)]

    def _stretch(self, key: Key, now: float) -> Stretch:
        found = self._stretches.get(key)
        if found is None:
            if len(self._stretches) >= MOST:
                # What was first seen longest ago and not left out since; its count begins anew.
                quiet = (k for k, stretch in self._stretches.items() if not stretch.left_out)
                self._stretches.pop(next(quiet, next(iter(self._stretches))))
            found = self._stretches[key] = Stretch(began=now, length=SHORTEST)
            self._next = min(self._next, now + SHORTEST)
        return found

    def _end(self, key: Key, now: float, all_of_them: bool) -> list[Summary]:
        stretch = self._stretches[key]
        over = now >= stretch.began + stretch.length or now < stretch.began
        if not over and not all_of_them:
            return []
        told = []
        if stretch.left_out:
            fields = {**stretch.last, "repeated": stretch.left_out, "window": round(now - stretch.began)}
            told.append(Summary(stretch.severity, fields))
            self._stretches[key] = Stretch(began=now, length=min(2 * stretch.length, LONGEST))
        elif over:
            del self._stretches[key]
        self._next = min((s.began + s.length for s in self._stretches.values()), default=float("inf"))
        return told


def _values(fields: dict[str, Any]) -> Key:
    exception = fields.get("exc_info")
    kind = type(exception).__name__ if isinstance(exception, BaseException) else ""
    values = []
    for key in sorted(fields):
        if key not in _PASSING:
            text = str(fields[key])[:500]
            values.append((key, _DIGITS.sub("0", text) if key in _TEXTS else text))
    return (kind, *values)
