"""Keeps the state file open: opens it as soon as that can be, notices what becomes of it, says each trouble once.

Nothing here ends the process. What needs the file meanwhile gets StateUnavailable, and nothing half-written is kept: so
the next attempt goes on where the last commit left off. Runs in the ledger's thread only.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

import msgspec
import structlog

from exporter.errors import StateUnavailable
from exporter.ledger.database import (
    InUse,
    StateFile,
    beside,
    cause,
    file_size,
    free_name,
    holds,
    inode,
    open_state,
    set_aside,
    sync,
    take_lock,
)
from exporter.ledger.schema import damage, give_back

T = TypeVar("T")

log = structlog.get_logger(component="ledger")

#: Seconds between two attempts to open the file.
RETRY_SECONDS: Final = 3.0
#: Seconds between two looks for room to give back.
TIDY_SECONDS: Final = 3600.0


class Keeper:
    """The state file of one directory. ``on_open(file, anew)`` is called with each file that was opened; ``anew`` says
    that it is not the one before, and holds none of its counts.
    """

    def __init__(self, directory: str, on_open: Callable[[StateFile, bool], None]) -> None:
        self._directory = directory
        self._on_open = on_open
        self._file: StateFile | None = None
        self._ever = False
        self._next_try = 0.0
        self._next_tidy = 0.0
        self._trouble: str | None = None
        #: Why there is none: another process has it.
        self.in_use = False
        #: Whether the latest write succeeded, and how many did and did not.
        self.written = True
        self.writes = {"success": 0, "failure": 0}
        self.size = 0

    @property
    def opened(self) -> bool:
        """Whether the file is open."""
        return self._file is not None

    @property
    def up(self) -> bool:
        """Whether the file is open and the latest write succeeded."""
        return self._file is not None and self.written

    @property
    def db(self) -> sqlite3.Connection:
        """The open file's connection."""
        if self._file is None:
            raise StateUnavailable(self._trouble or "the state file is not open")
        return self._file.db

    def run(self, work: Callable[[], T]) -> T:
        """Do something with the open file. Raises StateUnavailable when there is none, or it failed."""
        self._ensure()
        try:
            return work()
        except (sqlite3.Error, msgspec.DecodeError) as e:
            raise self._failed(e) from e

    def write(self, work: Callable[[], T]) -> T:
        """Within :meth:`run`: write a transaction, and keep account of it."""
        try:
            moved = self._look()
            if moved is not None:
                raise StateUnavailable(moved)
            result = work()
        except BaseException as e:
            self.writes["failure"] += 1
            self.written = self.written and not isinstance(e, sqlite3.Error)
            if self._file is not None and self._file.db.in_transaction:
                self._file.db.execute("ROLLBACK")
            raise
        self.writes["success"] += 1
        self.written = True
        if self._trouble is not None:
            log.info("state file is written again; nothing was lost", category="errors")
            self._trouble = None
        self._tidy()
        return result

    def look_after(self) -> None:
        """Open the file if it is not, and see that it is still in its place."""
        self._ensure()
        self._look()

    def close(self) -> None:
        """Close the file, if it is open."""
        file, self._file = self._file, None
        if file is not None:
            file.close()

    # -- opening

    def _ensure(self) -> None:
        if self._file is not None:
            return
        if time.monotonic() < self._next_try:
            raise StateUnavailable(self._trouble or "the state file is not open")
        try:
            self._take(open_state(self._directory), anew=self._ever)
        except (StateUnavailable, sqlite3.Error) as e:
            self._next_try = time.monotonic() + RETRY_SECONDS
            self.in_use = isinstance(e, InUse)
            self._say("state file cannot be used; what needs no counts is served, and it is tried again", str(e))
            raise e if isinstance(e, StateUnavailable) else StateUnavailable(str(e)) from e
        self.in_use = False
        if self._trouble is not None:
            log.info("state file is open; counting goes on from what it holds")
            self._trouble = None

    def _take(self, file: StateFile, *, anew: bool) -> None:
        self._file = file
        try:
            self._on_open(file, anew)
        except sqlite3.Error as e:
            if not damage(e):
                self.close()
                raise
            self._set_aside(str(e))
            self._take(open_state(self._directory), anew=True)
            return
        self._ever = self.written = True
        self._measure()

    def _say(self, what: str, reason: str) -> None:
        if reason != self._trouble:
            self._trouble = reason
            log.error(what, reason=reason)

    # -- what becomes of it

    @property
    def _name(self) -> str:
        path = self._file.path if self._file is not None else None
        return "the state file" if path is None else f"state file {str(path)!r}"

    def _failed(self, error: Exception) -> StateUnavailable:
        """What to raise in place of an error; a damaged file is set aside and another one begun."""
        if isinstance(error, sqlite3.Error) and not damage(error):
            reason = f"{self._name} cannot be used: {cause(error)}. What was not written is read again"
            self._say("state file cannot be used; what needs no counts is served, and it is tried again", reason)
            return StateUnavailable(reason)
        self._set_aside(str(error))
        return self._begun_anew(f"the state file was damaged ({error}) and set aside")

    def _set_aside(self, reason: str) -> None:
        file, self._file = self._file, None
        if file is None:
            return
        if file.path is not None:
            # Renamed before it is closed: SQLite then leaves it, and its log, as they are.
            with contextlib.suppress(OSError):
                set_aside(file.path, reason)
        file.close()

    def _begun_anew(self, reason: str) -> StateUnavailable:
        try:
            self._next_try = 0.0
            self._ensure()
        except StateUnavailable as e:
            return StateUnavailable(f"{reason}; another one cannot be begun yet: {e}")
        return StateUnavailable(f"{reason}; another one was begun, and counts from zero")

    def _look(self) -> str | None:
        """See that the file is where it was; if not, save what it held. What happened, if another is open now.

        Raises StateUnavailable when it could not be saved.
        """
        file = self._file
        path = file.path if file is not None else None
        if file is None or path is None:
            return None
        try:
            there, size = inode(path), file_size(path)
            if there == file.inodes[""] and size:
                return None
            if there == file.inodes[""]:
                self._set_aside("it is empty: something truncated it under the running process")
                return str(self._begun_anew("the state file was truncated and set aside"))
            if time.monotonic() < self._next_try:
                raise StateUnavailable(self._trouble or "the state file is not in its place")
            if there is None:
                self._put_back(file, path)
                return "the state file was removed, and was put back; what was not written is read again"
            self._leave(file, path)
            return "the state file was replaced by another one, which is used from now on"
        except (OSError, sqlite3.Error) as e:
            self.written = False
            self._next_try = time.monotonic() + RETRY_SECONDS
            reason = f"the state file is not in its place, and what it held cannot be saved yet: {e}"
            self._say("state file was removed or replaced; nothing is counted until it is saved", reason)
            raise StateUnavailable(reason) from e

    def _put_back(self, file: StateFile, path: Path) -> None:
        """Write what the open file holds, which has no name any more, to where it was."""
        if not holds(file.lock, path):
            lock, file.lock = file.lock, take_lock(path)
            if lock is not None:
                lock.close()
        saving = beside(path, ".saving")
        saving.unlink(missing_ok=True)
        file.db.execute("VACUUM INTO ?", (str(saving),))
        with saving.open("rb") as written:
            os.fsync(written.fileno())
        self._drop_companions(file, path)
        saving.rename(path)
        sync(path.parent)
        self._reopen(file, anew=False)
        log.error("state file was removed under the running process; it was put back, nothing is lost", file=str(path))

    def _leave(self, file: StateFile, path: Path) -> None:
        """Save what the open file holds beside the one that has taken its place, and go over to that one."""
        aside = free_name(path, "replaced")
        file.db.execute("VACUUM INTO ?", (str(aside),))
        self._drop_companions(file, path)
        log.critical(
            "state file was replaced by another one under the running process; counting goes on with that one",
            file=str(path),
            kept_as=str(aside),
        )
        self._reopen(file, anew=True)

    @staticmethod
    def _drop_companions(file: StateFile, path: Path) -> None:
        """Remove the log of a file that was saved elsewhere, whole: it must not be taken for another file's."""
        for suffix in ("-wal", "-shm"):
            companion = beside(path, suffix)
            if inode(companion) == file.inodes[suffix]:
                companion.unlink(missing_ok=True)

    def _reopen(self, file: StateFile, *, anew: bool) -> None:
        self._file = None
        file.close()
        self._take(open_state(self._directory), anew=anew)

    # -- its size

    def _tidy(self) -> None:
        """After a commit: now and then give room back. Failure costs nothing but room."""
        try:
            if time.monotonic() >= self._next_tidy:
                more = give_back(self.db)
                self._next_tidy = 0.0 if more else time.monotonic() + TIDY_SECONDS
            self._measure()
        except sqlite3.Error as e:
            self._next_tidy = time.monotonic() + TIDY_SECONDS
            log.warning("state file keeps its free room", reason=str(e))

    def _measure(self) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):
                self.size = self._file.size()
