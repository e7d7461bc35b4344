"""Writes docs/spec-coverage.md from docs/spec/*.yaml: ``python tools/spec_coverage.py``. A test holds the file to it.

Each of those files is one specification: what each of its lines asks for, where that is, which test proves it; what is
done otherwise or not at all, and why; and which lines ask for nothing.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal

import msgspec
import yaml

ROOT: Final = Path(__file__).parents[1]
DATA: Final = ROOT / "docs" / "spec"
TARGET: Final = ROOT / "docs" / "spec-coverage.md"

Status = Literal["done", "deviation", "refused"]


class Row(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One thing that is asked for. What is left out is its group's.

    ``at``: its lines, ``16`` or ``20-22, 25``. ``what``: in words, the specification's own names in backticks.
    ``where``: ``path#name`` or a path. ``test``: ``path::name``, with ``[case]`` where one case proves it.
    """

    at: int | str
    what: str
    status: Status = "done"
    where: tuple[str, ...] = ()
    test: tuple[str, ...] = ()
    why: str = ""

    @property
    def lines(self) -> set[int]:
        """The numbers of its lines."""
        return numbers(self.at)


class Group(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Rows that are in one place and proved by one test; ``"23 | `status`"`` is a row that adds nothing to that."""

    about: str
    rows: tuple[str | Row, ...]
    where: tuple[str, ...] = ()
    test: tuple[str, ...] = ()

    def whole(self) -> Iterator[Row]:
        """The rows with what they take from the group."""
        for row in self.rows:
            if isinstance(row, str):
                at, _, what = row.partition(" | ")
                yield Row(at, what, where=self.where, test=self.test)
            else:
                inherited = row.status != "refused"
                where = row.where or (self.where if inherited else ())
                yield msgspec.structs.replace(row, where=where, test=row.test or (self.test if inherited else ()))


class Specification(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file of docs/spec. ``nothing``: kind of line -> the lines that ask for nothing."""

    file: str
    name: str
    lines: int
    sha256: str
    nothing: dict[Literal["layout", "headings", "prose", "examples"], str]
    asked: tuple[Group, ...]

    def rows(self) -> list[Row]:
        """Everything that it asks for."""
        return [row for group in self.asked for row in group.whole()]


def numbers(at: int | str) -> set[int]:
    """``"3, 5-7"`` as the numbers that it means."""
    found: set[int] = set()
    for part in str(at).split(","):
        first, _, last = part.strip().partition("-")
        found.update(range(int(first), int(last or first) + 1))
    return found


def specifications() -> list[Specification]:
    """The files of docs/spec in their order."""
    return [
        msgspec.convert(yaml.safe_load(file.read_text(encoding="utf-8")), Specification)
        for file in sorted(DATA.glob("*.yaml"))
    ]


INTRODUCTION = """\
# What the specifications ask for, and where it is

<!-- Written by tools/spec_coverage.py from docs/spec/*.yaml. Change those, then run it again. -->

The exporter follows five documents. Here is each thing that they ask for: its lines, where it is in the project, the
test that proves it. A **deviation** is done otherwise, a thing that is **refused** is not done; both say why. Every
line of the five is here or is one that asks for nothing (headings, prose, examples). A test holds this page to
the project: places, names and tests exist.
"""


def document() -> str:
    """The whole file."""
    found = specifications()
    lines = [
        INTRODUCTION,
        "| specification | lines | asked | done | deviation | refused |",
        "|---|---|---|---|---|---|",
    ]
    lines += [_summary(one) for one in found]
    for one in found:
        lines += ["", f"## {one.name}", "", f"`{one.file}`, {one.lines} lines.", ""]
        for group in one.asked:
            lines += [f"### {group.about}", "", "| line | what | where | test |", "|---|---|---|---|"]
            lines += [*map(_line, group.whole()), ""]
        lines.pop()
    return "\n".join(lines) + "\n"


def _summary(one: Specification) -> str:
    counted = Counter(row.status for row in one.rows())
    numbers_ = " | ".join(str(counted[status]) for status in ("done", "deviation", "refused"))
    return f"| {one.name} | {one.lines} | {counted.total()} | {numbers_} |"


def _line(row: Row) -> str:
    what = row.what if row.status == "done" else f"{row.what}. **{row.status.capitalize()}**: {row.why}"
    where = "<br>".join(_place(place) for place in row.where)
    return f"| {row.at} | {_cell(what)} | {where} | {'<br>'.join(map(_test, row.test))} |"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _place(place: str) -> str:
    path, _, name = place.partition("#")
    return f"[{_cell(name) or path}](../{path})"


def _test(test: str) -> str:
    path, _, name = test.partition("::")
    return f"[{name.replace('[', ' (').replace(']', ')')}](../{path})"


if __name__ == "__main__":
    TARGET.write_text(document(), encoding="utf-8")
    sys.stdout.write(f"{TARGET}\n")
