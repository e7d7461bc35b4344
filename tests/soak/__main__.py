"""``make soak``: one run, its curves judged, and exit status 1 when anything grows."""

from __future__ import annotations

import argparse
import functools
import shutil
import sys
import tempfile
from pathlib import Path

from soak.run import Plan, run


def main(arguments: list[str] | None = None) -> int:
    """The exit status."""
    parser = argparse.ArgumentParser(prog="make soak", description="A sidecar at work: does it grow?")
    parser.add_argument("--minutes", type=float, default=5, help="how long, once it is warm (default: %(default)g)")
    parser.add_argument("--curves", type=Path, metavar="FILE", help="keep what was measured, as JSON")
    parser.add_argument("--log", type=Path, metavar="FILE", help="keep the sidecar's log")
    parser.add_argument(
        "--python", default=sys.executable, metavar="FILE", help="what runs the sidecar (default: this interpreter)"
    )
    chosen = parser.parse_args(arguments)
    if chosen.minutes < 5:
        parser.error("--minutes: at least 5, or there is too little to compare")
    with tempfile.TemporaryDirectory(prefix="soak-") as name:
        try:
            verdict = run(Plan(60 * chosen.minutes, chosen.python), Path(name), functools.partial(print, flush=True))
        finally:
            if chosen.log is not None and Path(name, "log").exists():
                shutil.copy(Path(name, "log"), chosen.log)
    print(verdict.text)
    if chosen.curves is not None:
        verdict.kept.write(chosen.curves)
    return 1 if verdict.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
