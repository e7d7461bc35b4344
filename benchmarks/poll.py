"""The steady poll of finished executions: does its cost follow history, and what would GROUP BY cost?

    python -m benchmarks.poll [--executions 10000000]

Budgets: buffers and mean of 1,000 polls at 10 M rows at most 1.3 times those at 100 k; index scans only, with fresh
and with stale statistics; database time at least 500 times less than sql_exporter's for the same numbers.

Before each poll 20 executions end. Time is scaled: a poll every 40 ms with a late window of 80 ms reads as many rows
again as one every 15 s with 30 s. The stores take turns, so that a slow spell of the machine meets both.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from benchmarks import kept
from benchmarks.counting import Counter, counter, plan, scans
from benchmarks.grouping import grouping
from benchmarks.kept import Database
from benchmarks.report import Row, Sizes, run, spread
from benchmarks.sidecar import scratch

SMALL = 100_000
POLLS = 1_000
STALE_POLLS = 100
PACE = 0.04
ENDED = 20
#: Rows longer than any of the history's: shorter ones would lie in what is left of its pages, each in another one, as
#: long as there are such pages, which a large history has for ever and a small one has not.
FINISH = """
INSERT INTO executions (job_id, task_type, queue, status, scheduled_at, started_at, completed_at, worker_id, result)
SELECT n, 'send_email', 'mail', CASE WHEN mod(n, 12) = 0 THEN 'FAILED' ELSE 'SUCCESS' END, clock_timestamp(),
       clock_timestamp(), clock_timestamp(), 'worker-' || n, jsonb_build_object('text', repeat('x', 80))
FROM generate_series(1, %s) n
"""
COST = f"""
SELECT coalesce(sum(total_exec_time + total_plan_time), 0), coalesce(sum(shared_blks_hit + shared_blks_read), 0)
FROM pg_stat_statements(false) s JOIN pg_roles r ON r.oid = s.userid
WHERE r.rolname = '{kept.OURS}' AND s.dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


@dataclass
class Cost:
    """What each poll of one store cost: seconds as the sidecar measures them, milliseconds and buffers there."""

    wall: list[float] = field(default_factory=list)
    database_ms: float = 0.0
    buffers: float = 0.0

    @property
    def mean_ms(self) -> float:
        """Milliseconds of a poll, state file included."""
        return 1000 * statistics.fmean(self.wall)


@dataclass
class Polled:
    """A store that is polled while executions end in it."""

    database: Database
    counter: Counter
    admin: psycopg.Connection[Any]
    #: Sequential scans of the table by all the polls, known once they have ended.
    scanned: int = 0

    def once(self) -> float:
        """Seconds of a poll that finds what just ended."""
        self.admin.execute(FINISH, [ENDED])
        started = time.perf_counter()
        self.counter.poll()
        return time.perf_counter() - started

    def spent(self) -> tuple[float, float]:
        """Milliseconds and buffers that our role's statements took so far."""
        row = self.admin.execute(COST.encode()).fetchone()
        return (float(row[0]), float(row[1])) if row is not None else (0.0, 0.0)


def steady(stores: list[Polled], polls: int) -> list[Cost]:
    """Poll the stores in turns, ``polls`` times each, at the pace."""
    costs = [Cost() for _ in stores]
    before = [store.spent() for store in stores]
    due = time.monotonic()
    for _ in range(polls):
        for store, cost in zip(stores, costs, strict=True):
            cost.wall.append(store.once())
        due += PACE
        time.sleep(max(0.0, due - time.monotonic()))
    for store, cost, (milliseconds, buffers) in zip(stores, costs, before, strict=True):
        now = store.spent()
        cost.database_ms, cost.buffers = (now[0] - milliseconds) / polls, (now[1] - buffers) / polls
    return costs


@contextmanager
def polled(database: Database, directory: Path) -> Iterator[Polled]:
    """A counter on ``database``; what ended in the meantime is taken out again."""
    database.take_back()
    before = sequential_scans(database)
    try:
        with database.connect() as admin:
            with counter(database.dsn(), directory / database.name, late_window=2 * PACE) as made:
                found = Polled(database, made, admin)
                yield found
            found.scanned = sequential_scans(database) - before
            admin.execute("ANALYZE executions")
    finally:
        database.take_back()


def make_stale(admin: psycopg.Connection[Any]) -> None:
    """Statistics as they were when the table was empty."""
    admin.execute("DELETE FROM pg_statistic WHERE starelid = 'executions'::regclass")
    admin.execute("UPDATE pg_class SET reltuples = 0, relpages = 0 WHERE oid = 'executions'::regclass")


def measure(sizes: Sizes) -> list[Row]:
    """The rows of BENCHMARKS.md."""
    with kept.server() as server, scratch() as directory:
        small = kept.store(server, executions=SMALL, jobs=sizes.jobs)
        large = kept.store(server, executions=sizes.executions, jobs=sizes.jobs)
        with ExitStack() as stack:
            stores = [stack.enter_context(polled(database, directory)) for database in (small, large)]
            steady(stores, 20)
            rounds = [steady(stores, POLLS // sizes.rounds) for _ in range(sizes.rounds)]
            fresh = plans(large)
            make_stale(stores[1].admin)
            stale_cost = steady(stores, STALE_POLLS)
            stale = plans(large)
        scanned_through = sum(store.scanned for store in stores)
        return [
            *compared(rounds, sizes.executions),
            scanned("fresh statistics", fresh),
            scanned("stale statistics", stale),
            *compared([stale_cost], sizes.executions, " (stale statistics)"),
            Row("sequential scans of executions, all polls", f"{scanned_through}", "0", scanned_through == 0),
            *grouping(large, directory, statistics.median(r[1].database_ms for r in rounds), sizes.rounds),
        ]


def compared(rounds: list[list[Cost]], executions: int, what: str = "") -> list[Row]:
    """The large store against the small one."""
    size = f"{executions / 1e6:g} M / 100 k rows{what}"
    buffers = [large.buffers / small.buffers for small, large in rounds]
    mean = [large.mean_ms / small.mean_ms for small, large in rounds]
    database = [large.database_ms / small.database_ms for small, large in rounds]
    figures = [(f"{c[0].buffers:.0f} and {c[1].buffers:.0f}", c[0].mean_ms, c[1].mean_ms) for c in rounds]
    told = figures[len(figures) // 2]
    return [
        Row(f"buffers, {size}", f"{spread(buffers, digits=2)}: {told[0]}", "1.3", statistics.median(buffers) <= 1.3),
        Row(
            f"mean poll, {size}",
            f"{spread(mean, digits=2)}: {told[1]:.2f} and {told[2]:.2f} ms",
            "1.3",
            statistics.median(mean) <= 1.3,
        ),
        Row(f"database time, {size}", spread(database, digits=2)),
    ]


def plans(database: Database) -> list[str]:
    """The scans of a poll's reading at the moment."""
    now = time.time()
    return scans(plan(database.dsn(), now - 3 * PACE, now))


def scanned(what: str, found: list[str]) -> Row:
    """Whether a plan has index scans only."""
    return Row(f"plan, {what}", ", ".join(found), "index scans", not any("Seq Scan" in scan for scan in found))


def sequential_scans(database: Database) -> int:
    """Sequential scans of the table, as far as the sessions that have ended tell."""
    time.sleep(0.5)  # they tell as they end
    with database.connect() as admin:
        return kept.number(admin, "SELECT seq_scan FROM pg_stat_user_tables WHERE relname = 'executions'")


if __name__ == "__main__":
    run("poll", measure)
