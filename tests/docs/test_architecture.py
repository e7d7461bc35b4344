"""What ARCHITECTURE.md and CONTRIBUTING.md promise of the source: layers, docstrings, sizes, places."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from docs.conftest import Documents

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "exporter"
FILES = sorted(SOURCE.rglob("*.py"))
PACKAGES = [file for file in FILES if file.name == "__init__.py"]
LARGEST = 400


def names(files: list[Path]) -> list[str]:
    return [file.relative_to(ROOT).as_posix() for file in files]


def docstring(file: Path) -> str:
    return ast.get_docstring(ast.parse(file.read_text())) or ""


@pytest.mark.parametrize("name", names(FILES))
def test_every_module_says_what_it_is_for_and_is_short(name: str) -> None:
    file = ROOT / name
    assert docstring(file), "a module begins with a docstring"
    assert len(file.read_text().splitlines()) <= LARGEST


@pytest.mark.parametrize("name", names([file for file in PACKAGES if file.parent.parent == SOURCE]))
def test_every_package_says_what_belongs_there_and_what_does_not(name: str) -> None:
    text = docstring(ROOT / name)
    assert "Belongs here" in text
    assert "Does not" in text


def test_imports_point_down() -> None:
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as run; run()", "--no-cache"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_layers_are_documented_as_they_are(documents: Documents) -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = [layer.replace("exporter.", "") for layer in settings[0]["layers"]]
    text = documents.texts["ARCHITECTURE.md"].partition("## Layers")[2]
    shown = re.findall(r"^```text\n(.*?)^```", text, re.MULTILINE | re.DOTALL)[0].splitlines()
    assert shown == layers


def test_the_source_map_names_every_part(documents: Documents) -> None:
    table = documents.texts["ARCHITECTURE.md"].partition("## Source map")[2].partition("\n## ")[0]
    for entry in SOURCE.iterdir():
        if entry.is_dir() and (entry / "__init__.py").exists():
            assert f"`exporter/{entry.name}/`" in table, entry.name
        elif entry.suffix == ".py" and not entry.stem.startswith("__"):
            assert re.search(rf"`(exporter/)?{re.escape(entry.name)}`", table), entry.name
    for path in re.findall(r"`((?:exporter|tests|tools|benchmarks)/[\w./]*)`", table):
        assert (ROOT / path).exists(), path


def test_places_named_in_contributing_exist(documents: Documents) -> None:
    text = documents.texts["CONTRIBUTING.md"]
    paths = re.findall(r"`((?:exporter|tests|tools|docs)/[\w./]*)`", text)
    assert paths
    for path in paths:
        assert (ROOT / path).exists(), path
    for file, symbol in (
        ("metrics/__init__.py", "COLLECTORS"),
        ("options.py", "COLLECTORS"),
        ("options.py", "add_serve_arguments"),
        ("api/__init__.py", "FAMILIES"),
        ("connections/results.py", "STAGES"),
        ("connections/failure.py", "_BY_STAGE"),
        ("connections/facts.py", "_FACTS"),
        ("stores/postgres.py", "def collectors"),
        ("stores/checking/statements.py", "def asked"),
    ):
        assert symbol in (SOURCE / file).read_text(), f"{file}: {symbol}"
        assert symbol.removeprefix("def ") in text, symbol


def test_figures_named_in_the_documents_are_those_of_the_code(documents: Documents) -> None:
    from exporter.ledger.jobs import FAILING_JOBS_KEPT, FAILING_KEPT, RECURRING_JOBS_KEPT  # noqa: PLC0415
    from exporter.stores.marks import FIRST_ID_STRETCH  # noqa: PLC0415

    text = documents.texts["ARCHITECTURE.md"]
    assert f"forgotten {FAILING_KEPT / 3600:.0f} h" in text
    assert f"latest {FAILING_JOBS_KEPT:,} of them and {RECURRING_JOBS_KEPT:,} recurring jobs" in text
    assert f"last {FIRST_ID_STRETCH:,} ids" in text


def test_the_licence_is_apache_2() -> None:
    text = (ROOT / "LICENSE").read_text()
    assert "Apache License" in text[:200]
    assert "Version 2.0, January 2004" in text[:300]
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["license"] == "Apache-2.0"
