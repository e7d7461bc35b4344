"""Draws every dashboard into docs/img: ``python -m tools.dashboards``, which ``make screenshots`` calls.

The demo's history is put into a Prometheus, the dashboards are drawn in Chromium, the pictures are made small. Ends
with 1 where a panel has an error or no data.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

from PIL import Image

from tools.dashboards.history import prometheus

ROOT: Final = Path(__file__).parents[2]
HOURS, STEP = 25, 60
LEAD = 240
TALLEST: Final = 2000
LARGEST: Final = 150_000


def draw(dist: Path, address: str, out: Path, dashboards: list[Path]) -> list[dict[str, Any]]:
    """What the drawing says of each dashboard."""
    command = ["node", "shot.mjs", dist, address, str(STEP), out, *dashboards]
    done = subprocess.run(command, cwd=dist.parent, capture_output=True, text=True, check=False, timeout=900)
    if not done.stdout.startswith("["):
        raise SystemExit(done.stderr)
    return list(json.loads(done.stdout))


def shrink(picture: Path) -> None:
    """Few colours, no taller than a page likes, and smaller until it is small enough."""
    whole = Image.open(picture).convert("RGB")
    scale = min(1.0, TALLEST / whole.height)
    while scale > 0.3:
        size = (round(whole.width * scale), round(whole.height * scale))
        small = whole.resize(size, Image.Resampling.LANCZOS)
        small.quantize(256, Image.Quantize.MEDIANCUT, kmeans=1, dither=Image.Dither.NONE).save(picture, optimize=True)
        if picture.stat().st_size < LARGEST:
            return
        scale *= 0.9
    raise SystemExit(f"{picture.name} has {picture.stat().st_size} bytes")


def main() -> int:
    """Draw, say what is wrong."""
    parser = argparse.ArgumentParser(description="Draw the dashboards.")
    parser.add_argument("dist", type=Path, help="where grafana-preview was built")
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "img")
    given = parser.parse_args()
    dashboards = sorted((ROOT / "dashboards").glob("*.json"))
    os.umask(0o022)
    with tempfile.TemporaryDirectory() as directory:
        pictures = Path(directory) / "pictures"
        pictures.mkdir()
        with prometheus(Path(directory), hours=HOURS, step=STEP, lead=LEAD) as address:
            report = draw(given.dist.resolve(), address, pictures, dashboards)
        for picture in pictures.iterdir():
            shrink(picture)
            (given.output / picture.name).write_bytes(picture.read_bytes())
    for found in report:
        sys.stdout.write(f"{found['name']}: {found['queries']} queries, {len(found['bad'])} without data\n")
        for text in (*found["errors"], *(f"{bad.get('error') or 'no data'}: {bad['raw']}" for bad in found["bad"])):
            sys.stdout.write(f"  {text}\n")
    return int(any(found["errors"] or found["bad"] for found in report))


if __name__ == "__main__":
    sys.exit(main())
