"""procrastinate at work: tasks whose outcomes are known, its worker in a process of its own, and the truth in SQL.

As a program (``procrastinate_jobs.py CONCURRENCY``) this is the worker; the DSN is in the environment.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from procrastinate import App, JobContext, PsycopgConnector, RetryStrategy
from procrastinate.schema import SchemaManager

DSN_VARIABLE = "E2E_PROCRASTINATE_DSN"
#: Upper bounds of the published histograms, as PostgreSQL is asked about them.
BUCKETS = (0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 7200.0, 14400.0)

app = App(connector=PsycopgConnector(conninfo=os.environ.get(DSN_VARIABLE, "")))


@app.task(name="fine", queue="q1")
async def fine(seconds: float) -> None:
    """Succeeds."""
    await asyncio.sleep(seconds)


@app.task(name="flaky", queue="q2", retry=RetryStrategy(max_attempts=5, wait=0), pass_context=True)
async def flaky(context: JobContext, failures: int, seconds: float) -> None:
    """Succeeds after so many failures."""
    await asyncio.sleep(seconds)
    if context.job.attempts < failures:
        raise ConnectionError(f"attempt {context.job.attempts}")


@app.task(name="doomed", queue="q2", retry=RetryStrategy(max_attempts=2, wait=0))
async def doomed(seconds: float) -> None:
    """Fails three times: the first attempt and two retries."""
    await asyncio.sleep(seconds)
    raise ValueError("never works")


@app.task(name="broken", queue="q1")
async def broken(seconds: float) -> None:
    """Fails for good at once."""
    await asyncio.sleep(seconds)
    raise ValueError("broken")


#: What one job of each kind adds: (task, its arguments, executions by status, executions that are retries).
KINDS: tuple[tuple[str, Mapping[str, int], Mapping[str, int], int], ...] = (
    ("fine", {}, {"success": 1}, 0),
    ("flaky", {"failures": 1}, {"failed": 1, "success": 1}, 1),
    ("flaky", {"failures": 3}, {"failed": 3, "success": 1}, 3),
    ("doomed", {}, {"failed": 3}, 2),
    ("broken", {}, {"failed": 1}, 0),
)
#: Of a hundred jobs, how many are of each kind.
SHARES = (62, 12, 6, 8, 12)


@dataclass
class Expected:
    """What the jobs deferred so far will have done: executions by (task, status), retries by task."""

    executions: Counter[tuple[str, str]] = field(default_factory=Counter)
    retries: Counter[str] = field(default_factory=Counter)

    def add(self, task: str, outcomes: Mapping[str, int], retries: int) -> None:
        for status, count in outcomes.items():
            self.executions[task, status] += count
        self.retries[task] += retries

    def __add__(self, other: Expected) -> Expected:
        return Expected(self.executions + other.executions, self.retries + other.retries)


class Jobs:
    """procrastinate in one database."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        with psycopg.connect(dsn) as connection:
            connection.execute(SchemaManager.get_schema())

    def defer(self, hundreds: int, seed: int) -> Expected:
        """Defer so many hundred jobs in an order that ``seed`` decides; returns what they will do."""
        chance = random.Random(seed)
        kinds = [kind for kind, share in zip(KINDS, SHARES, strict=True) for _ in range(share * hundreds)]
        chance.shuffle(kinds)
        expected = Expected()
        with self._application() as application:
            for task, arguments, outcomes, retries in kinds:
                # A few take long enough to end in another bucket, and out of order.
                seconds = chance.choice((0.0, 0.001, 0.01, 0.02, 0.15)) if chance.random() < 0.5 else 0.0
                application.configure_task(task).defer(seconds=seconds, **arguments)
                expected.add(task, outcomes, retries)
        return expected

    @contextlib.contextmanager
    def _application(self) -> Iterator[App]:
        from procrastinate import SyncPsycopgConnector  # noqa: PLC0415

        with App(connector=SyncPsycopgConnector(conninfo=self.dsn, min_size=1, max_size=1)).open() as application:
            yield application

    def unfinished(self) -> int:
        """Jobs that have not come to their end."""
        return self._number("SELECT count(*) FROM procrastinate_jobs WHERE status IN ('todo', 'doing')")

    def finished(self) -> int:
        """Jobs that have."""
        return self._number("SELECT count(*) FROM procrastinate_jobs WHERE status NOT IN ('todo', 'doing')")

    def delete_finished(self) -> int:
        """Delete the finished jobs, their events with them, as procrastinate's own cleaning does."""
        with psycopg.connect(self.dsn) as connection:
            return connection.execute(
                "DELETE FROM procrastinate_jobs WHERE status IN ('succeeded', 'failed', 'cancelled', 'aborted')"
            ).rowcount

    def _number(self, query: str) -> int:
        with psycopg.connect(self.dsn) as connection:
            row = connection.execute(query.encode()).fetchone()
        assert row is not None
        return int(row[0])

    def truth(self, after_event: int = 0) -> Truth:
        """What the tables say of the executions that ended after this event."""
        with psycopg.connect(self.dsn) as connection:
            rows = connection.execute(TRUTH, {"after": after_event}).fetchall()
        truth = Truth()
        for task, status, attempt, duration, wait in rows:
            truth.executions[task, status] += 1
            truth.retries[task] += attempt > 0
            truth.durations.setdefault(task, []).append(float(duration))
            # A start is stamped with its transaction's begin, which may lie a moment before the job was there.
            truth.waits.setdefault(task, []).append(max(0.0, float(wait)))
        return truth

    def last_event(self) -> int:
        """The greatest id of an event."""
        return self._number("SELECT coalesce(max(id), 0) FROM procrastinate_events")


