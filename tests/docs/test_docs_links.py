"""Links inside the documents lead somewhere, pictures are there and small."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from docs.conftest import Documents

from pathlib import Path

ROOT = Path(__file__).parents[2]
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def links(documents: Documents) -> Iterator[tuple[str, str]]:
    for file in documents.texts:
        for target in LINK.findall(documents.prose(file)):
            yield file, target


def anchors(text: str) -> set[str]:
    """The anchors that a page has on GitHub."""
    found = set()
    for heading in HEADING.findall(text):
        plain = re.sub(r"[`*]", "", heading).lower()
        found.add(re.sub(r"[^\w\- ]", "", plain).strip().replace(" ", "-"))
    return found


def test_relative_links_resolve(documents: Documents) -> None:
    seen = 0
    for file, target in links(documents):
        if re.match(r"[a-z]+:", target):
            continue
        seen += 1
        path, _, anchor = target.partition("#")
        place = ROOT.joinpath(PurePosixPath(file).parent, path).resolve() if path else ROOT / file
        assert place.exists(), f"{file}: {target} leads nowhere"
        assert place.is_relative_to(ROOT), f"{file}: {target} leaves the project"
        if anchor:
            assert anchor in anchors(documents.prose(place.relative_to(ROOT).as_posix())), f"{file}: no {target}"
    assert seen > 20


def test_the_documents_that_a_reader_expects_are_there(documents: Documents) -> None:
    assert {"README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"} <= documents.texts.keys()
    reachable = {target.partition("#")[0] for file, target in links(documents) if file == "README.md"}
    assert {file for file in documents.texts if file != "README.md"} <= reachable


def test_pictures_are_real_and_small() -> None:
    pictures = [*(ROOT / "docs" / "img").iterdir()]
    assert pictures
    for picture in pictures:
        content = picture.read_bytes()
        assert content.startswith(b"\x89PNG\r\n\x1a\n"), picture.name
        width, height = struct.unpack(">II", content[16:24])
        assert 400 <= width <= 2000, picture.name
        assert 300 <= height <= 2000, picture.name
        assert len(content) < 200_000, picture.name


def test_lines_are_readable(documents: Documents) -> None:
    """Wrapped at 120 but for tables and links, so that a diff shows what changed."""
    for file in documents.texts:
        if file == "docs/metrics.md":  # generated
            continue
        for line in documents.prose(file).splitlines():
            assert len(line) <= 120 or line.startswith(("|", "![")), f"{file}: {line}"


def test_what_comes_after_an_incident_has_its_five_parts(documents: Documents) -> None:
    headings = re.findall(r"^## \d\. (.+)$", documents.texts["docs/postmortem.md"], re.MULTILINE)
    assert headings == ["Timeline", "Impact", "Root cause", "Actions", "Follow-up"]
