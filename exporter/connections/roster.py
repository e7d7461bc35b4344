"""Which targets there are: those of the configuration and those that stores list, without collisions, of this shard.

Belongs here: which of two of one name is meant, how long rows outlive their store's silence, whose results are whose.
Does not: reading stores (``stores``), what one row becomes (``listed``), checking (``manager``).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import Final, Protocol

import msgspec
import structlog
from msgspec.structs import replace

from exporter.config.model import Connections, Target
from exporter.connections.listed import RowError, target_of
from exporter.connections.results import ConnectionState
from exporter.directory import ConnectionStatus, StoreConnection

log = structlog.get_logger(component="connections")

#: Seconds for which the rows of a store that does not answer are still checked.
KEPT: Final = 86_400.0
#: So many of a store's remarks are logged one by one.
REMARKS_SHOWN: Final = 10


class Manager(Protocol):
    """Who checks the targets: ``ConnectionManager``."""

    @property
    def states(self) -> Mapping[str, ConnectionState]:
        """The current state of each target by name."""

    async def apply(self, config: Connections) -> None:
        """Check these targets from now on."""


class Merged(msgspec.Struct):
    """All targets by name; which rows they are: name -> (store, id there); remarks: store -> id -> text.

    ``configured`` are the names of the configuration's own; one of them may be a row too, that of the same server.
    """

    targets: dict[str, Target]
    configured: frozenset[str]
    origins: dict[str, tuple[str, int | str]] = msgspec.field(default_factory=dict)
    remarks: dict[str, dict[str, str]] = msgspec.field(default_factory=dict)


def merge(config: Connections, rows: Mapping[str, Sequence[StoreConnection]]) -> Merged:
    """The targets of the configuration, then those of ``rows``, store by store.

    A row named as a target of the configuration is checked as that says; the result is the row's if the server is. Of
    several rows with one name the first keeps it, another is called "NAME (STORE/ID)". Where an id is taken, a row's
    name is its id.
    """
    targets = {target.name: target for target in config.targets}
    merged = Merged(targets, frozenset(targets))
    ids = {str(target.name if target.id is None else target.id) for target in config.targets}
    for store, connections in rows.items():
        remarks = merged.remarks.setdefault(store, {})
        for row in connections:
            try:
                target, remark = _distinct(target_of(store, row, config.store_targets), store, merged)
            except RowError as error:
                remarks[str(row.id)] = f"not checked: {error}"
                continue
            if str(row.id) in ids:
                target = replace(target, id=target.name)
                remark = remark or f"known in JSON by its name, {target.name!r}: its id is another target's"
            if remark:
                remarks[str(row.id)] = remark
            ids.add(str(target.id))
            merged.targets[target.name] = target
            merged.origins[target.name] = (store, row.id)
    return merged


def _distinct(target: Target, store: str, merged: Merged) -> tuple[Target, str | None]:
    """``target`` under a name of its own, and a remark if that is not the row's. Raises RowError."""
    name = target.name
    if name in merged.configured:
        if _place(merged.targets[name]) == _place(target):
            assert target.id is not None  # noqa: S101 - every row has one
            merged.origins.setdefault(name, (store, target.id))
        raise RowError(f"a target of the configuration has the name {name!r}, and says how it is checked")
    if name not in merged.targets:
        return target, None
    other = f"{name} ({store}/{target.id})"
    if other in merged.targets:
        raise RowError(f"another row has the id {target.id} and the name {name!r} too")
    return replace(target, name=other), f"checked as {other!r}: another row is named {name!r}"


def _place(target: Target) -> tuple[str, int | str, str]:
    return target.host, target.port, target.database


class Roster:
    """Keeps the manager's targets as the configuration and the stores have them; a ``directory.Directory``.

    ``stores`` are the names of the stores whose rows count, in the order in which they take precedence; ``owns`` tells
    whether a target (by name) is this shard's.
    """

    def __init__(
        self,
        manager: Manager,
        config: Connections,
        stores: Sequence[str],
        *,
        owns: Callable[[str], bool] = lambda _: True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._manager = manager
        self._config = config
        self._stores = tuple(stores)
        self._owns = owns
        self._clock = clock
        self._rows: dict[str, tuple[StoreConnection, ...]] = {}
        self._answered: dict[str, float] = {}
        self._said: dict[str, dict[str, str]] = {}
        self._changed = asyncio.Event()
        self._applying = asyncio.Lock()
        self._merge()

    @property
    def connections(self) -> Connections:
        """The configuration's section with all targets of this shard."""
        return self._effective

    async def run(self) -> None:
        """Give the manager what stores list, as it changes, until cancelled."""
        while True:
            await self._changed.wait()
            await self._apply()

    async def configure(self, config: Connections, stores: Sequence[str]) -> None:
        """Take over a configuration; returns once its targets are in force."""
        self._config, self._stores = config, tuple(stores)
        for store in self._rows.keys() - set(stores):
            self.forget(store)
        self._merge()
        await self._apply()

    def forget(self, store: str) -> None:
        """Drop the rows of a store that is another one now, or that is gone."""
        self._answered.pop(store, None)
        if self._rows.pop(store, None):
            self._merge()

    def listed(self, store: str, connections: tuple[StoreConnection, ...]) -> None:
        """The rows that ``store`` has now."""
        self._answered[store] = self._clock()
        before = self._rows.get(store, ())
        if before != connections:
            self._rows[store] = connections
            self._merge()
            log.info("connections of the store changed", store=store, rows=len(connections),
                     new=len({row.id for row in connections} - {row.id for row in before}),
                     gone=len({row.id for row in before} - {row.id for row in connections}))  # fmt: skip

    def asked(self, store: str) -> None:
        """``store`` is about to be asked. After a day without an answer its rows are not checked any more."""
        answered = self._answered.get(store)
        if answered is not None and self._clock() - answered > KEPT:
            log.warning("store has not listed its connections for a day: they are not checked any more", store=store)
            self.forget(store)

    def checked(self, store: str) -> list[ConnectionStatus]:
        """The latest check of each row of ``store`` that is checked here."""
        states = self._manager.states
        found = []
        for name, (origin, row_id) in self._merged.origins.items():
            state = states.get(name) if origin == store else None
            result = state.result if state is not None else None
            if result is not None:
                facts = result.facts
                found.append(
                    ConnectionStatus(
                        connection_id=row_id,
                        is_healthy=result.is_healthy,
                        last_check=result.finished_at,
                        response_seconds=result.response_seconds,
                        server_version=facts.server_version if facts is not None else None,
                        error_message=result.error_message,
                        failed_stage=result.failed_stage,
                    )
                )
        return found

    def _merge(self) -> None:
        rows = {store: self._rows[store] for store in self._stores if store in self._rows}
        self._merged = merge(self._config, rows)
        targets = tuple(target for name, target in self._merged.targets.items() if self._owns(name))
        self._effective = replace(self._config, targets=targets)
        self._say()
        self._changed.set()

    async def _apply(self) -> None:
        async with self._applying:
            self._changed.clear()
            await self._manager.apply(self._effective)

    def _say(self) -> None:
        """Tell what became of rows that cannot be taken as they are: once, and again when that changes."""
        for store, remarks in self._merged.remarks.items():
            if remarks and remarks != self._said.get(store, {}):
                shown = dict(islice(remarks.items(), REMARKS_SHOWN))
                log.warning("connections of the store need a look", store=store, rows=len(remarks), by_id=shown)
        self._said = self._merged.remarks
