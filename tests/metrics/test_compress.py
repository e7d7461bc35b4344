"""Segments in a row are one gzip member, whatever changed between two pages."""

from __future__ import annotations

import gzip
import shutil
import subprocess
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.metrics import compress
from exporter.metrics.compress import Compressor, Run

lines = st.binary(max_size=40).map(lambda line: line * 400)
pages = st.lists(st.lists(lines, max_size=4), max_size=6)


def runs(page: list[list[bytes]]) -> list[Run]:
    return [((f"f{i}", 0), parts) for i, parts in enumerate(page)]


@given(st.lists(pages, min_size=1, max_size=4))
def test_every_version_of_a_page_is_one_member(versions: list[list[list[bytes]]]) -> None:
    compressor = Compressor()
    for page in versions:
        raw = b"".join(b"".join(parts) for parts in page)
        packed = compressor.page(runs(page))
        assert gzip.decompress(packed) == raw
        reader = zlib.decompressobj(31)
        assert reader.decompress(packed) == raw
        assert reader.eof
        assert reader.unused_data == b""


@pytest.mark.skipif(shutil.which("gzip") is None, reason="gzip is not installed")
def test_gzip_accepts_it() -> None:
    packed = Compressor().page(runs([[b"a" * 50_000], [b"b" * 10], [b"c" * 50_000]]))
    subprocess.run(["gzip", "-t"], input=packed, check=True)


def test_only_what_changed_is_compressed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    deflate = compress._deflate
    monkeypatch.setattr(compress, "_deflate", lambda raw: seen.append(len(raw)) or deflate(raw))
    compressor = Compressor()
    page = [[b"a" * 20_000], [b"b" * 30_000], [b"c" * 10], [b"d" * 40_000]]
    compressor.page(runs(page))
    assert seen == [20_000, 30_000, 40_010]
    page[1] = [b"e" * 5]  # smaller than a segment now, yet the others keep their cuts
    compressor.page(runs(page))
    assert seen[3:] == [5]
    page.insert(0, [b"z" * 17_000])
    compressor.page(runs(page))
    assert len(compressor._segments) == len(compressor._cuts)
