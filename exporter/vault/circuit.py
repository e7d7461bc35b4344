"""Sparing a Vault that is down: after a failure one probe at a time, with growing pauses; all others fail at once."""

from __future__ import annotations

import asyncio
import random
from typing import Final

from exporter.vault.failure import VaultError

#: Seconds between two probes of a Vault that is away: at first, and at most.
FIRST_PAUSE: Final = 0.5
LONGEST_PAUSE: Final = 5.0


class Circuit:
    """Closed: requests go through. Open: Vault is away, ``error`` says why, and nobody but the probe asks."""

    def __init__(self) -> None:
        self.error: VaultError | None = None
        self.opened = asyncio.Event()
        self.closed = asyncio.Event()
        self._pause = FIRST_PAUSE

    def check(self) -> None:
        """Raise why Vault is away, if it is."""
        if self.error is not None:
            raise self.error.again()

    def failed(self, error: VaultError) -> bool:
        """A request found Vault away. True for the first that did."""
        first, self.error = self.error is None, error
        self.closed.clear()
        self.opened.set()
        return first

    def answered(self, *, asked: bool) -> bool:
        """Vault answered; ``asked`` for more than its health. True when it was away before.

        Until something more than its health was answered, the pauses go on growing.
        """
        if asked:
            self._pause = FIRST_PAUSE
        if self.error is None:
            return False
        self.error = None
        self.opened.clear()
        self.closed.set()
        return True

    def pause(self) -> float:
        """Seconds until the next probe; longer each time, and never the same for two exporters."""
        pause, self._pause = self._pause, min(self._pause * 2, LONGEST_PAUSE)
        return pause * random.uniform(0.75, 1.0)  # noqa: S311
