"""``make fuzz``: at least 10,000 requests, and exit status 1 when an answer is not as /openapi.json says."""

from __future__ import annotations

import argparse
import functools
import random
import sys
import tempfile
from pathlib import Path

from fuzz.run import faults, fuzz
from fuzz.world import fuzzed


def main(arguments: list[str] | None = None) -> int:
    """The exit status."""
    parser = argparse.ArgumentParser(prog="make fuzz", description="Asks everything that /openapi.json has, and more.")
    parser.add_argument("--cases", type=int, default=10_000, help="requests at least (default: %(default)d)")
    parser.add_argument("--examples", type=int, default=300, help="of an operation in one round (default: %(default)d)")
    parser.add_argument("--seed", type=int, default=random.randrange(2**32), help="of an earlier run (default: new)")
    chosen = parser.parse_args(arguments)
    cases, good, seed = 0, True, chosen.seed
    say = functools.partial(print, flush=True)
    with tempfile.TemporaryDirectory() as name, fuzzed(Path(name) / "sidecar") as sidecar:
        while good and cases < chosen.cases:
            found = fuzz(sidecar, examples=chosen.examples, seed=seed, directory=Path(name), say=say)
            cases, good, seed = cases + found.cases, found.good and found.cases > 0, seed + 1
        logged = faults(sidecar)
    for line in logged:
        print(line)
    good = good and not logged
    print(f"{cases} cases from seed {chosen.seed}: {'good' if good else 'NOT good'}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
