"""``make chaos``: one run, its report, and exit status 1 when anything is wrong."""

from __future__ import annotations

import argparse
import functools
import random
import sys
from pathlib import Path

from chaos.director import run
from chaos.plan import DEFAULT_SECONDS, Plan
from chaos.world import missing


def main(arguments: list[str] | None = None) -> int:
    """The exit status."""
    parser = argparse.ArgumentParser(prog="make chaos", description="Counts exactly once, whatever happens.")
    parser.add_argument("--seed", type=int, default=random.randrange(2**32), help="of an earlier run (default: new)")
    parser.add_argument(
        "--seconds",
        type=float,
        default=DEFAULT_SECONDS,
        help="how long to write (default: %(default)g); more"
        f" than {2 * DEFAULT_SECONDS:g} brings more executions, kills, restarts and jumps too",
    )
    parser.add_argument("--keep", type=Path, metavar="DIRECTORY", help="leave the sidecar's log and state there")
    chosen = parser.parse_args(arguments)
    if chosen.seconds < 100:
        parser.error("--seconds: at least 100, or no transaction outlives the late window")
    if lack := missing():
        parser.error(lack)
    verdict = run(Plan(seed=chosen.seed, seconds=chosen.seconds), functools.partial(print, flush=True), chosen.keep)
    print(verdict.text)
    return 1 if verdict.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
