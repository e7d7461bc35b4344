"""Counting and its series budget: sums are kept, series are sticky, none ever falls."""

from __future__ import annotations

import random
from collections import deque

from exporter.domain import OTHER
from exporter.ledger.batch import Batch
from exporter.ledger.finished import Finished
from exporter.ledger.tally import Delta, Tally, histogram


def finished(task_type: str, status: str = "SUCCESS", seconds: float = 1.0, attempt: int = 0) -> Finished:
    return Finished("k", 1.0, "1", "1", None, None, task_type, status, attempt, 90.0, 100.0, 100.0 + seconds, "w")


def count(tally: Tally, rows: list[Finished]) -> None:
    delta = Delta(tally)
    batch = Batch(now=0.0, watches=lambda _: False, recent=deque(maxlen=10), ring_floor=0.0, minutes_from=0.0)
    batch.add(rows)
    batch.into(delta)
    delta.fold(delta.merged())


def test_a_budget_that_is_spent_sends_new_labels_to_other() -> None:
    tally = Tally(budget=8)  # two task types of four statuses
    count(tally, [finished("a"), finished("b"), finished("c"), finished("d"), finished("a")])
    executions = {label: n for (metric, label), n in tally.series.items() if metric == "executions"}
    assert executions == {"a": [2, 0, 0, 0], "b": [1, 0, 0, 0], OTHER: [2, 0, 0, 0]}
    assert tally.dropped()["executions"] == 8


def test_no_series_ever_falls_whatever_becomes_of_the_budget() -> None:
    rng = random.Random(1)
    tally = Tally(budget=40)
    before: dict[tuple[str, str], list[float]] = {}
    total = 0
    for _ in range(300):
        tally.budget = rng.choice([8, 40, 400])
        rows = [finished(f"t{rng.randrange(60)}", rng.choice(["SUCCESS", "FAILED"])) for _ in range(5)]
        count(tally, rows)
        total += len(rows)
        for key, numbers in before.items():
            assert all(new >= old for new, old in zip(tally.series[key], numbers, strict=True)), key
        before = {key: list(numbers) for key, numbers in tally.series.items()}
    assert sum(sum(n) for (metric, _), n in tally.series.items() if metric == "executions") == total


def test_a_bucket_takes_its_upper_bound() -> None:
    tally = Tally(budget=500)
    count(tally, [finished("a", seconds=s) for s in (0.0, 0.1, 0.5, 0.51, 20_000.0)])
    found = histogram(tally.series["duration", "a"], tally.exemplars["duration", "a"])
    assert found.counts == (2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1)
    assert found.sum == 20_001.11
    assert found.exemplars[0] is not None


def test_retries_are_those_with_an_attempt_before() -> None:
    tally = Tally(budget=500)
    count(tally, [finished("a", attempt=0), finished("a", attempt=1), finished("a", attempt=2)])
    assert tally.series["retries", "a"] == [2]
