"""A story is told again where the machine stood still, and only there."""

from __future__ import annotations

import pytest
from support.undisturbed import undisturbed


class Story:
    """Fails the first ``failures`` times, after the machine has stood still unless told otherwise."""

    def __init__(self, failures: int, *, stands_still: bool = True) -> None:
        self.told, self._failures, self._stands_still = 0, failures, stands_still

    def __call__(self) -> None:
        self.told += 1
        if self._stands_still:
            sum(range(20_000_000))  # no other thread runs for some tenths of a second: one call never gives way
        assert self.told > self._failures


def test_what_fails_on_a_machine_that_runs_fails_at_once() -> None:
    story = Story(1, stands_still=False)
    with pytest.raises(AssertionError):
        undisturbed(story, by=600)
    assert story.told == 1


def test_what_fails_while_it_stood_still_is_told_again() -> None:
    story = Story(1)
    undisturbed(story, by=0.05)
    assert story.told == 2


def test_what_fails_each_time_fails() -> None:
    story = Story(99)
    with pytest.raises(AssertionError):
        undisturbed(story, by=0.05)
    assert story.told == 3
