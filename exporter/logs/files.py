"""Log files by category and day: ``errors-2026-11-25.log``. Days are UTC, as the lines' times are.

A line is one write to the end of the file, so that processes may share a directory. Files are readable by their owner
alone, and are removed ``retention`` after their day has ended.
"""

from __future__ import annotations

import os
import re
import stat
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import Final

from exporter.logs.naming import CATEGORIES

DAY: Final = 86_400.0
#: Seconds after which it is looked whether a file is still where it was: somebody may have moved it away.
LOOK: Final = 5.0
_NAME: Final = re.compile(rf"(?:{'|'.join(CATEGORIES)})-(\d{{4}}-\d\d-\d\d)\.log")
_OPEN: Final = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW


class _File:
    """One open file. ``torn``: its last line has no end."""

    def __init__(self, path: Path, day: str) -> None:
        self.day = day
        self._path = path
        # Not to wait for a reader, should the name be a pipe's.
        self._descriptor = os.open(path, _OPEN | os.O_NONBLOCK, 0o600)
        try:
            found = os.fstat(self._descriptor)
            if not stat.S_ISREG(found.st_mode):
                raise OSError(f"{path.name} is no file")
            if stat.S_IMODE(found.st_mode) != 0o600:
                os.fchmod(self._descriptor, 0o600)
            # A full disk, or an end in the middle of a line.
            last = os.pread(self._descriptor, 1, found.st_size - 1) if found.st_size else b"\n"
        except OSError:
            os.close(self._descriptor)
            raise
        self._place = (found.st_dev, found.st_ino)
        self._torn = last != b"\n"

    def moved(self) -> bool:
        """Whether the file is no longer where it was made."""
        try:
            found = self._path.stat(follow_symlinks=False)
        except OSError:
            return True
        return (found.st_dev, found.st_ino) != self._place

    def write(self, line: bytes) -> None:
        """Raises OSError, also when there was room for a part only: the next line begins one of its own."""
        data = b"\n" + line if self._torn else line
        written = os.write(self._descriptor, data)
        self._torn = written < len(data) and not (self._torn and written == 0)
        if written < len(data):
            raise OSError(28, "No space left on device")

    def close(self) -> None:
        """Let go of the file."""
        with suppress(OSError):
            os.close(self._descriptor)


class DailyFiles:
    """The files of a directory. Not safe to use from several threads at once: ``sink`` has the lock."""

    def __init__(self, directory: str, retention: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.directory = Path(directory)
        self._retention = retention
        self._clock = clock
        self._open: dict[str, _File] = {}
        self._looked = -LOOK
        self._tidied = ""

    def write(self, category: str, day: str, line: str) -> None:
        """Put ``line`` at the end of the category's file of ``day`` (``2026-11-25``). Raises OSError."""
        now = self._clock()
        if now - self._looked >= LOOK:
            self._looked = now
            for name in [name for name, file in self._open.items() if file.moved()]:
                self._open.pop(name).close()
        file = self._open.get(category)
        if file is None or file.day != day:
            file = self._reopen(category, day)
        file.write(line.encode("utf-8", "backslashreplace") + b"\n")

    def close(self) -> None:
        """Close every file."""
        for file in self._open.values():
            file.close()
        self._open.clear()

    def _reopen(self, category: str, day: str) -> _File:
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = _File(self.directory / f"{category}-{day}.log", day)
        if (before := self._open.pop(category, None)) is not None:
            before.close()
        self._open[category] = file
        if day != self._tidied:
            self._tidied = day
            self.tidy(day)
        return file

    def tidy(self, today: str) -> None:
        """Remove files whose day ended more than ``retention`` ago, and no others. What cannot be removed stays."""
        oldest = date.fromisoformat(today).toordinal() * DAY - self._retention
        with suppress(OSError):
            for path in list(self.directory.iterdir()):
                named = _NAME.fullmatch(path.name)
                if named is None:
                    continue
                with suppress(ValueError, OSError):  # no date; another process was faster, or may not
                    if (date.fromisoformat(named[1]).toordinal() + 1) * DAY <= oldest:
                        path.unlink()
