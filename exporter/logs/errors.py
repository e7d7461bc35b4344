"""Who is told of warnings and errors beside the log: error trackers."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, get_args

import msgspec

Severity = Literal["info", "warning", "error", "critical"]
#: The gravest last.
SEVERITIES: Final[tuple[Severity, ...]] = get_args(Severity)


class ErrorEvent(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the log that is no debugging, as it was written: ``fields`` are masked, under their public names.

    ``exception`` is the exception itself where there is one. It is NOT masked: whoever sends something of it on has to
    put it through ``masked_text``. ``fields["exception"]`` has its traceback, masked.
    """

    severity: Severity
    fields: Mapping[str, Any]
    exception: BaseException | None = None


Callback = Callable[[ErrorEvent], None]
_callbacks: Final[list[tuple[Callback, int]]] = []


def on_error(callback: Callback, *, least: Severity = "warning") -> Callable[[], None]:
    """Have ``callback`` called with what goes into the log and is ``least`` or graver; returns what ends that.

    It is called in the thread that logs: it must not wait and must not log. What it raises is swallowed, for there is
    nobody to tell. Repetitions that the log leaves out do not reach it; their summary does.
    """
    entry = (callback, SEVERITIES.index(least))
    _callbacks.append(entry)

    def end() -> None:
        with contextlib.suppress(ValueError):
            _callbacks.remove(entry)

    return end


def tell(event: ErrorEvent) -> None:
    """Tell everybody who wants to know."""
    grave = SEVERITIES.index(event.severity)
    for callback, least in tuple(_callbacks):
        if grave >= least:
            with contextlib.suppress(Exception):
                callback(event)


def anybody(severity: str) -> bool:
    """Whether anybody wants to know of something like this."""
    return severity in SEVERITIES and any(SEVERITIES.index(severity) >= least for _, least in _callbacks)
