"""Somebody who is told things does not take them: one line an hour, whatever that costs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, Final

#: Seconds between two lines about the same outage.
QUIET: Final = 3600.0


class Outage:
    """Logs that ``began`` with the first failure and again after each hour of them; ``ended`` with the next success.

    ``about`` goes into each line. Used by several threads.
    """

    def __init__(
        self, log: Any, began: str, ended: str, *, clock: Callable[[], float] = time.monotonic, **about: object
    ) -> None:
        self._log = log
        self._began = began
        self._ended = ended
        self._clock = clock
        self._about = about
        self._lock = threading.Lock()
        self._said_at = float("-inf")
        self._begun = False
        self._lost = 0

    def failed(self, error: str, lost: int) -> None:
        """``lost`` things were not taken, for that reason."""
        with self._lock:
            self._lost += lost
            now = self._clock()
            if now - self._said_at < QUIET:
                return
            self._said_at, self._begun = now, True
            lost, self._lost = self._lost, 0
        self._log.warning(self._began, error=error, lost=lost, **self._about)

    def taken(self) -> None:
        """Something was taken. Where it comes and goes, nothing is said of the ends of what was not said to begin."""
        with self._lock:
            if not self._begun:
                return
            self._begun = False
            lost, self._lost = self._lost, 0
        self._log.info(self._ended, lost=lost, **self._about)
