"""Waiting for what another process does: ask again until it is so, or fail with what was seen last."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def until(check: Callable[[], T], seconds: float, what: str = "", *, every: float = 0.05) -> T:
    """The first true answer of ``check``; AssertionError with its last answer after ``seconds``.

    An AssertionError, OSError or LookupError that it raises is an answer too: not yet.
    """
    deadline = time.monotonic() + seconds
    while True:
        seen: object
        try:
            answer = check()
        except (AssertionError, OSError, LookupError) as error:
            seen = error
        else:
            if answer:
                return answer
            seen = answer
        if time.monotonic() >= deadline:
            raise AssertionError(f"not within {seconds:g} s: {what}; last: {seen!r}")
        time.sleep(every)
