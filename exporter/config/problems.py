"""What is wrong with a file: the report that collects its faults, and how they show paths and values."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any, Final

from exporter.errors import ConfigError

#: Where a value is: ("stores", 0, "interval"). The empty tuple is the whole file.
KeyPath = tuple[str | int, ...]

#: Stands for a value that was refused: checks that need it are left out, the others still run.
BROKEN: Final[Any] = object()

#: More faults than this are only counted: such a file is not a configuration with mistakes in it.
MOST_PROBLEMS: Final = 500
_PLAIN_KEY: Final = re.compile(r"[A-Za-z0-9_-]{1,60}")
_PLAIN_VALUE: Final = re.compile(r"[A-Za-z0-9_.+-]{1,40}")


def render(path: KeyPath) -> str:
    """``stores[0].interval``; a key that is no plain word is quoted, the whole file is ``(root)``."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif _PLAIN_KEY.fullmatch(part):
            text += f".{part}" if text else part
        else:
            text += f"[{quote(part)}]"
    return text or "(root)"


def quote(text: str) -> str:
    """A text from the file in quotes: one line, ASCII, cut; a URL is hidden, for it may hold a password."""
    if "://" in text:
        return '"<hidden>"'
    return json.dumps(text if len(text) <= 60 else text[:60] + "...")


def show(text: str) -> str:
    """A scalar as it stands in the file: bare where it is a plain word or number, quoted otherwise."""
    return text if _PLAIN_VALUE.fullmatch(text) else quote(text)


def nearest(word: str, known: Iterable[str], likeness: float = 0.6) -> str:
    """``; did you mean "interval"?`` for the known word that is closest, or nothing if none is as like as that."""
    import difflib  # noqa: PLC0415 - only a mistake needs it

    words, start = list(known), word[:60].lower()
    close = [other for other in words if len(start) > 2 and other.startswith(start)]
    close = close or difflib.get_close_matches(start, words, n=1, cutoff=likeness)
    return f"; did you mean {quote(close[0])}?" if close else ""


class Report:
    """Collects the faults of one file; each becomes one line ``file:line: path: text``."""

    def __init__(self, filename: str) -> None:
        self._filename = " ".join(filename.split()) or "configuration"
        self._found: list[tuple[float, str]] = []
        self._lines: dict[KeyPath, int] = {}
        self._left_out = 0

    @property
    def full(self) -> bool:
        """True when further faults are only counted."""
        return len(self._found) >= MOST_PROBLEMS

    def locate(self, path: KeyPath, line: int) -> None:
        """Remember the line (from 1) on which the value at ``path`` begins."""
        self._lines[path] = line

    def line(self, path: KeyPath) -> int | None:
        """The line of ``path``, or of the nearest thing around it that is in the file."""
        while path and path not in self._lines:
            path = path[:-1]
        return self._lines.get(path)

    def add(self, path: KeyPath, text: str, *, line: int | None = None) -> None:
        """One fault of the value at ``path``."""
        if self.full:
            self._left_out += 1
            return
        line = line or self.line(path)
        place = self._filename if line is None else f"{self._filename}:{line}"
        self._found.append((line or float("inf"), f"{place}: {render(path)}: {text}"))

    def add_syntax(self, text: str, *, line: int | None = None, column: int | None = None) -> None:
        """A fault that keeps the file from being read at all, so that it has no path."""
        place = ":".join(str(part) for part in (self._filename, line, column) if part is not None)
        self._found.append((line or 0, f"{place}: {text}"))

    def raise_if_any(self) -> None:
        """Raise one ConfigError with every fault in the order of the file, if there is any."""
        if not self._found:
            return
        problems = [text for _, text in sorted(self._found, key=lambda found: found[0])]
        if self._left_out:
            problems.append(f"{self._filename}: (root): {self._left_out} more problems are not shown")
        raise ConfigError(problems)


class Where:
    """A struct that was read and where it stands: what a check of more than one key works on."""

    def __init__(self, value: Any, path: KeyPath, report: Report) -> None:
        self.value = value
        self.path = path
        self._report = report

    def get(self, name: str) -> Any:
        """The value of a key, or None where it was refused."""
        value = getattr(self.value, name)
        return None if value is BROKEN else value

    def items(self, *names: str) -> list[Where]:
        """The elements of the list under these keys, without those that were refused."""
        value, path = self.value, self.path
        for name in names:
            value, path = getattr(value, name), (*path, name)
            if value is BROKEN:
                return []
        return [Where(item, (*path, index), self._report) for index, item in enumerate(value) if item is not BROKEN]

    def place(self, name: str) -> str:
        """``stores[0].name (line 12)``, to point at the other half of a contradiction."""
        path = (*self.path, name)
        line = self._report.line(path)
        return render(path) if line is None else f"{render(path)} (line {line})"

    def problem(self, name: str | int, text: str, *more: str | int) -> None:
        """A fault of the value under ``name`` (and the keys in ``more`` below it)."""
        self._report.add((*self.path, name, *more), text)
