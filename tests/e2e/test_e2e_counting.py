"""Every execution of a real scheduler is counted once, whatever happens to the sidecar or the rows meanwhile."""

from __future__ import annotations

import signal
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator
from itertools import accumulate
from pathlib import Path

import pytest
from support.exposition import Metrics
from support.polling import until
from support.postgres import Database
from support.procrastinate_jobs import BUCKETS, DSN_VARIABLE, Expected, Jobs, Truth, worker_command
from support.scheduler import monitor
from support.sidecar import Sidecar, StartSidecar, one_store

from exporter.demo.processes import Child

STATUSES = ("success", "failed", "timeout", "cancelled")
StartWorker = Callable[..., Child]


@pytest.fixture
def jobs(database: Database) -> Jobs:
    """procrastinate in a database of its own."""
    return Jobs(database.dsn)


@pytest.fixture
def start_worker(jobs: Jobs, tmp_path: Path) -> Iterator[StartWorker]:
    """Starts procrastinate's worker, with so many jobs at once; it is stopped after the test."""
    started: list[Child] = []

    def start(concurrency: int = 8) -> Child:
        worker = Child(
            name="worker",
            command=worker_command(concurrency),
            log=tmp_path / "worker.log",
            environment={DSN_VARIABLE: jobs.dsn},
        )
        worker.start()
        started.append(worker)
        return worker

    yield start
    for worker in started:
        worker.stop()


@pytest.fixture
def sidecar(database: Database, jobs: Jobs, start_sidecar: StartSidecar) -> Sidecar:
    """A sidecar that has looked at the empty store: what comes from now on is counted."""
    sidecar = start_sidecar(one_store(monitor(database)))
    sidecar.settled(since=0)
    return sidecar


def run_all(jobs: Jobs, *, seconds: float = 180) -> float:
    """Wait for the worker to end every job; returns when that was."""
    until(lambda: jobs.unfinished() == 0, seconds, "every job done")
    return time.time()


def counted(sidecar: Sidecar) -> float:
    """The executions that one scrape shows."""
    return sum(sidecar.metrics().by("status", "scheduling_executions_total").values())


def histogram(metrics: Metrics, name: str, task: str) -> list[float]:
    """A histogram's cumulative buckets, the last of which is its count."""
    found = metrics.series(f"{name}_bucket", task_type=task)
    buckets = sorted((float(dict(labels)["le"]), value) for labels, value in found.items())
    assert buckets[-1][1] == metrics.value(f"{name}_count", task_type=task)
    return [value for _, value in buckets]


def cumulative(seconds: list[float]) -> list[float]:
    """The buckets that these observations make."""
    counts = [0] * (len(BUCKETS) + 1)
    for value in seconds:
        counts[bisect_left(BUCKETS, value)] += 1
    return [float(n) for n in accumulate(counts)]


def assert_counted(metrics: Metrics, truth: Truth) -> None:
    """The page says exactly what the tables say."""
    tasks = {task for task, _ in truth.executions}
    assert metrics.by("task_type", "scheduling_executions_total").keys() == tasks
    for task in tasks:
        counted = metrics.by("status", "scheduling_executions_total", task_type=task)
        assert counted == {status: truth.executions[task, status] for status in STATUSES}, task
        assert metrics.value("scheduling_execution_retries_total", task_type=task) == truth.retries[task]
        for name, observed in (("duration", truth.durations), ("wait", truth.waits)):
            family = f"scheduling_execution_{name}_seconds"
            assert histogram(metrics, family, task) == cumulative(observed[task]), (family, task)
            total = metrics.value(f"{family}_sum", task_type=task)
            assert total == pytest.approx(sum(observed[task]), abs=1e-3)
    assert metrics.value("scheduling_exporter_counting_exact") == 1


def assert_known(truth: Truth, expected: Expected) -> None:
    """The tables say what the jobs were made to do: else the test itself is wrong."""
    assert truth.executions == expected.executions
    assert +truth.retries == +expected.retries


def test_counters_and_histograms_equal_the_schedulers_tables(
    database: Database, jobs: Jobs, start_worker: StartWorker, start_sidecar: StartSidecar
) -> None:
    jobs.defer(1, seed=1)
    start_worker()
    run_all(jobs)
    history = jobs.last_event()
    sidecar = start_sidecar(one_store(monitor(database)))
    first = sidecar.settled(since=time.time())
    assert first.series("scheduling_executions_total") == {}, "history is not counted"

    expected = jobs.defer(5, seed=2)
    metrics = sidecar.settled(since=run_all(jobs))
    truth = jobs.truth(after_event=history)
    assert_known(truth, expected)
    assert_counted(metrics, truth)

    # Polls that read the same events again add nothing.
    assert_counted(sidecar.settled(since=time.time() + 1), truth)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=["stopped", "killed"])
def test_a_sidecar_that_was_away_counts_what_it_missed(
    number: signal.Signals, jobs: Jobs, start_worker: StartWorker, sidecar: Sidecar
) -> None:
    expected = jobs.defer(2, seed=3)
    start_worker(2)
    until(lambda: counted(sidecar) > 50, 60, "a part of the jobs is counted")
    sidecar.end(number)
    done = jobs.finished()
    expected += jobs.defer(1, seed=6)
    until(lambda: jobs.finished() > done + 50, 60, "more is done meanwhile")
    sidecar.start()
    assert counted(sidecar) > 50, "what was counted before is there at once"
    expected += jobs.defer(1, seed=7)  # and there is more to come
    metrics = sidecar.settled(since=run_all(jobs))
    truth = jobs.truth()
    assert_known(truth, expected)
    assert_counted(metrics, truth)


def test_rows_deleted_after_they_were_counted_stay_counted(
    jobs: Jobs, start_worker: StartWorker, sidecar: Sidecar
) -> None:
    start_worker()
    expected = jobs.defer(4, seed=4)
    assert_counted(sidecar.settled(since=run_all(jobs)), before := jobs.truth())
    assert_known(before, expected)

    assert jobs.delete_finished() == 400
    assert_counted(sidecar.settled(since=time.time()), before)
    sidecar.restart()
    assert_counted(sidecar.settled(since=time.time()), before)

    expected = jobs.defer(1, seed=5)
    metrics = sidecar.settled(since=run_all(jobs))
    after = jobs.truth()
    assert_known(after, expected)
    assert_counted(metrics, before + after)