@dataclass
class Truth:
    """What procrastinate's tables say: executions by (task, status), retries, seconds of each execution and wait."""

    executions: Counter[tuple[str, str]] = field(default_factory=Counter)
    retries: Counter[str] = field(default_factory=Counter)
    durations: dict[str, list[float]] = field(default_factory=dict)
    waits: dict[str, list[float]] = field(default_factory=dict)

    def __add__(self, other: Truth) -> Truth:
        def joined(a: dict[str, list[float]], b: dict[str, list[float]]) -> dict[str, list[float]]:
            return {task: a.get(task, []) + b.get(task, []) for task in {*a, *b}}

        return Truth(
            self.executions + other.executions,
            self.retries + other.retries,
            joined(self.durations, other.durations),
            joined(self.waits, other.waits),
        )


# Written without a look at the exporter's own mapping: a job's events in their order, each end beside the start
# before it, and when that start was due: a retry when it was put back (or for when), the first when it was deferred.
TRUTH = """
WITH steps AS (
  SELECT e.id, e.job_id, e.type, e.at, j.task_name,
         lag(e.at) OVER own AS before_at, lag(e.type) OVER own AS before_type,
         count(*) FILTER (WHERE e.type = 'started') OVER own AS starts
  FROM procrastinate_events e JOIN procrastinate_jobs j ON j.id = e.job_id
  WHERE e.type NOT IN ('scheduled', 'abort_requested')
  WINDOW own AS (PARTITION BY e.job_id ORDER BY e.id)
), starts AS (
  SELECT job_id, at AS started, starts,
         greatest(before_at, (SELECT max(s.at) FROM procrastinate_events s
                              WHERE s.job_id = steps.job_id AND s.type = 'scheduled' AND s.id < steps.id)) AS due
  FROM steps WHERE type = 'started'
)
SELECT e.task_name, CASE e.type WHEN 'succeeded' THEN 'success' WHEN 'aborted' THEN 'cancelled' ELSE 'failed' END,
       e.starts - 1, extract(epoch FROM e.at - s.started), extract(epoch FROM s.started - s.due)
FROM steps e JOIN starts s ON s.job_id = e.job_id AND s.starts = e.starts
WHERE e.type IN ('succeeded', 'failed', 'deferred_for_retry', 'aborted') AND e.before_type = 'started'
  AND e.id > %(after)s
"""


def worker_command(concurrency: int) -> list[str | Path]:
    """The worker's command line; give it ``DSN_VARIABLE``."""
    return [sys.executable, Path(__file__), str(concurrency)]


async def _work(concurrency: int) -> None:
    async with app.open_async():
        await app.run_worker_async(
            name="e2e",
            concurrency=concurrency,
            fetch_job_polling_interval=0.1,
            shutdown_graceful_timeout=5,
        )


if __name__ == "__main__":
    logging.basicConfig(level=logging.CRITICAL)  # tracebacks of jobs that fail on purpose help nobody
    asyncio.run(_work(int(sys.argv[1])))
