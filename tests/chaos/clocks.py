"""Wall clocks that jump while a process runs: libfaketime, told by a file what to add to real time."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path


def library() -> Path | None:
    """Debian's libfaketime, or None where it is not installed."""
    return next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))), None)


class Clock:
    """What a process started with ``environment`` takes for the time. The monotonic clock is left alone."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._offset = self._before = 0.0
        self.set(0.0)

    @property
    def environment(self) -> dict[str, str]:
        """For the process whose clock this is to be."""
        return {
            "LD_PRELOAD": str(library()),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",  # all of a server's processes jump at once
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_FORCE_MONOTONIC_FIX": "0",  # with it threads that wait for one another burn the processor
            "NO_FAKE_STAT": "1",
        }

    def set(self, offset: float) -> None:
        """From now on the clock shows real time plus ``offset`` seconds."""
        fresh = self._file.with_suffix(".new")
        fresh.write_text(f"{offset:+g}")
        fresh.chmod(0o644)  # the server may run as another user
        self._before = max(self._before, time.time() + max(self._offset, offset))
        fresh.replace(self._file)
        self._offset = offset

    @property
    def greatest(self) -> float:
        """A time (Unix seconds) that the clock has never shown yet, and will show if it is left alone."""
        return max(self._before, time.time() + self._offset) + 0.1


def tidy(pid: int) -> None:
    """Remove the shared memory that libfaketime leaves behind when its process is killed."""
    for name in (f"faketime_shm_{pid}", f"sem.faketime_sem_{pid}"):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(Path("/dev/shm", name))
