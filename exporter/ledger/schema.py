"""The state file from the inside: connections, the schema and its migrations. Runs in the ledger's thread only."""

from __future__ import annotations

import sqlite3
from functools import cache
from importlib import resources
from typing import Final

import structlog

from exporter.errors import StateUnavailable

log = structlog.get_logger(component="ledger")

#: Bytes that the write-ahead log keeps on disk once its content is in the file; it may be longer for a moment.
LOG_KEPT: Final = 4 * 1024 * 1024
#: SQLite's PRAGMA auto_vacuum: free pages can be given back to the file system.
_INCREMENTAL: Final = 2
#: Free pages (of 4 KiB) that the file keeps: the next hour needs as many.
SLACK: Final = 256
#: Pages given back in one go: what takes less than a second or so.
GO: Final = 8192


class Damaged(sqlite3.DatabaseError):
    """The file is no database, or no whole one."""


def damage(error: BaseException) -> bool:
    """Whether SQLite says that the file's content is wrong: no retry helps."""
    codes = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
    return isinstance(error, Damaged) or getattr(error, "sqlite_errorcode", 0) & 0xFF in codes


def connect(target: str) -> sqlite3.Connection:
    """Open a database for the ledger. Raises sqlite3.Error."""
    # Opened by the ledger's thread, closed by it: sqlite3's own check stays on.
    db = sqlite3.connect(target, isolation_level=None)
    try:
        check_version(db, target)  # first: nothing of a newer version's file is touched
        db.execute("PRAGMA journal_mode = WAL")
        # FULL: a poll that was committed survives a power cut, so that Prometheus never sees a counter fall.
        db.execute("PRAGMA synchronous = FULL")
        db.execute("PRAGMA foreign_keys = ON")
        db.execute("PRAGMA cache_size = -1024")
        db.execute(f"PRAGMA journal_size_limit = {LOG_KEPT}")
    except BaseException:
        db.close()
        raise
    return db


@cache
def migrations() -> tuple[str, ...]:
    """The scripts that lead from an empty file to the present schema, one for each version."""
    folder = resources.files("exporter.ledger.migrations")
    names = sorted(file.name for file in folder.iterdir() if file.name.endswith(".sql"))
    return tuple(folder.joinpath(name).read_text(encoding="utf-8") for name in names)


def check_version(db: sqlite3.Connection, name: str) -> int:
    """The file's schema version. Raises StateUnavailable when it is not one that this version can read."""
    version: int = db.execute("PRAGMA user_version").fetchone()[0]
    if version > len(migrations()):
        raise StateUnavailable(
            f"state file {name!r} was written by a newer scheduler-exporter (schema {version}, this one knows "
            f"{len(migrations())}): run that version, or give state.path another directory"
        )
    tables = {table for (table,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if (version == 0 and tables) or (version > 0 and "store" not in tables):
        raise StateUnavailable(
            f"state file {name!r} is a database of another program: give state.path a directory of its own"
        )
    return version


def prepare(db: sqlite3.Connection, name: str) -> sqlite3.Connection:
    """Check the file, bring its schema up to date, and make what only this connection needs.

    Raises Damaged, sqlite3.Error or StateUnavailable, with the connection closed and the file as it was.
    """
    try:
        version = check_version(db, name)
        problem = db.execute("PRAGMA quick_check(1)").fetchone()[0]
        if problem != "ok":
            raise Damaged(problem)
        migrate(db, version)
        db.executescript("BEGIN IMMEDIATE; COMMIT;")  # says at once when it may not be written
        db.execute("PRAGMA temp.cache_size = -512")
        # Keys of the poll under way; private to this connection, never in the state file.
        db.execute("CREATE TEMP TABLE staged (store INTEGER, key TEXT, stamp)")
    except BaseException:
        db.close()
        raise
    return db


def migrate(db: sqlite3.Connection, version: int) -> None:
    """Bring the schema from ``version`` to the present one, each step in one transaction: all of it or nothing."""
    for number, script in enumerate(migrations()[version:], version + 1):
        try:
            db.executescript(f"BEGIN IMMEDIATE; {script}; PRAGMA user_version = {number}; COMMIT;")
        except sqlite3.Error:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise
        if version:
            log.info("state file was brought to a newer schema", schema=number)


def create(target: str) -> None:
    """Make a whole new file of the present schema, closed again, without companions."""
    db = sqlite3.connect(target, isolation_level=None)
    try:
        db.execute("PRAGMA auto_vacuum = INCREMENTAL")  # before the first table
        db.execute("PRAGMA synchronous = FULL")
        migrate(db, 0)
    finally:
        db.close()


def add_vacuum(db: sqlite3.Connection) -> None:
    """Let a file of an older version give room back: it is written anew, once."""
    if db.execute("PRAGMA auto_vacuum").fetchone()[0] == _INCREMENTAL:
        return
    try:
        db.execute("PRAGMA auto_vacuum = INCREMENTAL")
        db.execute("VACUUM")
    except sqlite3.Error as e:
        log.warning("state file cannot be written anew; its free room is used again but not given back", reason=str(e))


def give_back(db: sqlite3.Connection) -> bool:
    """Give free pages back to the file system; whether there are more to give."""
    free: int = db.execute("PRAGMA freelist_count").fetchone()[0]
    if free <= SLACK:
        return False
    # Not by execute(), which takes one step, and that is one page.
    db.executescript(f"PRAGMA incremental_vacuum({min(GO, free - SLACK)})")
    db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
    return free - SLACK > GO
