"""Writers that commit late, roll back and prepare, with stamps a little off; a pack that is killed; exact counts."""

from __future__ import annotations

import contextlib
import random
import time
from collections import Counter
from pathlib import Path
from typing import Any

import psycopg
import pytest
from support.packs import Asked, config_of, own, values, write
from support.postgres import Database
from support.scheduler import monitor

WRITERS = 4
STEPS = 90
LATE_WINDOW = 0.3
TABLE = """
CREATE TABLE mail (id bigserial PRIMARY KEY, kind text NOT NULL, done timestamptz NOT NULL, made float8, ms bigint,
                   naive timestamp);
CREATE INDEX ON mail (done); CREATE INDEX ON mail (made); CREATE INDEX ON mail (ms); CREATE INDEX ON mail (naive);
CREATE FUNCTION also() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  NEW.made := extract(epoch FROM NEW.done); NEW.ms := extract(epoch FROM NEW.done) * 1000;
  NEW.naive := NEW.done AT TIME ZONE 'UTC'; RETURN NEW; END $$;
CREATE TRIGGER also BEFORE INSERT ON mail FOR EACH ROW EXECUTE FUNCTION also();
"""
METRICS = {"mail_total": {"type": "counter", "help": "Mails.", "labels": ["kind"]}}
CURSORS = {
    "timestamp": {"column": "done"},
    "naive_timestamp": {"column": "naive", "kind": "naive_timestamp"},
    "epoch": {"column": "made", "kind": "epoch"},
    "epoch_ms": {"column": "ms", "kind": "epoch_ms"},
    "id": {"column": "id", "kind": "id", "position": "SELECT max(id) FROM mail"},
}
STAMPS = ("now()", "clock_timestamp()", f"clock_timestamp() - interval '{LATE_WINDOW / 2} s'")


class Writers:
    """Transactions of several writers; ``truth`` is what was committed, by kind."""

    def __init__(self, database: Database, seed: int) -> None:
        self._database = database
        self._picked = random.Random(seed)
        self._connections = [database.connect() for _ in range(WRITERS)]
        self._open: list[Counter[str] | None] = [None] * WRITERS
        self._prepared: dict[str, Counter[str]] = {}
        self.truth: Counter[str] = Counter()

    def step(self) -> None:
        """Something that a writer does."""
        writer = self._picked.randrange(WRITERS)
        what = self._picked.choice(("begin", "insert", "insert", "insert", "end", "prepare", "end_prepared"))
        getattr(self, f"_{what}")(writer)

    def _begin(self, writer: int) -> None:
        if self._open[writer] is None:
            self._connections[writer].execute("BEGIN; SELECT now()")
            self._open[writer] = Counter()

    def _insert(self, writer: int) -> None:
        kind, stamp = self._picked.choice("abc"), self._picked.choice(STAMPS)
        self._connections[writer].execute(f"INSERT INTO mail (kind, done) VALUES ('{kind}', {stamp})".encode())
        pending = self._open[writer]
        (self.truth if pending is None else pending)[kind] += 1

    def _end(self, writer: int, how: str | None = None) -> None:
        pending, self._open[writer] = self._open[writer], None
        if pending is not None:
            how = how or self._picked.choice(("COMMIT", "COMMIT", "ROLLBACK"))
            self._connections[writer].execute(how.encode())
            self.truth.update(pending if how == "COMMIT" else {})

    def _prepare(self, writer: int) -> None:
        pending = self._open[writer]
        if pending and len(self._prepared) < 8:
            name = f"{self._database.name}_{time.monotonic_ns()}"
            self._connections[writer].execute(f"PREPARE TRANSACTION '{name}'".encode())
            self._prepared[name], self._open[writer] = pending, None

    def _end_prepared(self, _: int = 0) -> None:
        if self._prepared:
            name, pending = self._prepared.popitem()
            with self._database.connect() as admin:
                admin.execute(f"COMMIT PREPARED '{name}'".encode())
            self.truth.update(pending)

    def finish(self) -> None:
        """Commit all that is open."""
        for writer in range(WRITERS):
            self._end(writer, "COMMIT")
        while self._prepared:
            self._end_prepared()

    def close(self) -> None:
        """Give the connections back, and leave no prepared transaction behind."""
        with contextlib.suppress(psycopg.Error):
            self.finish()
        for connection in self._connections:
            connection.close()


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("kind", CURSORS)
def test_every_row_is_counted_exactly_once(kind: str, seed: int, database: Database, tmp_path: Path) -> None:
    with database.connect() as admin:
        admin.execute(TABLE)
        admin.execute(
            "INSERT INTO mail (kind, done) SELECT 'a', now() - i * interval '1 h' FROM generate_series(1, 9) i"
        )
    text: dict[str, Any] = own("SELECT * FROM mail", METRICS, cursor=CURSORS[kind])
    config = config_of(monitor(database), write(tmp_path, text), late_window=LATE_WINDOW)
    asked = Asked(config, tmp_path)
    writers = Writers(database, seed)
    picked = random.Random(seed)
    try:
        asked.ask("q")
        for _ in range(STEPS):
            writers.step()
            match picked.randrange(8):
                case 0 | 1:
                    found = values(asked.ask("q"), "mail_total")
                    assert all(n <= writers.truth[kind] for (kind,), n in found.items())  # type: ignore[operator]
                case 2:
                    asked.restart()
        writers.finish()
        time.sleep(LATE_WINDOW)
        for _ in range(2):
            found = values(asked.ask("q"), "mail_total")
            assert {kind: n for (kind,), n in found.items() if n} == dict(writers.truth)
    finally:
        writers.close()
        asked.close()
