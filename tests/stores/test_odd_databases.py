"""Databases whose settings change what a client is told: the counts and the statistics are the same."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from psycopg import sql
from support.counting import Counter
from support.postgres import Database

from exporter.stores.native import ddl

#: Texts come as bytes, times in local words, and floats with ten digits: Unix time to the second.
SETTINGS = {"extra_float_digits": "-5", "TimeZone": "Asia/Kathmandu", "DateStyle": "SQL, DMY", "bytea_output": "escape"}
ROWS = 400
FILL = """
INSERT INTO executions (job_id, task_type, status, started_at, completed_at, worker_id)
SELECT i, convert_from('\\x67c3bc6e', 'SQL_ASCII'), 'SUCCESS', e.ended - interval '0.37 s', e.ended, 'w'
FROM generate_series(1, {rows}) i
CROSS JOIN LATERAL (SELECT clock_timestamp() - {shift} * interval '1 s' + 0 * i * interval '1 s' AS ended) e
"""


@pytest.fixture
def odd(database: Database) -> Iterator[Database]:
    """A database without an encoding, with settings of its own."""
    odd = Database(database.server, f"{database.name}_odd")
    name = sql.Identifier(odd.name)
    with database.connect() as admin:
        admin.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE template0 ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'").format(
                name
            )
        )
        for setting, value in SETTINGS.items():
            admin.execute(sql.SQL("ALTER DATABASE {} SET {} = {}").format(name, sql.Identifier(setting), value))
    with odd.connect() as admin:
        admin.execute(ddl("public").encode())
    yield odd
    with database.connect() as admin:
        admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))


def test_counts_and_statistics_of_a_database_with_odd_settings(odd: Database, tmp_path: Path) -> None:
    counter = Counter(odd.dsn, "native", tmp_path / "state", late_window=1)
    try:
        with odd.connect() as admin:
            admin.execute(FILL.format(rows=ROWS, shift=100).encode())
            counter.poll()
            for _ in range(5):
                admin.execute(FILL.format(rows=ROWS, shift=0).encode())
                counter.poll()  # what has ended is in this poll, not in one to come
            assert counter.counts.executions == {"gün": (5 * ROWS, 0, 0, 0)}
            counter.backfill()
        found = counter.statistics(3600.0).by_label["gün"]
        assert (found.counts[0], found.timed) == (6 * ROWS, 6 * ROWS)
        assert found.sum == pytest.approx(6 * ROWS * 0.37, rel=1e-4)
        counter.kill()
        counter.start()  # the same database as before
        counter.poll()
        assert counter.totals()["SUCCESS"] == 5 * ROWS
        assert counter.exactness_reasons() == ()
    finally:
        counter.close()
