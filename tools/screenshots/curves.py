"""The curves of ``make soak`` as one picture: five charts, one under the other, time from left to right."""

from __future__ import annotations

import html
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

MIB: Final = 2**20
WIDTH: Final = 1000
_LEFT, _RIGHT, _TOP, _CHART, _GAP = 70, 20, 46, 130, 52
_COLOURS: Final = ("#2563eb", "#d97706")
_STYLE: Final = """
  body { margin: 0; background: #fff }
  text { font: 13px system-ui, sans-serif; fill: #333 }
  .title { font-weight: 600; font-size: 14px } .axis { fill: #666; font-size: 12px }
"""


Sample = dict[str, float | None]


@dataclass(frozen=True)
class Kept:
    """A run: what was measured, and from when on (s) it was warm. As ``tests/soak/curves.py`` writes it."""

    warm: float
    samples: list[Sample]

    def curve(self, name: str, unit: float) -> list[tuple[float, float]]:
        """(minutes, value in that unit), where the value is known."""
        found = [(sample["at"], sample[name]) for sample in self.samples]
        return [(at / 60, value / unit) for at, value in found if at is not None and value is not None]


@dataclass(frozen=True)
class Chart:
    """What one chart shows: curves by name, in a unit; ``floor``: its axis begins at 0."""

    title: str
    curves: tuple[str, ...]
    unit: float = 1
    floor: bool = True


CHARTS: Final = (
    Chart("Private memory (USS), and what of it was written, MB", ("private", "written"), MIB, floor=False),
    Chart("File descriptors", ("descriptors",)),
    Chart("Tasks and threads", ("tasks", "threads")),
    Chart("Event loop lag, worst of 5 s, ms", ("lag",), 0.001),
    Chart("State file and its log, MB", ("state",), MIB),
)
HEIGHT: Final = _TOP + len(CHARTS) * (_CHART + _GAP)


def page(kept: Kept, title: str) -> str:
    """A page with the picture alone, ``WIDTH`` by ``HEIGHT``."""
    charts = "".join(_chart(chart, kept, _TOP + number * (_CHART + _GAP)) for number, chart in enumerate(CHARTS))
    return (
        f'<!doctype html><meta charset="utf-8"><style>{_STYLE}</style>'
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}">'
        f'<text class="title" x="{_LEFT}" y="20">{html.escape(title)}</text>{charts}</svg>'
    )


def read(file: Path) -> Kept:
    """What ``make soak`` has kept."""
    found: dict[str, Any] = json.loads(file.read_text())
    return Kept(found["warm"], found["samples"])


def _chart(chart: Chart, kept: Kept, top: float) -> str:
    points = {name: kept.curve(name, chart.unit) for name in chart.curves}
    marks = _marks([y for curve in points.values() for _, y in curve], floor=chart.floor)
    low, high, end = marks[0], marks[-1], max(at for curve in points.values() for at, _ in curve)

    def x(at: float) -> float:
        return _LEFT + (WIDTH - _LEFT - _RIGHT) * at / end

    def y(value: float) -> float:
        return top + 18 + _CHART * (high - value) / (high - low)

    parts = [f'<text class="title" x="{_LEFT}" y="{top + 8}">{html.escape(chart.title)}</text>']
    parts.append(
        f'<rect x="{x(0)}" y="{y(high)}" width="{x(kept.warm / 60) - x(0):.1f}" height="{_CHART}" fill="#f1f5f9"/>'
        f'<text class="axis" x="{x(0) + 6}" y="{y(low) - 7}">warming up</text>'
    )
    for mark in marks:
        parts.append(
            f'<line x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y(mark):.1f}" y2="{y(mark):.1f}" stroke="#ddd"/>'
            f'<text class="axis" x="{_LEFT - 8}" y="{y(mark) + 4:.1f}" text-anchor="end">{mark:g}</text>'
        )
    for at in _times(end):
        parts.append(f'<text class="axis" x="{x(at):.1f}" y="{y(low) + 17:.1f}" text-anchor="middle">{at:g} min</text>')
    for number, (name, curve) in enumerate(points.items()):
        path = " ".join(f"{x(at):.1f},{y(value):.1f}" for at, value in curve)
        colour = _COLOURS[number]
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
        if len(points) > 1:
            place = WIDTH - _RIGHT - 70 * (len(points) - number - 1)
            parts.append(f'<text x="{place}" y="{top + 8}" text-anchor="end" style="fill:{colour}">{name}</text>')
    return "".join(parts)


def _marks(values: Sequence[float], *, floor: bool) -> list[float]:
    """Round values from below the least (0 with ``floor``) to above the greatest."""
    low, high = (0.0 if floor else min(values)), max(values)
    step = _step((high - low) or 1.0)
    first = math.floor(low / step)
    return [step * number for number in range(first, max(first + 1, math.ceil(high / step)) + 1)]


def _step(span: float) -> float:
    """A round number of which three to six make the span."""
    power = 10.0 ** math.floor(math.log10(span / 3))
    return next(power * times for times in (1, 2, 2.5, 5, 10) if span / (power * times) <= 5)


def _times(end: float) -> Iterator[float]:
    step = max(1.0, _step(end))
    yield from (step * number for number in range(int(end / step) + 1))
