"""Tests of how soon something happens, on a machine that now and then stands still: they are told, and try again."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

#: Seconds between two looks at the clock.
_TICK = 0.02


class _Stalls:
    """The longest time (s) by which this process woke up too late, while the block lasts."""

    def __init__(self) -> None:
        self.longest = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="stalls", daemon=True)

    def __enter__(self) -> _Stalls:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        looked, over = time.monotonic(), False
        while not over:
            over = self._over.wait(_TICK)
            now = time.monotonic()
            self.longest = max(self.longest, now - looked - _TICK)
            looked = now


def undisturbed(story: Callable[[], None], *, by: float, tries: int = 3) -> None:
    """Tell ``story``, which begins from the beginning each time: again where it failed while the machine stood still.

    ``by``: from so many seconds at once on, what a story found late need not have been. What fails without that, or
    each time, fails.
    """
    for left in reversed(range(tries)):
        failed: AssertionError | None = None
        with _Stalls() as stalls:
            try:
                story()
            except AssertionError as error:
                failed = error
        if failed is None:
            return
        if not left or stalls.longest < by:
            raise failed
        print(f"again: this machine stood still for {stalls.longest:.2f} s; {failed}")
