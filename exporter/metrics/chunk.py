"""What is kept of one collector's answer about one source: families as lines, and when they are due."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Final, cast

from exporter.domain import Histogram
from exporter.metrics.exposition import annotate, body, prefixes, texts
from exporter.metrics.exposure import Exposure
from exporter.metrics.family import Families, Family, Sample, View
from exporter.snapshot import Part, PartKey, Snapshot

NEVER: Final = float("inf")


class Piece:
    """One family's lines of one source, in each format once it is asked for.

    The label strings outlive the values: as long as the series are the same ones only the values are printed
    again.
    """

    __slots__ = ("_before", "_openmetrics", "_plain", "_samples", "_series", "family", "pending")

    def __init__(self, family: Family) -> None:
        self.family = family
        #: Keys of the series that are shown as 0 until a scrape has been served.
        self.pending: tuple[str, ...] = ()
        self._series: list[tuple[str, ...]] = []
        self._before: tuple[str, ...] = ()
        self._samples: list[Sample] = []
        self._plain: bytes | None = None
        self._openmetrics: bytes | None = None

    def update(self, family: Family, samples: list[Sample], exposure: Exposure) -> None:
        """Take the latest samples (at least one)."""
        series = [labels for labels, _ in samples]
        known = series == self._series and (family is self.family or family == self.family)
        if not known:
            self.family, self._series, self._before = family, series, prefixes(family, series)
        # Once all of these series are exposed they stay so, and need not be looked up one by one.
        if family.gated and (self.pending or not known):
            samples, self.pending = exposure.gate(family, samples)
        self._samples, self._plain, self._openmetrics = samples, None, None

    def lines(self, *, openmetrics: bool) -> bytes:
        """The sample lines in one format."""
        made = self._openmetrics if openmetrics else self._plain
        return self._make(openmetrics=openmetrics) if made is None else made

    def _make(self, *, openmetrics: bool) -> bytes:
        values = texts(self.family, self._samples)
        if not self._exemplars():
            self._plain = self._openmetrics = made = body(self._before, values)
            self._samples = []
        elif openmetrics:
            annotate(self._samples, values)
            self._openmetrics = made = body(self._before, values)
        else:
            self._plain = made = body(self._before, values)
        return made

    def _exemplars(self) -> bool:
        """Whether the two formats differ."""
        if self.family.kind != "histogram":
            return False
        return any(any(cast(Histogram, value).exemplars) for _, value in self._samples)


class Chunk:
    """A collector's pieces for one source, by family name in the order in which the collector gave them.

    ``expires`` is when (monotonic clock) the first of its parts grows stale and its gauges must go.
    """

    __slots__ = ("_collect", "_generation", "_keys", "_seen", "_source", "expires", "pieces")

    def __init__(self, collect: Callable[[View], Families], inputs: tuple[PartKey, ...], source: str) -> None:
        self._collect = collect
        self._source = source
        self._keys = inputs
        self._seen: list[Part | None] | None = None
        self._generation = -1
        self.expires = NEVER
        self.pieces: dict[str, Piece] = {}

    def refresh(self, snapshot: Snapshot, now: float, exposure: Exposure) -> bool:
        """Collect again if a part is new or grew stale, or a series may now show its value; whether so."""
        parts = [*map(snapshot.parts.get, self._keys)]
        # By identity: comparing two parts would compare their whole values.
        same = self._seen is not None and all(map(operator.is_, parts, self._seen))
        if same and now <= self.expires and not self._released(exposure):
            return False
        known = {p.collector: p for p in parts if p is not None and p.value is not None}
        stale = frozenset(name for name, p in known.items() if not p.fresh(now))
        generation = exposure.generation
        self._replace(self._collect(View(self._source, known, stale)), exposure)
        self.expires = min((_expiry(p) for name, p in known.items() if name not in stale), default=NEVER)
        self._seen, self._generation = parts, generation  # last: who raised is asked again
        return True

    def _released(self, exposure: Exposure) -> bool:
        return self._generation != exposure.generation and any(p.pending for p in self.pieces.values())

    def _replace(self, families: Families, exposure: Exposure) -> None:
        merged: dict[str, tuple[Family, list[Sample]]] = {}
        for family, samples in families:
            merged.setdefault(family.name, (family, []))[1].extend(samples)
        pieces: dict[str, Piece] = {}
        for name, (family, samples) in merged.items():
            if samples:
                pieces[name] = self.pieces.get(name) or Piece(family)
                pieces[name].update(family, samples, exposure)
        self.pieces = pieces


def _expiry(part: Part) -> float:
    return NEVER if part.collected_mono is None else part.collected_mono + part.staleness


class SnapshotChunk(Chunk):
    """The pieces of a collector that reads the whole snapshot: made again with every publication."""

    __slots__ = ("_collect_snapshot", "_version")

    def __init__(self, collect: Callable[[Snapshot], Families]) -> None:
        super().__init__(lambda _: iter(()), (), "")
        self._collect_snapshot = collect
        self._version = -1

    def refresh(self, snapshot: Snapshot, now: float, exposure: Exposure) -> bool:  # noqa: ARG002
        """Collect again if anything was published, or a series may now show its value; whether so."""
        if snapshot.version == self._version and not self._released(exposure):
            return False
        generation = exposure.generation
        self._replace(self._collect_snapshot(snapshot), exposure)
        self._version, self._generation = snapshot.version, generation
        return True
