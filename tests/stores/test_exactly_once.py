"""Writers that commit late, out of order, roll back, prepare, retry and delete; a sidecar that is killed; exact totals.

A state machine drives real transactions on a real server. Truth is what committed since the first poll.
"""

from __future__ import annotations

import tempfile
from collections import Counter as Multiset
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from support.counting import Counter
from support.postgres import Database

from exporter.config.model import Cursor, Profile
from exporter.domain import FINAL_STATUSES

WRITERS = 4
LATE_WINDOW = 0.2
SCHEMA = """
CREATE TABLE work (
    id bigserial PRIMARY KEY, attempt int NOT NULL DEFAULT 0, status text NOT NULL, task text NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now(), done_at timestamptz NOT NULL);
CREATE INDEX ON work (done_at);
CREATE TABLE event (id bigserial PRIMARY KEY, work_id bigint NOT NULL, attempt int NOT NULL, status text NOT NULL);
"""
BY_TIME = Profile(
    executions="SELECT id, id AS job_id, attempt, status, task AS task_type, started_at, done_at AS completed_at"
    " FROM work",
    cursor=Cursor(column="completed_at", kind="timestamp"),
    history="per_attempt",
)
BY_ID = Profile(
    executions="SELECT id, work_id AS job_id, attempt, status, 'x' AS task_type FROM event",
    cursor=Cursor(column="id", kind="id", position="SELECT max(id) FROM event"),
    key=("id",),
    history="per_attempt",
)
#: What ended before the first poll: in the statistics, never in the counters.
HISTORICAL = {"SUCCESS": 30, "FAILED": 10}
HISTORY = """
INSERT INTO work (status, task, done_at)
SELECT CASE WHEN i % 4 = 0 THEN 'FAILED' ELSE 'SUCCESS' END, 'x', now() - i * i * interval '7 minutes'
FROM generate_series(1, 40) i;
INSERT INTO event (work_id, attempt, status) SELECT id, 0, status FROM work;
"""
AHEAD = 0.08
STAMPS = {
    "now": "now()",
    "clock": "clock_timestamp()",
    "ahead": f"clock_timestamp() + interval '{AHEAD} s'",
    "behind": f"clock_timestamp() - interval '{LATE_WINDOW / 2} s'",
}


