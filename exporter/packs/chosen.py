"""The packs in force: which queries are asked of which store."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from exporter.packs.answer import collector_name, is_pack
from exporter.snapshot import SEPARATOR, Hub

if TYPE_CHECKING:
    from exporter.ledger.ledger import Ledger
    from exporter.packs.model import Pack, Query
    from exporter.packs.names import Taken
    from exporter.poller import Collector
    from exporter.stores.beside import Beside


class Packs:
    """Store -> its packs. Equal when all files say the same."""

    def __init__(self, by_store: Mapping[str, tuple[Pack, ...]], taken: Mapping[str, Taken]) -> None:
        self._by_store = dict(by_store)
        self._taken = dict(taken)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Packs) and self._by_store == other._by_store

    __hash__ = None  # type: ignore[assignment]

    def __len__(self) -> int:
        return len({pack.name for packs in self._by_store.values() for pack in packs})

    def queries(self, store: str) -> Iterator[tuple[str, Query]]:
        """(pack, query) of a store."""
        for pack in self._by_store.get(store, ()):
            for query in pack.queries:
                yield pack.name, query

    def sources(self, stores: Iterable[str]) -> tuple[str, ...]:
        """What the renderer asks for one by one: collector and store, with U+001F between."""
        return tuple(
            f"{collector_name(pack, query.name)}{SEPARATOR}{store}"
            for store in stores
            for pack, query in self.queries(store)
        )

    def withdraw(self, hub: Hub) -> None:
        """Forget what queries told that are asked no longer."""
        kept = {tuple(source.split(SEPARATOR)) for source in self.sources(self._by_store)}
        for collector, store in list(hub.current.parts):
            if is_pack(collector) and (collector, store) not in kept:
                hub.withdraw(store, collector)

    def collectors(self, beside: Beside, ledger: Ledger, hub: Hub, budget: int) -> list[Collector]:
        """The queries of a store, as collectors."""
        store = beside.config.name
        asked = list(self.queries(store))
        if not asked:
            return []
        from exporter.packs import asking  # noqa: PLC0415 - memory for its users alone

        return asking.collectors(asked, beside, ledger, hub, budget=budget, taken=self._taken[store])
