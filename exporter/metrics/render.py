"""The page that a scrape gets: kept as bytes, and made again only where a publication changed it.

Belongs here: which chunks are due, the page's order, its formats. Does not: what is measured (the
collectors), how a line looks (``exposition``), which series stay 0 (``exposure``).
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, Protocol, runtime_checkable

import msgspec

from exporter.metrics.chunk import NEVER, Chunk, Piece, SnapshotChunk
from exporter.metrics.compress import Compressor, Run
from exporter.metrics.exposition import EOF, header, select
from exporter.metrics.exposure import Exposure
from exporter.metrics.family import Families, Family, View
from exporter.snapshot import SEPARATOR, Hub, PartKey, Snapshot

#: Sources of one family that are compressed together: one target's check then costs its neighbours, not all
#: of them.
_RUN: Final = 128


class Collector(Protocol):
    """A module that turns the parts of one source into families; ``exporter.metrics`` says how it is made."""

    @property
    def SCOPE(self) -> str: ...  # noqa: N802
    @property
    def INPUTS(self) -> tuple[str, ...]: ...  # noqa: N802
    def collect(self, view: View, /) -> Families: ...


@runtime_checkable
class SnapshotCollector(Protocol):
    """A module that turns the whole snapshot into families."""

    def collect_snapshot(self, snapshot: Snapshot, /) -> Families: ...


AnyCollector = Collector | SnapshotCollector
Sources = Callable[[], Mapping[str, Sequence[str]]]


class Page(msgspec.Struct, frozen=True):
    """A response's body, and the keys of the series that it shows as 0 because they are new."""

    body: bytes
    pending: tuple[str, ...] = ()


def _inputs(module: Collector, source: str) -> tuple[PartKey, ...]:
    """The parts that a collector reads of a source. Without INPUTS the source names its one part."""
    if module.INPUTS:
        return tuple((name, source) for name in module.INPUTS)
    collector, _, of = source.partition(SEPARATOR)
    return ((collector, of),)


class Renderer:
    """Renders the hub's current snapshot. One thread: the event loop's.

    ``sources`` names, in order, what each scope consists of: ``{"store": [...], "connection": [...],
    "pack": [...], "dependency": [...], "process": [""]}``; it is asked at every scrape. A collector's exception is not
    caught here: a scrape that fails is seen by Prometheus at once, a family that is missing is not.
    """

    def __init__(
        self,
        hub: Hub,
        collectors: Iterable[AnyCollector],
        *,
        sources: Sources,
        exposure: Exposure,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._hub = hub
        self._collectors = tuple(collectors)
        self._sources = sources
        self._exposure = exposure
        self._clock = clock
        self._names: dict[str, tuple[str, ...]] | None = None
        self._chunks: dict[tuple[int, str], Chunk] = {}
        self._state: tuple[int, int] | None = None
        self._expires = NEVER
        self._groups: dict[str, tuple[Family, list[Piece]]] | None = None
        self._pages: dict[tuple[bool, bool], Page] = {}
        self._compressors = {False: Compressor(), True: Compressor()}

    def render(self, *, openmetrics: bool, gzip: bool, names: frozenset[str] | None = None) -> Page:
        """The page in one format; with ``names`` only the families, or samples, so called.

        Once the response has been written, tell ``served``; not after HEAD, not after a failed write.
        """
        self._refresh()
        if names is not None:
            return self._selected(names, openmetrics=openmetrics, gzip=gzip)
        page = self._pages.get((openmetrics, gzip))
        if page is None:
            page = self._pages[openmetrics, gzip] = self._assemble(openmetrics=openmetrics, gzip=gzip)
        return page

    async def served(self, page: Page) -> None:
        """``page`` reached its reader: its new series show their values from the next scrape on."""
        if page.pending:
            await self._exposure.served(page.pending)

    def restart(self) -> None:
        """Ask every collector, and the exposure about every series, as if nothing had been shown yet."""
        self._names, self._chunks = None, {}

    def _refresh(self) -> None:
        """Bring every chunk up to the current snapshot, the clock and the exposed series."""
        now = self._clock()
        names = {scope: tuple(found) for scope, found in self._sources().items()}
        snapshot = self._hub.current
        state = snapshot.version, self._exposure.generation
        moved = names != self._names
        if state == self._state and not moved and now <= self._expires:
            return
        if moved:
            self._names, self._chunks = names, self._arrange(names)
        changed = moved
        expires = NEVER
        for chunk in self._chunks.values():
            changed |= chunk.refresh(snapshot, now, self._exposure)
            expires = min(expires, chunk.expires)
        # Only now: a collector that raised leaves the state as it was, so that the next scrape tries again.
        self._state, self._expires = state, expires
        if changed:
            self._groups = None
            self._pages.clear()

    def _arrange(self, names: Mapping[str, Sequence[str]]) -> dict[tuple[int, str], Chunk]:
        """A chunk for each collector and source, in their order; those that exist are kept."""
        chunks: dict[tuple[int, str], Chunk] = {}
        for i, module in enumerate(self._collectors):
            if isinstance(module, SnapshotCollector):
                chunks[i, ""] = self._chunks.get((i, "")) or SnapshotChunk(module.collect_snapshot)
                continue
            for source in names.get(module.SCOPE, ()):
                known = self._chunks.get((i, source))
                chunks[i, source] = known or Chunk(module.collect, _inputs(module, source), source)
        return chunks

    def _grouped(self) -> dict[str, tuple[Family, list[Piece]]]:
        """Every family with its pieces of all sources: the formats want a family's lines together."""
        if self._groups is None:
            groups: dict[str, tuple[Family, list[Piece]]] = {}
            for chunk in self._chunks.values():
                for name, piece in chunk.pieces.items():
                    group = groups.get(name)
                    if group is None:
                        groups[name] = piece.family, [piece]
                    else:
                        group[1].append(piece)
            self._groups = groups
        return self._groups

    def _assemble(self, *, openmetrics: bool, gzip: bool) -> Page:
        runs: list[Run] = []
        pending: list[str] = []
        for name, (family, pieces) in self._grouped().items():
            parts = [header(family, openmetrics=openmetrics)]
            parts += [piece.lines(openmetrics=openmetrics) for piece in pieces]
            runs += [((name, i), parts[i : i + _RUN]) for i in range(0, len(parts), _RUN)]
            pending += [key for piece in pieces for key in piece.pending]
        if openmetrics:
            runs.append((("", 0), [EOF]))
        if gzip:
            return Page(self._compressors[openmetrics].page(runs), tuple(pending))
        return Page(b"".join([part for _, run in runs for part in run]), tuple(pending))

    def _selected(self, names: frozenset[str], *, openmetrics: bool, gzip: bool) -> Page:
        parts: list[bytes] = []
        pending: list[str] = []
        for family, pieces in self._grouped().values():
            lines = select(family, b"".join([p.lines(openmetrics=openmetrics) for p in pieces]), names)
            if lines:
                parts += (header(family, openmetrics=openmetrics), lines)
                # A part of a histogram counts as shown: a scraper that asks for no more would never see its
                # values.
                pending += [key for piece in pieces for key in piece.pending]
        if openmetrics:
            parts.append(EOF)
        body = b"".join(parts)
        return Page(zlib.compress(body, 1, 31) if gzip else body, tuple(pending))
