"""The judge of a soak: curves that stay, rise, rise and fall; rows of the state file that nothing explains."""

from __future__ import annotations

import dataclasses
import math
import random
from collections.abc import Mapping
from typing import Any

import pytest

from soak.curves import LIMITS, MIB, MINUTES, Limit, Sample, growth, judge
from soak.run import judge_rows

WARM, END = 90.0, 300.0


def curves(**rising: float) -> list[Sample]:
    """A quiet process, noise and all; of what is named so much more at the end than when it was warm."""
    noise = random.Random(1)
    samples = []
    for at in range(int(END)):
        done = max(0.0, (at - WARM) / (END - WARM))
        values: dict[str, Any] = {
            # Rises by 6 MB while it warms up, then goes up and down by 1 MB every 30 s, as arenas do.
            "written": 54 * MIB - max(0.0, WARM - at) / WARM * 6 * MIB + (at % 30) / 30 * MIB,
            "descriptors": 19 + noise.choice((0, 0, 0, 1, 2)),
            "threads": 3,
            "tasks": 35 + noise.choice((0, 0, 1, 4)),
            "lag": 0.002 + noise.random() * 0.003,
        }
        more = {name: values[name] + amount * done for name, amount in rising.items()}
        values = {**values, **{name: value if name == "lag" else int(value) for name, value in more.items()}}
        # Somebody else who had read the libraries ends.
        private = 60 * MIB + (2 * MIB if at > 200 else 0)
        samples.append(
            Sample(at=float(at), private=private, resident=80 * MIB, state=7 * MIB, processor=0.05 * at, **values)
        )
    return samples


def wrong(samples: list[Sample], limits: Mapping[str, Limit] = LIMITS) -> list[str]:
    return [line for found in judge(samples, WARM, limits) for line in found.wrong]


def test_what_goes_up_and_down_does_not_grow() -> None:
    assert wrong(curves()) == []


@pytest.mark.parametrize(
    ("name", "leak"), [("written", 2 * MIB), ("descriptors", 5), ("threads", 4), ("tasks", 6), ("lag", 0.2)]
)
def test_a_curve_that_rises_is_wrong(name: str, leak: float) -> None:
    [line] = wrong(curves(**{name: leak}))
    assert line.startswith(f"{name}: ")


@pytest.mark.parametrize(("step", "well"), [(0.75, True), (1.2, False)])
def test_within_minutes_a_step_counts_as_what_it_is(step: float, well: bool) -> None:
    flat = curves()
    stepped = [dataclasses.replace(s, written=s.written + int(step * MIB) * (s.at > 220)) for s in flat]
    assert (not wrong(stepped, MINUTES)) is well
    assert wrong(stepped)  # within an hour it would be a slope


def test_what_rises_while_it_warms_up_is_no_growth() -> None:
    warm = {found.name: found for found in judge(curves(), WARM)}["written"]
    assert abs(warm.growth) < 0.5 * MIB
    cold = {found.name: found for found in judge(curves(), 0.0)}["written"]
    assert cold.wrong


def test_one_stop_of_the_event_loop_is_wrong_however_short_the_others_are() -> None:
    samples = curves()
    samples[200] = dataclasses.replace(samples[200], lag=1.5)
    assert wrong(samples) == ["own_lag: worst is 1500.0 ms, more than 1000.0 ms"]
    samples[200] = dataclasses.replace(samples[200], late=1.4)
    assert wrong(samples) == [], "nobody could run"


def test_what_was_not_measured_is_not_well() -> None:
    unknown = [dataclasses.replace(sample, tasks=None) for sample in curves()]
    assert wrong(unknown) == ["tasks: measured 0 times only"]


def test_growth_is_that_of_the_whole_time() -> None:
    assert growth([float(n) for n in range(301)]) == pytest.approx(300, rel=0.01)
    assert growth([5.0] * 100) == 0
    assert growth([math.sin(n) for n in range(300)]) == pytest.approx(0, abs=0.1)


def test_the_state_file_may_grow_by_new_minutes_only() -> None:
    before = {"rollup": 9000, "recent": 10_000, "job": 2020, "seen": 300, "series": 40, "audit": 3, "exposed": 200}
    assert judge_rows(before, {**before, "rollup": 9080, "audit": 9, "seen": 350}, 3.5) == []
    assert judge_rows(before, {**before, "recent": 9_990, "rollup": 8000}, 3.5) == []
    for name, more in {"rollup": 500, "recent": 1, "job": 100, "seen": 1000, "series": 11, "exposed": 40}.items():
        [line] = judge_rows(before, {**before, name: before[name] + more}, 3.5)
        assert line.startswith(f"state: {name} has {more} rows more")
