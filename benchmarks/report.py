"""What every benchmark shares: its sizes on the command line, its rows, the table that it prints."""

from __future__ import annotations

import argparse
import os
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Sizes:
    """How much history there is, and how often to measure."""

    executions: int = 10_000_000
    jobs: int = 1_000_000
    rounds: int = 3


@dataclass(frozen=True)
class Row:
    """A figure. ``holds`` is None where there is no budget: it is told to understand the others."""

    what: str
    figure: str
    budget: str = ""
    holds: bool | None = None


Measure = Callable[[Sizes], list[Row]]


def add_sizes(parser: argparse.ArgumentParser) -> None:
    """The options that :func:`sizes` reads."""
    parser.add_argument("--executions", type=int, default=Sizes.executions, help="rows of history (10 million)")
    parser.add_argument("--jobs", type=int, default=Sizes.jobs, help="jobs in the store (1 million)")
    parser.add_argument("--rounds", type=int, default=Sizes.rounds, help="rounds of which the median is told")


def sizes(arguments: argparse.Namespace) -> Sizes:
    """The sizes asked for."""
    return Sizes(arguments.executions, arguments.jobs, arguments.rounds)


def run(name: str, measure: Measure) -> None:
    """The command of one benchmark. A missed budget is a row, a failed measurement ends with a traceback."""
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{name}")
    add_sizes(parser)
    print_table(measure(sizes(parser.parse_args())))


def print_table(rows: Sequence[Row]) -> None:
    """The rows under their heads, and the machine that they hold for."""
    table = [("what", "figure", "budget", "holds"), *((r.what, r.figure, r.budget, _word(r.holds)) for r in rows)]
    widths = [max(len(line[column]) for line in table) for column in range(4)]
    print(machine())
    for line in table:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip(), flush=True)


def _word(holds: bool | None) -> str:
    return "" if holds is None else ("yes" if holds else "NO")


def machine() -> str:
    """The processor, its cores, the memory, the load of others."""
    model = next(
        (line.partition(": ")[2] for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        platform.machine(),
    )
    gigabytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    load = os.getloadavg()[0]
    return f"{model}, {os.cpu_count()} cores, {gigabytes:.0f} GB, Python {platform.python_version()}, load {load:.1f}"


def spread(values: Sequence[float], unit: str = "", digits: int = 1) -> str:
    """The median and, where there are several, the least and the greatest: how much the machine's noise matters."""
    ordered = sorted(values)
    middle = ordered[len(ordered) // 2]
    if len(ordered) == 1:
        return f"{middle:,.{digits}f}{unit}"
    return f"{middle:,.{digits}f}{unit} ({ordered[0]:,.{digits}f} to {ordered[-1]:,.{digits}f})"


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which ``share`` (0 to 1) of the values lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
