"""New series stay 0 until a scrape showed them so, also across a kill."""

from __future__ import annotations

import pytest

from exporter.domain import Exemplar, Histogram
from exporter.errors import LedgerError
from exporter.metrics.exposure import Exposure
from exporter.metrics.family import Family, Sample

COUNTER = Family("c_total", "counter", "h", ("a", "b"))
PERSISTENT = Family("p_total", "counter", "h", ("a",), persistent=True)
HISTOGRAM = Family("h", "histogram", "h", (), (1.0, 2.0))


class Ledger:
    """Keeps keys as the state file does; ``fails`` makes it refuse."""

    def __init__(self) -> None:
        self.keys: list[str] = []
        self.fails: Exception | None = None

    async def persist(self, keys: list[str]) -> None:
        if self.fails is not None:
            raise self.fails
        self.keys += keys


async def test_a_counter_is_0_until_served() -> None:
    exposure = Exposure()
    samples: list[Sample] = [(("x", "y"), 5), (("x", "z"), 0)]
    shown, pending = exposure.gate(COUNTER, samples)
    assert shown == [(("x", "y"), 0.0), (("x", "z"), 0.0)]
    assert pending == ("c_total\x1fx\x1fy", "c_total\x1fx\x1fz")
    assert exposure.gate(COUNTER, samples) == (shown, pending)
    await exposure.served(pending)
    assert exposure.gate(COUNTER, samples) == (samples, ())


async def test_only_what_was_served_is_released() -> None:
    exposure = Exposure()
    exposure.gate(COUNTER, [(("x", "y"), 5)])
    await exposure.served(["c_total\x1fx\x1fy"])
    shown, pending = exposure.gate(COUNTER, [(("x", "y"), 5), (("x", "z"), 6)])
    assert shown == [(("x", "y"), 5), (("x", "z"), 0.0)]
    assert pending == ("c_total\x1fx\x1fz",)


def test_a_histogram_begins_with_empty_buckets_and_no_exemplar() -> None:
    full = Histogram((1, 2, 3), 9.5, (Exemplar("1", 0.5, 1.0), None, None))
    assert Exposure().gate(HISTOGRAM, [((), full)]) == ([((), Histogram((0, 0, 0), 0.0))], ("h",))


async def test_the_generation_tells_that_something_was_released() -> None:
    exposure = Exposure()
    _, pending = exposure.gate(COUNTER, [(("x", "y"), 5)])
    before = exposure.generation
    await exposure.served(pending)
    await exposure.served(pending)
    assert exposure.generation == before + 1


async def test_a_persistent_series_is_persisted_before_it_is_released() -> None:
    ledger = Ledger()
    exposure = Exposure(persist=ledger.persist)
    _, pending = exposure.gate(PERSISTENT, [(("x",), 5)])
    _, volatile = exposure.gate(COUNTER, [(("x", "y"), 5)])
    await exposure.served([*pending, *volatile])
    assert ledger.keys == ["p_total\x1fx"]
    restarted = Exposure(ledger.keys, ledger.persist)
    assert restarted.gate(PERSISTENT, [(("x",), 5)]) == ([(("x",), 5)], ())


@pytest.mark.parametrize("error", [LedgerError("disk full"), OSError(28, "no space")])
async def test_what_cannot_be_persisted_stays_0_and_is_tried_again(error: Exception) -> None:
    ledger = Ledger()
    ledger.fails = error
    exposure = Exposure(persist=ledger.persist)
    shown, pending = exposure.gate(PERSISTENT, [(("x",), 5)])
    _, volatile = exposure.gate(COUNTER, [(("x", "y"), 5)])
    await exposure.served([*pending, *volatile])
    assert exposure.gate(PERSISTENT, [(("x",), 5)]) == (shown, pending)
    assert exposure.gate(COUNTER, [(("x", "y"), 5)]) == ([(("x", "y"), 5)], ())
    ledger.fails = None
    await exposure.served(pending)
    assert exposure.gate(PERSISTENT, [(("x",), 5)]) == ([(("x",), 5)], ())


async def test_another_failure_is_not_hidden() -> None:
    ledger = Ledger()
    ledger.fails = TypeError("a fault of ours")
    exposure = Exposure(persist=ledger.persist)
    _, pending = exposure.gate(PERSISTENT, [(("x",), 5)])
    with pytest.raises(TypeError):
        await exposure.served(pending)
