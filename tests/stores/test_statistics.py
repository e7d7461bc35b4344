"""Statistics, recent executions, jobs and error groups against SQL over the store, for history and for what is new."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from support.counting import Counter
from support.postgres import Database

from exporter.config.model import Cursor, Duration, Profile, Retention
from exporter.domain import FINAL_STATUSES, Counts, Figures, Statistics
from exporter.stores.native import ddl

HOUR = 3600.0
PERIODS = {"1h": HOUR, "6h": 6 * HOUR, "24h": 24 * HOUR, "7d": 168 * HOUR, "30d": 720 * HOUR}

#: {n} executions that ended in the {seconds} seconds before {shift} seconds ago.
FILL = """
INSERT INTO executions (job_id, task_type, status, attempt, scheduled_at, started_at, completed_at, worker_id,
                        error_message)
SELECT i % 50, 'type_' || i % 7, s.status, i % 3, e.ended - d.took - interval '1 s', e.ended - d.took, e.ended,
       'worker_' || i % 5, CASE WHEN s.status = 'FAILED' THEN 'no answer from host ' || i || ' in 30 s' END
FROM generate_series(1, {n}) i
CROSS JOIN LATERAL (SELECT (ARRAY['SUCCESS', 'SUCCESS', 'SUCCESS', 'FAILED', 'TIMEOUT', 'CANCELLED'])
                           [1 + (random() * 5)::int + i * 0] AS status) s
CROSS JOIN LATERAL (
  SELECT clock_timestamp() - ({shift} + {seconds} * random() ^ 3 + i * 0) * interval '1 s' AS ended) e
CROSS JOIN LATERAL (SELECT exp(4 * random() - 1 + i * 0) * interval '1 s' AS took) d
"""
FIGURES = """
SELECT {label} AS label, count(*) FILTER (WHERE status = 'SUCCESS'), count(*) FILTER (WHERE status = 'FAILED'),
       count(*) FILTER (WHERE status = 'TIMEOUT'), count(*) FILTER (WHERE status = 'CANCELLED'),
       count(*) FILTER (WHERE attempt > 0), count(started_at),
       sum(extract(epoch FROM completed_at - started_at))::float8,
       max(extract(epoch FROM completed_at - started_at))::float8,
       percentile_disc(ARRAY[0.5, 0.95, 0.99])
         WITHIN GROUP (ORDER BY extract(epoch FROM completed_at - started_at)::float8)
FROM executions WHERE completed_at >= to_timestamp(%s) GROUP BY 1 ORDER BY 1
"""
TREND = """
SELECT extract(epoch FROM date_trunc('hour', completed_at))::int8 AS hour,
       count(*) FILTER (WHERE status = 'SUCCESS'), count(*) FILTER (WHERE status = 'FAILED'),
       count(*) FILTER (WHERE status = 'TIMEOUT'), count(*) FILTER (WHERE status = 'CANCELLED')
