"""What was measured over time, and whether it grew. No I/O but for the file that keeps it."""

from __future__ import annotations

import dataclasses
import json
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

MIB: Final = 2**20
#: From the middle of the first third to that of the last are two thirds of the time: so often is the whole of it.
_WHOLE: Final = 1.5


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One look: seconds since the start; bytes; counts; seconds. None: not told yet.

    ``private`` is what would be free if the process ended (USS), ``written`` that of it which is no copy of a file's
    page; ``processor`` is what it has used. Its own page tells ``tasks`` and ``lag`` (the worst of 5 s), the kernel all
    others. ``late`` is how long the machine let nobody run, at worst, in the time that ``lag`` is of.
    """

    at: float
    private: int
    written: int
    resident: int
    descriptors: int
    threads: int
    state: int
    processor: float
    tasks: int | None
    lag: float | None
    late: float = 0.0

    @property
    def own_lag(self) -> float | None:
        """What of the lag cannot be the machine's."""
        return None if self.lag is None else max(0.0, self.lag - self.late)


@dataclass(frozen=True, kw_only=True)
class Limit:
    """How a curve may go once all is warm. None: as it likes. Growth is ``times`` that between its thirds' middles."""

    middle: Callable[[Sequence[float]], float] = statistics.median
    times: float = _WHOLE
    growth: float | None = None
    median: float | None = None
    worst: float | None = None


#: Memory is judged by what was written: a library's pages become private when another process that has read them ends.
#: A median of what is counted jumps by one where a mean hardly moves.
_COUNT: Final = Limit(growth=1.0, middle=statistics.fmean)
LIMITS: Final = {
    "private": Limit(),
    "written": Limit(growth=MIB),
    "descriptors": _COUNT,
    "threads": _COUNT,
    "tasks": _COUNT,
    "lag": Limit(median=0.05),
    "own_lag": Limit(worst=1.0),
}
#: Of a run of some minutes: its page tells a few dozen values of the tasks, whose mean is off by one now and then. A
#: neighbour on the machine who takes the processor for a second is no fault of its. Python takes memory by the MiB;
#: whether one more is begun within minutes is chance, and a step of it is no slope that would have gone on.
MINUTES: Final = LIMITS | {
    "written": Limit(growth=MIB, times=1.0),
    "tasks": Limit(growth=3.0, middle=statistics.fmean),
    "own_lag": Limit(worst=3.0),
}


@dataclass(frozen=True)
class Found:
    """What one curve is, once all is warm. ``growth`` is over all of that time."""

    name: str
    growth: float
    median: float
    worst: float
    wrong: tuple[str, ...]


def of(samples: Sequence[Sample], name: str, since: float) -> list[float]:
    """A curve's known values from ``since`` on."""
    values = [getattr(sample, name) for sample in samples if sample.at >= since]
    return [float(value) for value in values if value is not None]


def growth(values: Sequence[float], limit: Limit = Limit()) -> float:
    """By how much the values rose: from the middle of the first third to that of the last, as over the whole time.

    So what comes and goes does not count: a request, a connection that is made anew, memory that is given back.
    """
    third = len(values) // 3
    return limit.times * (limit.middle(values[-third:]) - limit.middle(values[:third]))


def judge(samples: Sequence[Sample], warm: float, limits: Mapping[str, Limit] = LIMITS) -> list[Found]:
    """Every curve that has a limit, from ``warm`` (seconds since the start) on."""
    return [_judged(name, of(samples, name, warm), limit) for name, limit in limits.items()]


def _judged(name: str, values: Sequence[float], limit: Limit) -> Found:
    if len(values) < 9:
        return Found(name, 0.0, 0.0, 0.0, (f"{name}: measured {len(values)} times only",))
    figures = {"growth": growth(values, limit), "median": statistics.median(values), "worst": max(values)}
    wrong = tuple(
        f"{name}: {what} is {told(name, figure)}, more than {told(name, most)}"
        for what, figure in figures.items()
        if (most := getattr(limit, what)) is not None and figure > most
    )
    return Found(name, **figures, wrong=wrong)


def told(name: str, value: float) -> str:
    """A value with its unit."""
    if name in {"private", "written", "resident", "state"}:
        return f"{value / MIB:.2f} MB"
    return f"{value * 1000:.1f} ms" if name in {"lag", "own_lag"} else f"{value:.1f}"


@dataclass(frozen=True, kw_only=True)
class Kept:
    """A run's curves in a file, for whoever draws them."""

    warm: float
    samples: list[Sample]

    def write(self, file: Path) -> None:
        """As JSON."""
        file.write_text(json.dumps(dataclasses.asdict(self)))
