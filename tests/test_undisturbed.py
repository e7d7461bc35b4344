"""A story is told again where the machine stood still, and only there."""

from __future__ import annotations

import pytest
from support.undisturbed import undisturbed


def stand_still() -> None:
    """No other thread runs for some tenths of a second: one call that never gives way."""
    sum(range(20_000_000))


def test_what_fails_on_a_machine_that_runs_fails_at_once() -> None:
    told: list[int] = []

    def story() -> None:
        told.append(1)
        raise AssertionError

    with pytest.raises(AssertionError):
        undisturbed(story, by=600)
    assert len(told) == 1


def test_what_fails_while_it_stood_still_is_told_again() -> None:
    told: list[int] = []

    def story() -> None:
        told.append(1)
        if len(told) == 1:
            stand_still()
        assert len(told) > 1

    undisturbed(story, by=0.05)
    assert len(told) == 2


def test_what_fails_each_time_fails() -> None:
    told: list[int] = []

    def story() -> None:
        told.append(1)
        stand_still()
        raise AssertionError

    with pytest.raises(AssertionError):
        undisturbed(story, by=0.05)
    assert len(told) == 3
