"""The state file: opening it, its schema, what to do when it cannot be used. Runs in the ledger's thread only."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import time
from functools import cache
from importlib import resources
from pathlib import Path
from typing import IO, Final

import structlog

from exporter.errors import LedgerError

log = structlog.get_logger(component="ledger")

FILE_NAME: Final = "ledger.sqlite"
MEMORY: Final = ":memory:"


class StateFile:
    """The open state file and the lock that keeps a second process out."""

    def __init__(self, db: sqlite3.Connection, path: Path | None, lock: IO[str] | None) -> None:
        self.db = db
        self.path = path
        self._lock = lock

    def close(self) -> None:
        """Close the file and let another process have it."""
        self.db.close()
        if self._lock is not None:
            self._lock.close()

    def size(self) -> int:
        """Bytes on disk, the write-ahead log included; in memory, the pages in use."""
        if self.path is None:
            pages: int = self.db.execute("PRAGMA page_count").fetchone()[0]
            size: int = self.db.execute("PRAGMA page_size").fetchone()[0]
            return pages * size
        files = (self.path, self.path.with_name(self.path.name + "-wal"))
        return sum(file.stat().st_size for file in files if file.exists())


def open_state(directory: str) -> StateFile:
    """Open (or make) the state file in ``directory``; ``:memory:`` keeps it in memory.

    A file that is no database, or a damaged one, is set aside under another name and a new one is begun: counters
    start at zero, and the log says so. Raises LedgerError when the directory cannot be used, when another process
    has the file, or when a newer version wrote it.
    """
    if directory == MEMORY:
        return StateFile(_prepare(_connect(MEMORY)), None, None)
    path = Path(directory).absolute() / FILE_NAME
    lock = _lock(path)
    try:
        db = _open_or_set_aside(path)
    except BaseException:
        lock.close()
        raise
    return StateFile(db, path, lock)


def _lock(path: Path) -> IO[str]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600)
        lock = os.fdopen(descriptor, "r+")
    except OSError as e:
        raise LedgerError(
            f"state.path {str(path.parent)!r} cannot be used: {e.strerror}. Give a directory that this user may write, "
            f'or ":memory:" to count from zero with every start'
        ) from e
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as e:
        lock.close()
        raise LedgerError(
            f"state.path {str(path.parent)!r} is in use by another scheduler-exporter; each needs its own directory"
        ) from e
    return lock


def _open_or_set_aside(path: Path) -> sqlite3.Connection:
    try:
        return _prepare(_connect(str(path)))
    except sqlite3.OperationalError as e:
        raise LedgerError(f"state file {str(path)!r} cannot be opened: {e}") from e
    except sqlite3.DatabaseError as e:
        aside = path.with_name(f"{path.name}.damaged-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}")
        log.error(
            "state file is damaged; it was set aside and all counters start at zero",
            file=str(path),
            kept_as=str(aside),
            reason=str(e),
        )
        for suffix in ("", "-wal", "-shm"):
            part = path.with_name(path.name + suffix)
            if part.exists():
                part.rename(aside.with_name(aside.name + suffix))
        return _prepare(_connect(str(path)))


def _connect(target: str) -> sqlite3.Connection:
    # Opened by the ledger's thread, closed by it: sqlite3's own check stays on.
    db = sqlite3.connect(target, isolation_level=None)
    try:
        db.execute("PRAGMA journal_mode = WAL")
        # FULL: a poll that was committed survives a power cut, so that Prometheus never sees a counter fall.
        db.execute("PRAGMA synchronous = FULL")
        db.execute("PRAGMA foreign_keys = ON")
        db.execute("PRAGMA cache_size = -2048")
    except sqlite3.Error:
        db.close()
        raise
    return db


@cache
def migrations() -> tuple[str, ...]:
    """The scripts that lead from an empty file to the present schema, one for each version."""
    folder = resources.files("exporter.ledger.migrations")
    names = sorted(file.name for file in folder.iterdir() if file.name.endswith(".sql"))
    return tuple(folder.joinpath(name).read_text(encoding="utf-8") for name in names)


def _prepare(db: sqlite3.Connection) -> sqlite3.Connection:
    version: int = db.execute("PRAGMA user_version").fetchone()[0]
    if version > len(migrations()):
        db.close()
        raise LedgerError(
            f"the state file was written by a newer scheduler-exporter (schema {version}, this one knows "
            f"{len(migrations())}): run that version, or give state.path another directory"
        )
    problem = db.execute("PRAGMA quick_check(1)").fetchone()[0]
    if problem != "ok":
        db.close()
        raise sqlite3.DatabaseError(problem)
    for number, script in enumerate(migrations()[version:], version + 1):
        db.executescript(f"BEGIN; {script}; PRAGMA user_version = {number}; COMMIT;")
    # Keys of the poll under way; private to this connection, never in the state file.
    db.execute(
        "CREATE TEMP TABLE staged (store TEXT, key TEXT, stamp, n INTEGER, PRIMARY KEY (store, key)) WITHOUT ROWID"
    )
    return db
