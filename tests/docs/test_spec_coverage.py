"""docs/spec-coverage.md is current, leaves no line of the specifications out, and names what there is."""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from docs.conftest import Documents

ROOT = Path(__file__).parents[2]
#: The specifications themselves, where they are: beside the checkout.
SPEC = ROOT.parent / "shared" / "spec"


def _generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("spec_coverage", ROOT / "tools" / "spec_coverage.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


GENERATOR = _generator()
FOUND: list[Any] = GENERATOR.specifications()
by_name = pytest.mark.parametrize("one", FOUND, ids=lambda one: one.file[:3])


@functools.cache
def text(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


@functools.cache
def collected(path: str) -> set[str]:
    """The names of a module's tests, which pytest collects."""
    module = ast.parse(text(path))
    return {
        node.name
        for node in module.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    }


def original(one: Any) -> list[str] | None:
    """The lines of a specification, if it is at hand and what the data is about."""
    file = SPEC / one.file
    if not file.exists():
        return None
    content = file.read_bytes()
    assert hashlib.sha256(content).hexdigest() == one.sha256, f"{one.file} is another one"
    return content.decode().splitlines()


def test_the_file_is_current(documents: Documents) -> None:
    current = documents.texts["docs/spec-coverage.md"] == GENERATOR.document()
    assert current, "python tools/spec_coverage.py writes it anew"


@by_name
def test_every_line_is_accounted_for_once(one: Any) -> None:
    asked = set().union(*(row.lines for row in one.rows()))
    kinds = [GENERATOR.numbers(at) for at in one.nothing.values()]
    nothing = set().union(*kinds)
    assert len(nothing) == sum(map(len, kinds)), "a line is of two kinds"
    assert asked & nothing == set(), "these ask for something and for nothing"
    assert asked | nothing == set(range(1, one.lines + 1))


@by_name
def test_places_exist_and_have_the_name(one: Any) -> None:
    for row in one.rows():
        assert row.where or row.status == "refused", f"{row.at}: {row.what} is nowhere"
        for place in row.where:
            path, _, name = place.partition("#")
            assert (ROOT / path).exists(), place
            assert not name or name in text(path), place


@by_name
def test_named_tests_exist(one: Any) -> None:
    for row in one.rows():
        assert row.test or row.status == "refused", f"{row.at}: nothing proves {row.what}"
        for test in row.test:
            path, _, name = test.partition("::")
            function, _, case = name.removesuffix("]").partition("[")
            assert path.startswith("tests/") and Path(path).name.startswith("test_"), test
            assert function in collected(path), test
            assert case in text(path) or (ROOT / "rules" / "tests" / f"{case}.test.yaml").exists(), test


@by_name
def test_what_is_not_done_as_asked_has_a_reason(one: Any) -> None:
    for row in one.rows():
        assert (row.status == "done") == (row.why == ""), row
        assert row.status == "done" or len(row.why.split()) >= 6, f"{row.at}: {row.why} is no reason"


@by_name
def test_it_is_about_the_specification(one: Any) -> None:
    """Where the specification is at hand: names stand in the lines that are given, and lines of layout say nothing."""
    lines = original(one)
    if lines is None:
        assert re.fullmatch(r"[0-9a-f]{64}", one.sha256)
        return
    assert len(lines) == one.lines
    for row in one.rows():
        there = "\n".join(lines[number - 1] for number in row.lines)
        for name in re.findall(r"`([^`]+)`", row.what):
            assert name.rpartition(".")[2] in there if re.fullmatch(r"[\w.]+", name) else name in there, (
                f"{row.at}: {name}"
            )
    for number in GENERATOR.numbers(one.nothing["layout"]):
        assert re.search(r"\w{3}", re.sub(r"^\s*```\w*", "", lines[number - 1])) is None, (
            f"{number}: {lines[number - 1]}"
        )
