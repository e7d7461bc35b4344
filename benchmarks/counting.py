"""The part of the sidecar that counts, driven by hand: each ``poll`` is one poll of finished executions."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import structlog

from exporter.config.model import Counting, Duration, PostgresStore
from exporter.domain import Counts
from exporter.instruments import QueryInstruments
from exporter.ledger.ledger import Ledger
from exporter.poller import Collected
from exporter.snapshot import Hub
from exporter.stores import catalog, recognition
from exporter.stores.credentials import StoreCredentials
from exporter.stores.postgres import Store
from exporter.stores.session import Session

BUDGET = 500


class Counter:
    """A store and its ledger, without the clock."""

    def __init__(self, dsn: str, state: Path, *, late_window: float) -> None:
        self._runner = asyncio.Runner()
        self._ledger = Ledger(str(state), budget=BUDGET)
        self._runner.run(self._ledger.__aenter__())
        window = Counting(late_window=Duration(late_window))
        config = PostgresStore(name="main", dsn=dsn, profile="native", counting=window)  # type: ignore[arg-type]
        self._store = Store(config, ledger=self._ledger, hub=Hub(), instruments=QueryInstruments(), budget=BUDGET)
        self._executions = next(c for c in self._store.collectors() if c.name == "executions")

    def poll(self) -> Counts:
        """One poll, and whatever more it says is waiting."""
        while True:
            result = self._runner.run(self._collect())
            if not result.more:
                counts: Counts = result.value.counts
                return counts

    async def _collect(self) -> Collected:
        return await self._executions.collect()

    def close(self) -> None:
        """End it, with its connections."""
        self._runner.run(self._store.close())
        self._runner.run(self._ledger.__aexit__())
        self._runner.close()


@contextlib.contextmanager
def counter(dsn: str, state: Path, *, late_window: float) -> Iterator[Counter]:
    """A counter that is closed at the end."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    made = Counter(dsn, state, late_window=late_window)
    try:
        yield made
    finally:
        made.close()


def plan(dsn: str, low: float, high: float) -> dict[str, Any]:
    """EXPLAIN (ANALYZE, BUFFERS) of a poll's reading of (low, high], under the settings of a poll."""

    async def explain() -> dict[str, Any]:
        config = PostgresStore(name="plans", dsn=dsn, profile="native")  # type: ignore[arg-type]
        session = Session("plans", StoreCredentials(config), 60.0, QueryInstruments())
        try:
            async with session.transaction() as transaction:
                profile = (await recognition.resolve(transaction, config)).profile
                wrapped = await catalog.wrap(transaction, profile)
                statement = f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {wrapped.finished()}"
                found = (await transaction.fetch("explain", statement, low, high))[0][0]
        finally:
            await session.close()
        parsed: dict[str, Any] = (json.loads(found) if isinstance(found, str) else found)[0]["Plan"]
        return parsed

    return asyncio.run(explain())


def scans(node: dict[str, Any]) -> list[str]:
    """How a plan reaches its tables: the type of each scan, with its index or table."""
    own = [f"{node['Node Type']} {node.get('Index Name') or node.get('Relation Name') or ''}".strip()]
    below = [scan for child in node.get("Plans", ()) for scan in scans(child)]
    return (own if "Scan" in node["Node Type"] else []) + below
