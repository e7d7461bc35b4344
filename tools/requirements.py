"""What is installed with the exporter and with each of its extras: names, pinned versions, licences, who needs what.

Names and versions come from pyproject.toml and constraints.txt, the rest from the installed packages' own metadata.
The answer is the same on every Python that is supported: a requirement counts if any of them has it.
"""

from __future__ import annotations

import importlib.metadata
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
#: Extras that a user installs. Of the others (test, screenshots) nothing is passed on to anybody.
EXTRAS = ("redis", "sentry", "tracing", "demo")
#: Environments that markers are judged for: the oldest and the newest Python, on Linux.
PYTHONS = ("3.11.0", "3.12.0", "3.13.0")

#: Licences as SPDX has them, of packages whose metadata say it in other words, or in a way that leaves it open.
SPDX = {
    "aiosignal": "Apache-2.0",
    "async-timeout": "Apache-2.0",
    "cronsim": "BSD-3-Clause",
    "jinja2": "BSD-3-Clause",
    "procrastinate": "MIT",
    "protobuf": "BSD-3-Clause",
}


@dataclass(kw_only=True)
class Package:
    """One package. ``parts``: "" for the exporter itself, and names of extras that bring it."""

    name: str
    version: str
    licence: str
    parts: set[str] = field(default_factory=set)
    needs: set[str] = field(default_factory=set)


def project() -> dict[str, Any]:
    """The table ``project`` of pyproject.toml."""
    found: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return found


def pins() -> dict[str, str]:
    """The versions of constraints.txt."""
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pinned = [Requirement(line) for line in lines if not line.startswith("#")]
    return {canonicalize_name(each.name): str(each.specifier).removeprefix("==") for each in pinned}


def packages() -> dict[str, Package]:
    """All of them by name, in the order of the alphabet."""
    found: dict[str, Package] = {}
    for part, wanted in direct().items():
        for each in wanted:
            _walk(each, part, found, set())
    return dict(sorted(found.items()))


def direct() -> dict[str, list[Requirement]]:
    """What pyproject.toml asks for, by part."""
    table = project()
    parts = {"": table["dependencies"], **{extra: table["optional-dependencies"][extra] for extra in EXTRAS}}
    return {part: [Requirement(text) for text in texts] for part, texts in parts.items()}


def asked() -> set[str]:
    """Names of those that pyproject.toml asks for itself."""
    return {canonicalize_name(each.name) for wanted in direct().values() for each in wanted}


def _walk(wanted: Requirement, part: str, found: dict[str, Package], seen: set[tuple[str, frozenset[str]]]) -> str:
    name = canonicalize_name(wanted.name)
    key = (name, frozenset(wanted.extras))
    if name not in found:
        found[name] = Package(name=name, version=pins()[name], licence=_licence(name))
    found[name].parts.add(part)
    if key not in seen:
        seen.add(key)
        for each in _requirements(name, wanted.extras):
            found[name].needs.add(_walk(each, part, found, seen))
    return name


def _requirements(name: str, extras: set[str]) -> list[Requirement]:
    try:
        texts = importlib.metadata.requires(name) or []
    except importlib.metadata.PackageNotFoundError:
        return []  # only for a Python that is not this one: async-timeout, which needs nothing
    return [each for each in map(Requirement, texts) if _applies(each, extras)]


def _applies(wanted: Requirement, extras: set[str]) -> bool:
    marker = wanted.marker
    return marker is None or any(
        marker.evaluate({"extra": extra, "python_full_version": python, "python_version": python.rpartition(".")[0]})
        for extra in {"", *extras}
        for python in PYTHONS
    )


def _licence(name: str) -> str:
    if name in SPDX:
        return SPDX[name]
    metadata = importlib.metadata.metadata(name)
    told = metadata.get("License-Expression") or metadata.get("License")
    if not told:
        raise ValueError(f"{name}: its metadata name no licence; look it up and add it to SPDX in {__file__}")
    return told
