"""The state file: where it lies, its lock, how it is opened and made. Runs in the ledger's thread only."""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final

import structlog

from exporter.errors import StateUnavailable
from exporter.ledger.schema import Damaged, add_vacuum, connect, create, damage, prepare

log = structlog.get_logger(component="ledger")

FILE_NAME: Final = "ledger.sqlite"
MEMORY: Final = ":memory:"
#: How long (s) the lock is asked for: `state show` holds it for a moment to see whether it is free.
LOCK_SECONDS: Final = 0.2
#: SQLite's companions of the file.
_COMPANIONS: Final = ("", "-wal", "-shm")
ANOTHER: Final = '; give a directory that this user may write, or ":memory:" to count from zero with every start'

Inode = tuple[int, int]


class InUse(StateUnavailable):
    """Another process has the state file: it is free when that one ends."""


class StateFile:
    """The open state file and the lock that keeps a second process out. ``path`` is None in memory."""

    def __init__(self, db: sqlite3.Connection, path: Path | None, lock: IO[str] | None) -> None:
        self.db = db
        self.path = path
        self.lock = lock
        self.inodes = {} if path is None else {name: inode(beside(path, name)) for name in _COMPANIONS}

    def close(self) -> None:
        """Close the file and let another process have it."""
        self.db.close()
        if self.lock is not None:
            self.lock.close()

    def size(self) -> int:
        """Bytes on disk, the write-ahead log included; in memory, the pages in use."""
        if self.path is None:
            pages: int = self.db.execute("PRAGMA page_count").fetchone()[0]
            size: int = self.db.execute("PRAGMA page_size").fetchone()[0]
            return pages * size
        return sum(file_size(beside(self.path, suffix)) or 0 for suffix in ("", "-wal"))


def open_state(directory: str) -> StateFile:
    """Open (or make) the state file in ``directory``; ``:memory:`` keeps it in memory.

    A file that is no database, a damaged or an empty one, is set aside under another name and a new one is begun:
    counters start at zero, and the log says so. Raises StateUnavailable when the directory cannot be used, when another
    process has the file, or when a newer version wrote it.
    """
    if directory == MEMORY:
        db = connect(MEMORY)
        return StateFile(prepare(db, MEMORY), None, None)
    path = Path(directory).absolute() / FILE_NAME
    lock = take_lock(path)
    # What SQLite moves out of memory goes here: a container's /tmp may be read-only.
    os.environ["SQLITE_TMPDIR"] = str(path.parent)
    try:
        with explained(path):
            return StateFile(_open_or_begin(path), path, lock)
    except BaseException:
        lock.close()
        raise


def take_lock(path: Path) -> IO[str]:
    """Make the directory if need be, and lock out every other process. Raises StateUnavailable."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as e:
        raise StateUnavailable(f"state.path {str(path.parent)!r} cannot be used: {e.strerror}{ANOTHER}") from e
    lock = os.fdopen(descriptor, "r+")
    try:
        _lock(lock, path)
    except BaseException:
        lock.close()
        raise
    with contextlib.suppress(OSError):  # a full disk: then the lock names nobody
        os.truncate(descriptor, 0)
        moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        os.write(descriptor, f"process {os.getpid()} on {os.uname().nodename} since {moment}\n".encode())
    return lock


def _lock(lock: IO[str], path: Path) -> None:
    last = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as e:
            if time.monotonic() < last:
                time.sleep(LOCK_SECONDS / 4)
                continue
            holder = lock.read(200).strip()
            raise InUse(
                f"state.path {str(path.parent)!r} is in use by another scheduler-exporter"
                f"{f' ({holder})' if holder else ''}; it is taken over when that one ends. Two that are to run side by"
                f" side need a directory each"
            ) from e
        except OSError as e:
            raise StateUnavailable(f"state.path {str(path.parent)!r} cannot be locked: {e.strerror}{ANOTHER}") from e
        return


def holds(lock: IO[str] | None, path: Path) -> bool:
    """Whether the lock is on the file that others would ask for."""
    if lock is None:
        return False
    held = os.fstat(lock.fileno())
    return inode(path.with_suffix(".lock")) == (held.st_dev, held.st_ino)


@contextlib.contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turns the errors of SQLite and the file system into StateUnavailable; damage stays as it is."""
    try:
        yield
    except sqlite3.Error as e:
        if damage(e):
            raise
        raise StateUnavailable(f"state file {str(path)!r} cannot be opened: {cause(e)}") from e
    except OSError as e:
        raise StateUnavailable(f"state file {str(path)!r} cannot be opened: {e.strerror or e}{ANOTHER}") from e


def cause(error: sqlite3.Error) -> str:
    """What SQLite says, and what to do about it."""
    remedies = {
        sqlite3.SQLITE_FULL: "make room on that disk, or give it more",
        sqlite3.SQLITE_READONLY: "let this user write the file and its directory",
        sqlite3.SQLITE_CANTOPEN: "let this user write the file and its directory; is the disk full?",
        sqlite3.SQLITE_IOERR: "look at that disk: is it full, failing, or not a local one?",
        sqlite3.SQLITE_BUSY: "another program holds it: end that one",
    }
    remedy = remedies.get(getattr(error, "sqlite_errorcode", 0) & 0xFF)
    return f"{error}; {remedy}" if remedy else str(error)


def _open_or_begin(path: Path) -> sqlite3.Connection:
    size = file_size(path)
    saved = beside(path, ".saving")
    if size is None and file_size(saved):  # the process ended while it put a removed file back
        saved.rename(path)
        size = file_size(path)
    if size is None:
        if file_size(beside(path, "-wal")):
            set_aside(path, "it is gone, only its write-ahead log is there", "missing")
        return begin(path)
    try:
        if size == 0:
            raise Damaged("it is empty: something truncated it")
        db = prepare(connect(str(path)), str(path))
    except sqlite3.DatabaseError as e:
        if not damage(e):
            raise
        set_aside(path, str(e))
        return begin(path)
    add_vacuum(db)
    return db


def begin(path: Path) -> sqlite3.Connection:
    """Make a new file and open it. It gets its name when it is whole: an empty one is never half-made."""
    new = beside(path, ".new")
    for suffix in ("", "-wal", "-shm", "-journal"):
        beside(new, suffix).unlink(missing_ok=True)
    create(str(new))
    new.rename(path)
    sync(path.parent)
    return prepare(connect(str(path)), str(path))


def set_aside(path: Path, reason: str, kind: str = "damaged") -> Path:
    """Rename the file and its companions, and say so. Returns the new name."""
    aside = free_name(path, kind)
    for suffix in _COMPANIONS:
        with contextlib.suppress(FileNotFoundError):
            beside(path, suffix).rename(beside(aside, suffix))
    log.critical(
        f"state file is {kind}; it was set aside and all counters start at zero",
        file=str(path),
        kept_as=str(aside),
        reason=reason,
    )
    return aside


def free_name(path: Path, kind: str) -> Path:
    """A name beside ``path`` that says what became of it and when."""
    suffix = f".{kind}-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}"
    names = (beside(path, suffix + (f"-{n}" if n else "")) for n in range(1000))
    return next(
        candidate for candidate in names if inode(candidate) is None and inode(beside(candidate, "-wal")) is None
    )


def beside(path: Path, suffix: str) -> Path:
    """The file whose name is ``path`` and ``suffix``."""
    return path.with_name(path.name + suffix)


def file_size(path: Path) -> int | None:
    """Bytes, None when there is no such file."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None


def inode(path: Path) -> Inode | None:
    """What tells a file from every other, None when there is none."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def sync(directory: Path) -> None:
    """Make a rename outlive a power cut."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
