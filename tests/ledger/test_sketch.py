"""Sketches: within 2% of the true quantile, the same however they are added up and written down."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.ledger import sketch

SECONDS = st.floats(min_value=0, max_value=1e9)


def sketched(values: list[float]) -> sketch.Sketch:
    return dict(sketch.adding(b"", map(sketch.bucket, values)))


@given(st.lists(SECONDS, min_size=1), st.sampled_from([0.0, 0.5, 0.95, 0.99, 1.0]))
def test_a_quantile_is_near_the_true_one(values: list[float], q: float) -> None:
    found = sketch.quantile(sketched(values), q)
    rank = max(0, math.ceil(q * len(values)) - 1)
    assert found == pytest.approx(sorted(values)[rank], rel=sketch.ACCURACY + 1e-9, abs=sketch.SHORTEST)


@given(st.lists(SECONDS), st.lists(SECONDS))
def test_parts_add_up_to_the_whole(first: list[float], second: list[float]) -> None:
    whole = sketched(first + second)
    added = sketched(first)
    sketch.add(added, sketched(second))
    assert added == whole
    assert dict(sketch.adding(sketch.encode(sketched(first)), map(sketch.bucket, second))) == whole


@given(st.dictionaries(st.integers(0, 1000), st.integers(1, 2**40)))
def test_what_is_written_is_read_back(counts: dict[int, int]) -> None:
    assert sketch.decode(sketch.encode(counts)) == counts


@pytest.mark.parametrize("bits", [8, 16, 32])
def test_the_greatest_count_of_a_size_and_the_next_are_read_back(bits: int) -> None:
    for count in (2**bits - 1, 2**bits):
        assert sketch.decode(sketch.encode({7: count, 9: 1})) == {7: count, 9: 1}


@pytest.mark.parametrize("seconds", [0.0001, 0.0002, 0.001, 0.25, 1.0, 1.5, 3600.0])
def test_one_duration_is_told_within_two_percent(seconds: float) -> None:
    assert sketch.quantile(sketched([seconds]), 0.5) == pytest.approx(seconds, rel=0.0201)


def test_an_empty_sketch_takes_no_space_and_has_no_quantile() -> None:
    assert sketch.encode({}) == b""
    assert sketch.quantile({}, 0.5) is None
    assert sketch.quantile(sketched([0.0]), 0.5) == sketch.SHORTEST
