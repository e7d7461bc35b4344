"""Where lines go: standard output, or files with standard output as what is left when they cannot be written.

Nothing here raises: a full disk or a closed pipe is no reason to stop serving. What was lost is counted, and said.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple, TextIO

from exporter.logs.files import DailyFiles

#: Seconds between two tries of files that cannot be written.
RETRY: Final = 30.0


class Line(NamedTuple):
    """A line as standard output and as a file has it. ``file`` None: standard output alone."""

    shown: str
    file: str | None
    category: str
    day: str


class Note(NamedTuple):
    """What the sink has to say of itself: to standard output if it is ``bad``, and to whoever reads the files."""

    message: str
    fields: Mapping[str, object]
    bad: bool


class Sink:
    """Takes lines, one at a time, from any thread. ``notes`` are to be logged by whoever wrote the line."""

    def __init__(
        self,
        stream: TextIO | None,
        files: DailyFiles | None,
        *,
        both: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.stream = sys.stdout if stream is None else stream
        self.files = files
        self._both = both
        self._clock = clock
        self._lock = threading.Lock()
        self._failed_at: float | None = None
        self._reason = ""
        self._elsewhere = 0
        self._lost = 0

    def write(self, line: Line) -> list[Note]:
        """Put ``line`` where it belongs; what came of it, if that is new."""
        notes: list[Note] = []
        with self._lock:
            filed = self._file(line, notes)
            if self._both or not filed:
                self._print(line.shown, notes)
        return notes

    def close(self) -> None:
        """Close the files."""
        with self._lock:
            if self.files is not None:
                self.files.close()

    def _file(self, line: Line, notes: list[Note]) -> bool:
        if self.files is None or line.file is None:
            return False
        if self._failed_at is not None and self._clock() - self._failed_at < RETRY:
            self._elsewhere += 1
            return False
        try:
            self.files.write(line.category, line.day, line.file)
        except OSError as error:
            self._fail(error, notes)
            return False
        if self._failed_at is not None:
            fields = {"directory": str(self.files.directory), "lines_on_standard_output": self._elsewhere}
            notes.append(Note("log files are written again", fields, bad=False))
            self._failed_at, self._reason = None, ""
        return True

    def _fail(self, error: OSError, notes: list[Note]) -> None:
        assert self.files is not None  # noqa: S101 - only files fail
        reason = error.strerror or str(error)
        if self._failed_at is None or reason != self._reason:
            fields = {"directory": str(self.files.directory), "reason": reason}
            notes.append(
                Note("log files cannot be written; lines go to standard output until they can", fields, bad=True)
            )
        if self._failed_at is None:
            self._elsewhere = 0
        self._elsewhere += 1
        self._failed_at, self._reason = self._clock(), reason
        self.files.close()

    def _print(self, text: str, notes: list[Note]) -> None:
        try:
            self.stream.write(text + "\n")
            self.stream.flush()
        except (OSError, ValueError):  # ValueError: it was closed
            self._lost += 1
            return
        if self._lost:
            notes.append(Note("standard output is written again", {"lines_lost": self._lost}, bad=True))
            self._lost = 0
