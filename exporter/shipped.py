"""What other programs load and comes with this one: Prometheus' rules with their runbooks, Grafana's dashboards.

They lie in folders of the checkout, and below ``share/scheduler-exporter`` of an environment that pip filled.
"""

from __future__ import annotations

import shutil
import sys
from importlib import metadata
from pathlib import Path
from typing import Final

from exporter.errors import ExporterError

SHIPPED: Final = {
    "rules": ("prometheus.yml", "*.md", "alerts/*.yaml", "recording/*.yaml", "runbooks/*.md"),
    "dashboards": ("overview.json", "*.json"),
}
"""What of a folder is for users, first a file that tells the folder from any other of its name."""
_CHECKOUT: Final = Path(__file__).parents[1]


def folder(name: str) -> Path | None:
    """Where ``rules`` or ``dashboards`` are; None where the package came without them."""
    if (_CHECKOUT / "pyproject.toml").is_file():
        return _CHECKOUT / name
    mark = f"share/scheduler-exporter/{name}/{SHIPPED[name][0]}"
    for file in metadata.files("scheduler-exporter") or ():
        place = Path(str(file.locate()))
        if file.match(mark) and place.is_file():
            return place.resolve().parent
    return None


def files(name: str, within: Path) -> list[Path]:
    """The files of ``SHIPPED`` in a folder, relative to it."""
    return sorted({path.relative_to(within) for pattern in SHIPPED[name] for path in within.glob(pattern)})


def write(name: str, directory: Path) -> None:
    """Copy them into a directory, and say so; files of the same names are replaced. Raises ExporterError."""
    source = folder(name)
    if source is None:
        raise ExporterError(f"{name} are not installed with this package: the repository has them in {name}/")
    ours = files(name, source)
    if directory.resolve() == source.resolve():
        print(f"{directory}: {len(ours)} files, here already")
        return
    try:
        for file in ours:
            target = directory / file
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / file, target)
    except OSError as e:
        raise ExporterError(f"cannot write {e.filename}: {e.strerror}") from e
    print(f"{directory}: {len(ours)} files written")
    for file in sorted(set(files(name, directory)) - set(ours)):
        print(f"remark: {directory / file} is not of this version: remove it unless it is yours", file=sys.stderr)
