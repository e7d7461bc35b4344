"""The documents, as the tests here read them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block: ``info`` is what stands behind the opening fence, such as ``yaml config``."""

    file: str
    line: int
    info: str
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True)
class Documents:
    """Every Markdown file of the project, by its path from the root."""

    texts: dict[str, str]

    def blocks(self, *infos: str) -> list[Block]:
        """The blocks of these kinds (all when none is named), in their order."""
        return [
            Block(file, text.count("\n", 0, match.start()) + 1, match[1].strip(), match[2])
            for file, text in self.texts.items()
            for match in _FENCE.finditer(text)
            if not infos or match[1].strip() in infos
        ]

    def prose(self, file: str) -> str:
        """A document without its blocks."""
        return _FENCE.sub("", self.texts[file])


@pytest.fixture(scope="session")
def documents() -> Documents:
    """README.md and its like, and docs/."""
    files = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
    return Documents({file.relative_to(ROOT).as_posix(): file.read_text(encoding="utf-8") for file in files})