class Writers(RuleBasedStateMachine):
    """Transactions of several writers, polls, and kills of the sidecar."""

    database: ClassVar[Database]
    profile: ClassVar[Profile]
    role: ClassVar[str]

    @initialize()
    def open(self) -> None:
        with self.database.connect() as admin:
            admin.execute("DROP TABLE IF EXISTS work, event")
            for (gid,) in admin.execute("SELECT gid FROM pg_prepared_xacts WHERE database = current_database()"):
                admin.execute(f"ROLLBACK PREPARED '{gid}'")
            admin.execute(SCHEMA)
            admin.execute("GRANT SELECT ON work, event TO PUBLIC")
            admin.execute(HISTORY)
        self.connections = [self.database.connect() for _ in range(WRITERS)]
        self.open_rows: list[list[str] | None] = [None] * WRITERS
        self.saved: list[int | None] = [None] * WRITERS
        self.truth: Multiset[str] = Multiset()
        self.counted: list[int] = []
        self.committed_ids: list[int] = []
        self.begin(0)
        self.finish(0, "now", "SUCCESS", 2)  # before the first poll, which does not see it: new, not history
        self.directory = tempfile.TemporaryDirectory()
        dsn = self.database.dsn_as(self.role, "pw")
        self.sidecar = Counter(dsn, self.profile, Path(self.directory.name), late_window=LATE_WINDOW)
        self.sidecar.poll()  # from here on everything counts
        self.prepared: dict[str, list[str]] = {}
        self.serial = 0

    def _execute(self, writer: int, sql: str) -> list[tuple[Any, ...]]:
        cursor = self.connections[writer].execute(sql)  # type: ignore[call-overload]
        return cursor.fetchall() if cursor.description else []

    @rule(writer=st.integers(0, WRITERS - 1))
    def begin(self, writer: int) -> None:
        if self.open_rows[writer] is None:
            self._execute(writer, "BEGIN")
            # Without pg_read_all_stats only a transaction that writes can be seen: this one does at once.
            self._execute(writer, "SELECT pg_current_xact_id()" if self.role == "plain" else "SELECT now()")
            self.open_rows[writer] = []

    @rule(
        writer=st.integers(0, WRITERS - 1),
        stamp=st.sampled_from(sorted(STAMPS)),
        status=st.sampled_from(["SUCCESS", "SUCCESS", "FAILED", "TIMEOUT", "CANCELLED"]),
        rows=st.integers(1, 3),
    )
    def finish(self, writer: int, stamp: str, status: str, rows: int) -> None:
        for _ in range(rows):
            found = self._execute(
                writer,
                f"INSERT INTO work (status, task, done_at) VALUES ('{status}', 'x', {STAMPS[stamp]}) RETURNING id",
            )
            self._execute(writer, f"INSERT INTO event (work_id, attempt, status) VALUES ({found[0][0]}, 0, '{status}')")
            pending = self.open_rows[writer]
            if pending is None:
                self.truth[status] += 1
                self.committed_ids.append(found[0][0])
            else:
                pending.append(status)

    @precondition(lambda self: self.counted)
    @rule(writer=st.integers(0, WRITERS - 1), status=st.sampled_from(["SUCCESS", "FAILED"]))
    def retry_in_place(self, writer: int, status: str) -> None:
        """A row that was counted runs again; only outside a transaction, so that no row lock makes us wait."""
        if self.open_rows[writer] is None:
            row = self.counted.pop()
            self._execute(
                writer,
                f"UPDATE work SET attempt = attempt + 1, status = '{status}', done_at = now() WHERE id = {row}",
            )
            self._execute(writer, f"INSERT INTO event (work_id, attempt, status) VALUES ({row}, 1, '{status}')")
            self.truth[status] += 1

    @precondition(lambda self: self.counted)
    @rule()
    def prune(self) -> None:
        """History that was counted is deleted."""
        with self.database.connect() as admin:
            rows = ", ".join(map(str, self.counted))
            admin.execute(f"DELETE FROM work WHERE id IN ({rows})")
            admin.execute(f"DELETE FROM event WHERE work_id IN ({rows})")
        self.counted.clear()

    @rule(writer=st.integers(0, WRITERS - 1))
    def savepoint(self, writer: int) -> None:
        rows = self.open_rows[writer]
        if rows is not None:
            self._execute(writer, "SAVEPOINT s")
            self.saved[writer] = len(rows)

    @rule(writer=st.integers(0, WRITERS - 1))
    def roll_back_to_savepoint(self, writer: int) -> None:
        rows, kept = self.open_rows[writer], self.saved[writer]
        if rows is not None and kept is not None:
            self._execute(writer, "ROLLBACK TO s")
            del rows[kept:]

    @rule(writer=st.integers(0, WRITERS - 1), how=st.sampled_from(["COMMIT", "COMMIT", "COMMIT", "ROLLBACK"]))
    def end(self, writer: int, how: str) -> None:
        rows = self.open_rows[writer]
        if rows is not None:
            self._execute(writer, how)
            if how == "COMMIT":
                self.truth.update(rows)
            self.open_rows[writer] = self.saved[writer] = None

    @rule(writer=st.integers(0, WRITERS - 1))
    def prepare(self, writer: int) -> None:
        rows = self.open_rows[writer]
        if rows and len(self.prepared) < 8:
            self.serial += 1
            gid = f"{self.database.name}_{self.serial}"
            self._execute(writer, f"PREPARE TRANSACTION '{gid}'")
            self.prepared[gid] = rows
            self.open_rows[writer] = self.saved[writer] = None

    @precondition(lambda self: self.prepared)
    @rule(how=st.sampled_from(["COMMIT", "COMMIT", "ROLLBACK"]))
    def end_prepared(self, how: str) -> None:
        gid, rows = self.prepared.popitem()
        with self.database.connect() as admin:
            admin.execute(f"{how} PREPARED '{gid}'")
        if how == "COMMIT":
            self.truth.update(rows)

    @rule()
    def poll(self) -> None:
        self.sidecar.poll()

    @rule(slices=st.integers(1, 3))
    def read_history(self, slices: int) -> None:
        self.sidecar.backfill(slices)

    @rule()
    def settle(self) -> None:
        """Time passes: what was stamped a little ahead is in the past, what is old enough is out of the window."""
        with self.database.connect() as admin:
            admin.execute(f"SELECT pg_sleep({LATE_WINDOW + AHEAD + 0.02})")
        self.sidecar.poll()
        self.counted.extend(self.committed_ids)
        self.committed_ids.clear()

    @rule()
    def kill(self) -> None:
        self.sidecar.kill()
        self.sidecar.start()

    @invariant()
    def never_more_than_committed(self) -> None:
        totals = self.sidecar.totals()
        assert all(n <= self.truth[status] for status, n in totals.items()), (totals, self.truth)

    def teardown(self) -> None:
        if not hasattr(self, "sidecar"):
            return
        try:
            for writer in range(WRITERS):
                self.end(writer, "COMMIT")
            while self.prepared:
                self.end_prepared("COMMIT")
            self.settle()
            self.sidecar.poll()
            counted = {s: n for s, n in self.sidecar.totals().items() if n}
            assert counted == dict(self.truth), self.sidecar.exactness_reasons()
            self.sidecar.backfill()
            counts = self.sidecar.statistics(30 * 86_400).overall.counts
            told = dict(zip(FINAL_STATUSES, counts, strict=True))
            assert told == {s: self.truth[s] + HISTORICAL.get(s, 0) for s in FINAL_STATUSES}
        finally:
            for connection in self.connections:
                connection.close()
            self.sidecar.close()
            self.directory.cleanup()


@pytest.fixture
def roles(database: Database) -> Database:
    """A role that sees everybody's transactions, and one that does not."""
    with database.connect() as admin:
        for role in ("watcher", "plain"):
            found = admin.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (role,)).fetchone()
            if found is None:
                admin.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'pw'")  # type: ignore[call-overload]
        admin.execute("GRANT pg_monitor TO watcher")
    return database


@pytest.mark.parametrize("role", ["watcher", "plain"])
@pytest.mark.parametrize("profile", [BY_TIME, BY_ID], ids=["time", "id"])
def test_every_execution_is_counted_exactly_once(roles: Database, profile: Profile, role: str) -> None:
    class Machine(Writers):
        database = roles

    Machine.profile, Machine.role = profile, role
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=6,
            stateful_step_count=35,
            deadline=None,
            print_blob=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
