"""The memory that belongs to this process alone: what would be free if it ended (USS)."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

import msgspec

#: Seconds for which one look holds. The kernel walks all pages for it: 0.6 ms at 65 MB, while the event loop waits.
EVERY: Final = 30.0


class PrivateMemory(msgspec.Struct):
    """Reads Linux's summary of a process's memory, at most once in ``every`` seconds."""

    file: Path = Path("/proc/self/smaps_rollup")
    every: float = EVERY
    _read_at: float | None = None
    _bytes: int | None = None

    def bytes(self) -> int | None:
        """Private memory in bytes; None where the system does not tell it (no Linux, a kernel before 4.14)."""
        now = time.monotonic()
        if self._read_at is None or now - self._read_at >= self.every:
            self._read_at, self._bytes = now, _read(self.file)
        return self._bytes


def _read(file: Path) -> int | None:
    try:
        lines = file.read_text().splitlines()
    except OSError:
        return None
    found = [line.split() for line in lines if line.startswith(("Private_Clean:", "Private_Dirty:"))]
    return sum(int(kib) for _, kib, _ in found) * 1024 if found else None
