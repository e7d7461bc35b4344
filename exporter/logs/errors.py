"""Who is told of warnings and errors beside the log: error trackers."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

Severity = Literal["warning", "error", "critical"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorEvent:
    """A line of the log that is a warning or worse, as it was written: ``fields`` are masked, under their public names.

    ``exception`` is the exception itself where there is one. It is NOT masked: whoever sends something of it on has to
    put it through ``masked_text``. ``fields["exception"]`` has its traceback, masked.
    """

    severity: Severity
    fields: Mapping[str, Any]
    exception: BaseException | None = None


Callback = Callable[[ErrorEvent], None]
_callbacks: Final[list[Callback]] = []


def on_error(callback: Callback) -> Callable[[], None]:
    """Have ``callback`` called with each warning and error that goes into the log; returns what ends that.

    It is called in the thread that logs: it must not wait and must not log. What it raises is swallowed, for there is
    nobody to tell. Repetitions that the log leaves out do not reach it; their summary does.
    """
    _callbacks.append(callback)

    def end() -> None:
        with contextlib.suppress(ValueError):
            _callbacks.remove(callback)

    return end


def tell(event: ErrorEvent) -> None:
    """Tell everybody."""
    for callback in tuple(_callbacks):
        with contextlib.suppress(Exception):
            callback(event)


def anybody() -> bool:
    """Whether anybody wants to know."""
    return bool(_callbacks)
