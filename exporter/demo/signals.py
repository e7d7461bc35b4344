"""Ctrl-C, SIGTERM and the loss of the terminal, as a flag that is looked at where it is safe to stop."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, Final, Self

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
TICK: Final = 0.1


class Interrupted(Exception):
    """The user, or the system, wants us to end."""


class Interrupts:
    """While entered, the first signal makes ``sleep`` raise, and every further one calls ``hurry``.

    No exception is raised from the handler itself: it could fall between the start of a child and its being
    noted down. A plain flag, because threading.Event may deadlock when it is set by a handler.
    """

    def __init__(self, hurry: Callable[[], None]) -> None:
        self._hurry = hurry
        self._before: dict[signal.Signals, Any] = {}
        self._terminal = os.isatty(0)
        self._requested = False

    def __enter__(self) -> Self:
        for number in SIGNALS:
            # nohup asks to live on.
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, _number: int, _frame: FrameType | None) -> None:
        if self._requested:
            self._hurry()
        self._requested = True

    @property
    def requested(self) -> bool:
        """Whether to end. A terminal that is gone counts: its SIGHUP goes to the session's leader alone."""
        return self._requested or (self._terminal and not os.isatty(0))

    def sleep(self, seconds: float = TICK) -> None:
        """Sleep, unless asked to end: then raise ``Interrupted``."""
        deadline = time.monotonic() + seconds
        while not self.requested and (left := deadline - time.monotonic()) > 0:
            time.sleep(min(TICK, left))
        if self.requested:
            raise Interrupted
