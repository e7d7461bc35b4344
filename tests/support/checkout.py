"""The checkout as git has it, for tests that need one of their own."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]


def source_files(*folders: str) -> set[str]:
    """What git has in the folders, or would take."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", *folders],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return {name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()}


def copy_of_the_checkout(place: Path) -> Path:
    """All of them in a directory that is made for it: what a clean clone has."""
    for name in source_files():
        copy = place / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, copy)
    return place
