"""Which counters and histograms were shown: a series begins with 0, so that a first failure is an increase.

Belongs here: which series still stay 0, and remembering those that need not. Does not: bytes
(``exposition``), where the memory is kept (the ledger, by way of ``persist``).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Final

from exporter.domain import Histogram
from exporter.errors import ExporterError
from exporter.metrics.family import Family, Sample

Persist = Callable[[list[str]], Awaitable[None]]
_SEPARATOR: Final = "\x1f"


class Exposure:
    """Holds back a new series' value until one scrape has shown the series as 0.

    A series' key is its family's name and label values in the family's order, with U+001F between.
    ``persisted`` are the keys that earlier processes persisted; ``persist`` stores keys so that they outlive
    a kill -9, twice the same without harm, and raises ExporterError or OSError when it cannot. Once exposed,
    a series stays so: one that vanishes and returns does not go back to 0. Without ``persist`` memory alone
    is kept.
    """

    def __init__(self, persisted: Iterable[str] = (), persist: Persist | None = None) -> None:
        self._exposed = set(persisted)
        self._persist = persist
        self._durable: set[str] = set()
        #: Grows whenever a series may show its value that might not before.
        self.generation = 0

    def gate(self, family: Family, samples: list[Sample]) -> tuple[list[Sample], tuple[str, ...]]:
        """``samples`` with 0 in place of what may not be shown yet, and the keys of those series."""
        if family.persistent:
            self._durable.add(family.name)
        zero = Histogram((0,) * (len(family.buckets) + 1), 0.0) if family.kind == "histogram" else 0.0
        shown: list[Sample] = []
        pending: list[str] = []
        for sample in samples:
            key = _SEPARATOR.join((family.name, *sample[0]))
            if key in self._exposed:
                shown.append(sample)
            else:
                shown.append((sample[0], zero))
                pending.append(key)
        return shown, tuple(pending)

    def restart(self, persisted: Iterable[str]) -> None:
        """Another memory than before: of the persistent families' series only these were shown."""
        kept = {key for key in self._exposed if key.partition(_SEPARATOR)[0] not in self._durable}
        self._exposed = kept | set(persisted)
        self.generation += 1

    async def served(self, pending: Iterable[str]) -> None:
        """A response with these series as 0 has been written: from now on they show their value.

        Those of persistent families are persisted first. Where that fails they stay 0 and are tried again
        with the next scrape; the ledger reports its own failures, so nothing is said here.
        """
        new = [key for key in pending if key not in self._exposed]
        durable = [key for key in new if key.partition(_SEPARATOR)[0] in self._durable]
        if durable and self._persist is not None:
            try:
                await self._persist(durable)
            except (ExporterError, OSError):
                held = set(durable)
                new = [key for key in new if key not in held]
        if new:
            self._exposed.update(new)
            self.generation += 1
