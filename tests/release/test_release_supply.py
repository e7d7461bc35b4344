"""What is installed is pinned, everywhere, and nothing says from which registry it comes."""

from __future__ import annotations

import json
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tools.requirements import pins

ROOT = Path(__file__).parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
TRACKED = subprocess.run(
    ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
).stdout.split("\0")  # fmt: skip
PACKAGES = [name for name in TRACKED if Path(name).name == "package.json"]
LISTS = [name for name in TRACKED if Path(name).name in {"requirements.txt", "constraints.txt"}]
#: Written in pieces, so that this file does not name them.
REGISTRIES = (
    ("pypi", "org"), ("pythonhosted", "org"), ("npmjs", "org"), ("npmjs", "com"), ("yarnpkg", "com"), ("docker", "io"),
    ("hub", "docker", "com"), ("ghcr", "io"), ("quay", "io"), ("gcr", "io"), ("rubygems", "org"), ("crates", "io"),
    ("hex", "pm"), ("proxy", "golang", "org"), ("repo1", "maven", "org"), ("deb", "debian", "org"),
)  # fmt: skip


def test_every_requirement_of_the_project_has_a_pin_that_satisfies_it() -> None:
    project = PYPROJECT["project"]
    texts = [*project["dependencies"], *(text for texts in project["optional-dependencies"].values() for text in texts)]
    pinned = pins()
    for wanted in map(Requirement, texts):
        if wanted.name == project["name"]:
            continue
        version = pinned.get(canonicalize_name(wanted.name))
        assert version is not None, f"{wanted}: no line in constraints.txt"
        assert wanted.specifier.contains(version, prereleases=True), f"{wanted}: constraints.txt has {version}"


def test_what_builds_a_release_is_pinned_as_in_the_constraints() -> None:
    assert PYPROJECT["build-system"]["requires"] == [f"setuptools=={pins()['setuptools']}"]


@pytest.mark.parametrize("name", LISTS)
def test_lists_of_python_packages_have_exact_versions_alone(name: str) -> None:
    lines = [line for line in (ROOT / name).read_text().splitlines() if line and not line.startswith("#")]
    assert lines
    loose = [line for line in lines if not re.fullmatch(r"[\w.-]+(\[[\w,-]+\])?==[\w.!+]+( *;.*)?", line)]
    assert loose == []


@pytest.mark.parametrize("name", PACKAGES)
def test_npm_packages_are_exact_and_locked_with_their_checksums(name: str) -> None:
    package = json.loads((ROOT / name).read_text())
    assert [
        each for each in package["dependencies"].values() if not re.fullmatch(r"\d+\.\d+\.\d+(-[\w.]+)?", each)
    ] == []
    lock = json.loads((ROOT / name).with_name("package-lock.json").read_text())
    assert lock["packages"][""]["dependencies"] == package["dependencies"]
    others = {where: each for where, each in lock["packages"].items() if where}
    assert set(package["dependencies"]) <= {where.removeprefix("node_modules/") for where in others}
    assert [where for where, each in others.items() if "integrity" not in each and not each.get("inBundle")] == []
    assert [where for where, each in others.items() if "resolved" in each] == [], "it would name a registry"


def test_npm_is_run_with_exact_versions_alone() -> None:
    text = (ROOT / "Makefile").read_text()
    commands = re.findall(r"npm (?:install|i)\b[^\n&]*", text)
    assert commands, "PostgreSQL 14 comes so"
    assert [each for each in commands if not re.search(r" \S+@\d[\w.-]+$", each)] == []


def test_no_file_names_a_registry() -> None:
    hosts = re.compile("|".join(rf"(?<![\w-]){re.escape('.'.join(host))}(?![\w-])" for host in REGISTRIES))
    named = {}
    for name in TRACKED:
        path = ROOT / name
        if name and path.is_file():
            found = hosts.search(path.read_bytes().decode("utf-8", "replace"))
            if found:
                named[name] = found[0]
    assert named == {}
