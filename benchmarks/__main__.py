"""Every benchmark, one after the other, and one table: ``make bench``, ``make bench ARGS="poll scrape"``.

Exits with 1 when a measurement failed; a budget that is missed is a row of the table.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import time
import traceback

from benchmarks.report import Row, Sizes, add_sizes, print_table, sizes

#: In the order in which they run: each name is a module with a function ``measure``.
BENCHMARKS = ("startup", "poll", "scrape", "stats", "api", "catchup", "memory", "cpu", "targets", "rules", "page")


def measure(name: str, chosen: Sizes) -> tuple[list[Row], bool]:
    """The rows of one benchmark, and whether it could be measured."""
    started = time.monotonic()
    print(f"{name} ...", flush=True)
    try:
        rows = importlib.import_module(f"benchmarks.{name}").measure(chosen)
    except Exception as error:  # the others are measured all the same
        traceback.print_exc()
        return [Row(name, f"could not be measured: {type(error).__name__}")], False
    print(f"{name}: {time.monotonic() - started:.0f} s", flush=True)
    return [Row(f"{name}: {r.what}", r.figure, r.budget, r.holds) for r in rows], True


def main() -> int:
    """Run those named, or all."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=", ".join(BENCHMARKS))
    add_sizes(parser)
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(BENCHMARKS):
        parser.error(f"no such benchmark: {', '.join(sorted(unknown))}; there are {', '.join(BENCHMARKS)}")
    results = [measure(name, sizes(arguments)) for name in arguments.names or BENCHMARKS]
    print_table([row for rows, _ in results for row in rows])
    return 0 if all(measured for _, measured in results) else 1


if __name__ == "__main__":
    sys.exit(main())