FROM executions WHERE completed_at >= to_timestamp(%s) GROUP BY 1 ORDER BY 1
"""


@pytest.fixture
def store(database: Database) -> Database:
    with database.connect() as admin:
        admin.execute(ddl("public"))  # type: ignore[call-overload]
    return database


def fill(store: Database, n: int, seconds: float, shift: float = 0.0) -> None:
    with store.connect() as admin:
        admin.execute(FILL.format(n=n, seconds=seconds, shift=shift))  # type: ignore[call-overload]


def told_right(store: Database, found: Statistics, label: str) -> None:
    """The statistics are what SQL over the store says from the same start."""
    with store.connect() as admin:
        figures = admin.execute(FIGURES.format(label=label), (found.start,)).fetchall()  # type: ignore[call-overload]
        trend = admin.execute(TREND, (found.start,)).fetchall()
    assert list(found.by_label) == [row[0] for row in figures]
    for row in figures:
        same(found.by_label[row[0]], row)
    assert [(hour.start, *hour.counts) for hour in found.trend] == trend
    assert found.overall.counts == tuple(sum(row[i] for row in figures) for i in range(1, 5))


def same(figures: Figures, row: tuple) -> None:  # type: ignore[type-arg]
    assert (figures.counts, figures.retries, figures.timed) == (row[1:5], row[5], row[6])
    assert figures.sum == pytest.approx(row[7], rel=1e-6)
    assert figures.max == pytest.approx(row[8], rel=1e-6)
    assert (figures.p50, figures.p95, figures.p99) == pytest.approx(row[9], rel=0.021)


def test_every_period_equals_sql_over_the_store(store: Database, tmp_path: Path) -> None:
    fill(store, 20_000, 29 * 24 * HOUR)
    sidecar = Counter(store.dsn, "native", tmp_path)
    try:
        sidecar.poll()
        assert sum(sidecar.totals().values()) == 0  # history is no increase of a counter
        fill(store, 500, 10.0)
        sidecar.poll()
        progress = sidecar.backfill()
        assert progress is not None
        assert (progress.complete, progress.ratio, progress.problem) == (True, 1.0, None)
        assert sum(sidecar.totals().values()) == 500
        for seconds in PERIODS.values():
            told_right(store, sidecar.statistics(seconds), "task_type")
        told_right(store, sidecar.workers(24 * HOUR), "worker_id")
        fill(store, 300, 5.0)
        sidecar.kill()
        sidecar.start()
        sidecar.poll()
        for seconds in PERIODS.values():
            told_right(store, sidecar.statistics(seconds), "task_type")
        assert sidecar.statistics(HOUR) is sidecar.statistics(HOUR)  # added up once for each snapshot
    finally:
        sidecar.close()


def test_a_backfill_that_is_killed_goes_on_where_it_was(store: Database, tmp_path: Path) -> None:
    fill(store, 30_000, 20 * 24 * HOUR)
    sidecar = Counter(store.dsn, "native", tmp_path)
    try:
        sidecar.poll()
        ratios = []
        while (progress := sidecar.backfill(slices=12)) is not None and not progress.complete:
            ratios.append(progress.ratio)
            sidecar.kill()
            sidecar.start()
            sidecar.poll()
        assert len(ratios) > 2
        assert ratios == sorted(ratios)
        assert progress is not None
        # What lay in the first poll's window was seen by it.
        with store.connect() as admin:
            told_right(store, sidecar.statistics(PERIODS["30d"]), "task_type")
            assert admin.execute("SELECT count(*) FROM executions").fetchone() == (30_000,)
    finally:
        sidecar.close()


def test_history_beyond_what_is_wanted_is_not_read(store: Database, tmp_path: Path) -> None:
    fill(store, 1_000, HOUR)
    fill(store, 1_000, HOUR, shift=10 * HOUR)
    sidecar = Counter(store.dsn, "native", tmp_path, backfill=5 * HOUR)
    try:
        sidecar.poll()
        sidecar.backfill()
        found = sidecar.statistics(PERIODS["24h"])
        assert sum(found.overall.counts) == 1_000
        assert found.covered_since is not None
        assert found.end - found.covered_since == pytest.approx(5 * HOUR, abs=1)
    finally:
        sidecar.close()


def test_an_id_cursor_reads_history_back_to_the_horizon(database: Database, tmp_path: Path) -> None:
    profile = Profile(
        executions="SELECT id, 'SUCCESS' AS status, 'x' AS task_type, at AS completed_at FROM event",
        cursor=Cursor(column="id", kind="id", position="SELECT max(id) FROM event"),
        key=("id",),
    )
    with database.connect() as admin:
        admin.execute("CREATE TABLE event (id bigserial PRIMARY KEY, at timestamptz NOT NULL)")
        admin.execute(
            "INSERT INTO event (at) SELECT now() - (60000 - i) * interval '1.44 minutes'"  # 60 days
            " FROM generate_series(1, 60000) i"
        )
        # A stretch of ids without rows, as rolled back transactions and pruning leave them.
        admin.execute("DELETE FROM event WHERE id BETWEEN 20000 AND 45000")
    sidecar = Counter(database.dsn, profile, tmp_path, backfill=50 * 24 * HOUR)
    try:
        sidecar.poll()
        progress = sidecar.backfill()
        assert progress is not None and progress.complete
        found = sidecar.statistics(PERIODS["30d"])
        with database.connect() as admin:
            wanted = admin.execute("SELECT count(*) FROM event WHERE at >= to_timestamp(%s)", (found.start,)).fetchone()
            whole = admin.execute("SELECT count(*) FROM event").fetchone()
        assert wanted is not None and whole is not None
        assert sum(found.overall.counts) == wanted[0] > 0
        assert progress.executions < whole[0]  # what is older than wanted was left alone
    finally:
        sidecar.close()


def test_no_history_is_read_where_none_is_wanted(store: Database, tmp_path: Path) -> None:
    fill(store, 100, HOUR, shift=60)
    sidecar = Counter(store.dsn, "native", tmp_path, backfill=0)
    try:
        sidecar.poll()
        progress = sidecar.backfill()
        assert progress is not None and progress.complete and progress.executions == 0
        assert sum(sidecar.statistics(PERIODS["24h"]).overall.counts) == 0
    finally:
        sidecar.close()


def test_without_an_index_history_is_read_in_one_pass(store: Database, tmp_path: Path) -> None:
    with store.connect() as admin:
        admin.execute("DROP INDEX executions_completed_at_idx")
    fill(store, 5_000, 20 * 24 * HOUR)
    sidecar = Counter(store.dsn, "native", tmp_path)
    try:
        sidecar.poll()
        progress = sidecar.backfill(slices=1)
        assert progress is not None and progress.complete
        told_right(store, sidecar.statistics(PERIODS["30d"]), "task_type")
    finally:
        sidecar.close()


def test_the_ring_holds_the_newest_executions(store: Database, tmp_path: Path) -> None:
    fill(store, 3_000, 24 * HOUR, shift=60)
    sidecar = Counter(store.dsn, "native", tmp_path, retention=Retention(recent_executions=1_000))
    try:
        sidecar.poll()
        fill(store, 50, 10.0)
        sidecar.poll()
        sidecar.backfill()
        newest = "SELECT id::text FROM executions WHERE {} ORDER BY completed_at DESC, id DESC LIMIT 1000"
        with store.connect() as admin:
            for where, filters in (("true", {}), ("status = 'FAILED' AND task_type = 'type_1'", FILTERS)):
                expected = [i for (i,) in admin.execute(newest.format(where))]  # type: ignore[call-overload]
                found = [execution.id for execution in sidecar.recent(2_000, **filters)]
                assert found == expected[: len(found)]
                assert len(found) == 1_000 or filters
        execution = sidecar.recent(1)[0]
        assert execution.worker_id is not None and execution.completed_at is not None
        assert execution.status in FINAL_STATUSES
    finally:
        sidecar.close()


FILTERS = {"status": "FAILED", "task_type": "type_1"}


def test_errors_that_differ_in_numbers_are_one_group(store: Database, tmp_path: Path) -> None:
    fill(store, 500, 5 * HOUR, shift=60)
    sidecar = Counter(store.dsn, "native", tmp_path)
    try:
        sidecar.poll()
        fill(store, 100, 1.0)
        sidecar.poll()
        sidecar.backfill()
        with store.connect() as admin:
            count = admin.execute("SELECT count(*) FROM executions WHERE status = 'FAILED'").fetchone()
        (group,) = sidecar.errors(24 * HOUR)
        assert group.message == "no answer from host <n> in <n> s"
        assert (group.count,) == count
        assert sum(group.trend.values()) == group.count
        assert group.task_types and group.execution_id
    finally:
        sidecar.close()


def test_a_streak_goes_back_into_history(store: Database, tmp_path: Path) -> None:
    with store.connect() as admin:
        admin.execute("INSERT INTO jobs (id, name, task_type, type, status, schedule) OVERRIDING SYSTEM VALUE VALUES"
                      " (1, 'nightly', 't', 'RECURRING', 'SCHEDULED', '0 0 * * *'),"
                      " (2, 'once', 't', 'ONE_TIME', 'COMPLETED', NULL)")  # fmt: skip
        for days, status in enumerate(["FAILED", "TIMEOUT", "FAILED", "SUCCESS", "FAILED"], 1):
            admin.execute(
                "INSERT INTO executions (job_id, task_type, status, completed_at)"
                " VALUES (1, 't', %s, now() - %s * interval '1 day')",
                (status, days),
            )
        # A one-time job that failed twice and ended well at its third attempt: over.
        for attempt, status in enumerate(["FAILED", "FAILED", "SUCCESS"]):
            admin.execute(
                "INSERT INTO executions (job_id, task_type, status, attempt, completed_at)"
                " VALUES (2, 't', %s, %s, now() - %s * interval '1 hour')",
                (status, attempt, 6 - attempt),
            )
    sidecar = Counter(store.dsn, "native", tmp_path)
    try:
        sidecar.poll()
        with store.connect() as admin:
            admin.execute("INSERT INTO executions (job_id, task_type, status, completed_at)"
                          " VALUES (1, 't', 'FAILED', now())")  # fmt: skip
        sidecar.poll()
        sidecar.backfill()
        counts = sidecar.poll()
        assert [(job.job_id, job.streak) for job in counts.failing] == [("1", 4)]
        assert counts.last_success["1"] < counts.failing[0].last_failure
    finally:
        sidecar.close()


def test_what_the_budget_leaves_out_is_other(store: Database, tmp_path: Path) -> None:
    fill(store, 700, HOUR, shift=60)
    sidecar = Counter(store.dsn, "native", tmp_path, budget=12)
    try:
        sidecar.poll()
        sidecar.backfill()
        found = sidecar.statistics(PERIODS["24h"])
        assert sum(found.overall.counts) == 700
        assert "other" in found.by_label
    finally:
        sidecar.close()


def test_old_statistics_are_forgotten(store: Database, tmp_path: Path) -> None:
    fill(store, 1_000, HOUR, shift=30 * HOUR)
    retention = Retention(statistics=Duration(40 * HOUR), errors=Duration(20 * HOUR))
    sidecar = Counter(store.dsn, "native", tmp_path, retention=retention)
    try:
        sidecar.poll()
        sidecar.backfill()
        assert sum(sidecar.statistics(PERIODS["7d"]).overall.counts) == 1_000
        sidecar.close()
        sidecar = Counter(store.dsn, "native", tmp_path, retention=Retention(statistics=Duration(10 * HOUR)))
        sidecar.poll()
        assert sum(sidecar.statistics(PERIODS["7d"]).overall.counts) == 0
    finally:
        sidecar.close()


@pytest.mark.parametrize("kind", ["ONE_TIME", "RECURRING"])
def test_a_success_at_the_first_attempt_ends_a_streak(kind: str, store: Database, tmp_path: Path) -> None:
    """Most executions are such a success, and pass by without a look at their job, unless it matters to it."""
    with closing(Counter(store.dsn, "native", tmp_path)) as sidecar, store.connect() as admin:

        def ended(status: str) -> Counts:
            admin.execute(
                "INSERT INTO executions (job_id, task_type, status, attempt, completed_at)"
                " VALUES (1, 't', %s, 0, clock_timestamp())",
                (status,),
            )
            return sidecar.poll()

        admin.execute(
            "INSERT INTO jobs (id, name, task_type, type, status) OVERRIDING SYSTEM VALUE"
            " VALUES (1, 'again', 't', %s, 'SCHEDULED')",
            (kind,),
        )
        sidecar.poll()
        assert [(job.job_id, job.streak) for job in ended("FAILED").failing] == [("1", 1)]
        assert ended("SUCCESS").failing == ()
        assert [job.streak for job in ended("FAILED").failing] == [1]
