"""The stores that are being asked: what each is asked through, and the task that does it."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Final

from exporter.config.model import AnyStore, Config, PostgresStore
from exporter.config.profile import Profile
from exporter.config.unasked import left_open
from exporter.connections.roster import Roster
from exporter.errors import ActionConflict, ConfigError, ProfileError
from exporter.instruments import QueryInstruments, RequestInstruments
from exporter.ledger.ledger import Ledger
from exporter.metrics.names import ours
from exporter.packs.answer import is_pack
from exporter.packs.chosen import Packs
from exporter.poller import Poller, run_all
from exporter.snapshot import NOT_OF_STORES, Hub
from exporter.stores.asked import StoreReads
from exporter.stores.connections import StoreConnections, Visitor
from exporter.stores.postgres import Store
from exporter.stores.profile import names
from exporter.stores.recognition import chosen
from exporter.stores.trigger import JobTrigger
from exporter.vault.references import Secrets

if TYPE_CHECKING:
    from exporter.stores.http.store import ApiStore

#: The name that switches all packs off.
PACKS: Final = "packs"


def look_up(config: Config, file: Path) -> Packs:
    """The packs that a configuration names, whose files are looked for beside it; its stores' profiles are known.

    Raises ConfigError with every name that nothing has, and every fault of a pack's file. What Vault was not asked for
    is not judged.
    """
    problems: list[str] = []
    for index, store in enumerate(config.stores):
        if isinstance(store, PostgresStore) and store.profile != "auto" and not any(left_open(store)):
            try:
                chosen(store)
            except ProfileError as error:
                key = "parameters" if isinstance(store.profile, Profile) or store.profile in names() else "profile"
                problems.append(f"{file}: stores[{index}].{key}: {error}")
    packs = Packs({}, {})
    if config.packs and not any(left_open((config.packs, *(getattr(store, "name", store) for store in config.stores)))):
        from exporter.packs.load import load_packs  # noqa: PLC0415 - memory for its users alone

        try:
            packs = load_packs(config, file.parent, ours(), filename=str(file))
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(problems)
    return packs


class OpenStores:
    """Opens stores, each with a task in a group, and shuts them. What they say goes to ``hub``."""

    def __init__(
        self,
        *,
        hub: Hub,
        poller: Poller,
        ledger: Ledger,
        queries: QueryInstruments,
        requests: RequestInstruments,
        secrets: Secrets,
        roster: Roster,
        disabled: Collection[str],
        share: str,
        packs: Packs,
    ) -> None:
        self._hub = hub
        self._packs = packs
        self._poller = poller
        self._ledger = ledger
        self._queries = queries
        self._requests = requests
        self._secrets = secrets
        self._roster = roster
        self._disabled = disabled
        self._share = share
        self._stores: dict[str, tuple[Store | Visitor | ApiStore, asyncio.Task[None]]] = {}

    def __contains__(self, name: object) -> bool:
        return name in self._stores

    @property
    def tasks(self) -> list[asyncio.Task[None]]:
        """The tasks that ask."""
        return [task for _, task in self._stores.values()]

    def open(self, config: AnyStore, whole: Config, group: asyncio.TaskGroup, *, polled: bool, lists: bool) -> None:
        """Ask a store from now on. ``polled``: its executions too; ``lists``: which connections it has."""
        store = self._made(config, whole, polled=polled, lists=lists)
        wanted = [c for c in store.collectors() if c.name not in self._disabled]
        if isinstance(store, Store) and PACKS not in self._disabled:
            wanted += self._packs.collectors(store.beside(), self._ledger, self._hub, whole.limits.series_per_metric)
        task = group.create_task(run_all(self._poller, wanted), name=f"store {config.name}")
        self._stores[config.name] = (store, task)

    def _made(self, config: AnyStore, whole: Config, *, polled: bool, lists: bool) -> Store | Visitor | ApiStore:
        if not isinstance(config, PostgresStore):
            from exporter.stores.http.kinds import open_api  # noqa: PLC0415 - memory for its users alone

            return open_api(config, hub=self._hub, reveal=self._secrets.value, instruments=self._requests)
        return self._polled(config, whole, lists=lists) if polled else self._visited(config, whole)

    def _polled(self, config: PostgresStore, whole: Config, *, lists: bool) -> Store:
        writes = whole.connections.write_status
        connections = StoreConnections(config, self._roster, writes=writes, share=self._share) if lists else None
        return Store(
            config,
            ledger=self._ledger,
            hub=self._hub,
            instruments=self._queries,
            budget=whole.limits.series_per_metric,
            retention=whole.retention,
            secrets=self._secrets,
            connections=connections,
        )

    def _visited(self, config: PostgresStore, whole: Config) -> Visitor:
        writes = whole.connections.write_status
        return Visitor(config, self._secrets, self._roster, self._queries, writes=writes, share=self._share)

    @property
    def packs(self) -> Packs:
        """What is asked beside the stores' profiles, of those that are opened from now on."""
        return self._packs

    @packs.setter
    def packs(self, packs: Packs) -> None:
        self._packs = packs
        packs.withdraw(self._hub)

    async def shut(self, name: str) -> None:
        """Ask a store no longer, and end its connections."""
        store, task = self._stores.pop(name)
        task.cancel()
        await asyncio.wait([task])
        await store.close()

    async def close(self) -> None:
        """Shut all of them."""
        for name in list(self._stores):
            await self.shut(name)

    def forget(self, name: str) -> None:
        """A store left the configuration: nothing is shown of it any more."""
        self.withdraw(name)
        self._queries.forget(name)
        self._requests.forget(name)

    def withdraw(self, name: str, keep: Collection[str] = ()) -> None:
        """Show nothing of a store but the parts in ``keep``."""
        for collector, source in list(self._hub.current.parts):
            if source == name and collector not in (*NOT_OF_STORES, *keep):
                self._hub.withdraw(name, collector)

    def withdraw_counts(self, name: str) -> None:
        """Show nothing of what was counted of a store."""
        for collector, source in list(self._hub.current.parts):
            if source == name and (collector == "executions" or is_pack(collector)):
                self._hub.withdraw(name, collector)

    def reads(self, name: str) -> StoreReads | None:
        """What requests ask of a store; None where it is not polled here."""
        return self._stores[name][0].reads if name in self._stores else None

    def trigger(self, name: str) -> JobTrigger | None:
        """How a store's jobs are triggered; None where it is not polled here. ActionConflict where they cannot be."""
        store = self._stores[name][0] if name in self._stores else None
        if store is not None and not isinstance(store, Store | Visitor):
            raise ActionConflict(f"store {name}: the scheduler's monitoring API triggers no jobs")
        return store.trigger if isinstance(store, Store) else None
