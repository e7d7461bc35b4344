"""Packs on a real database without the sidecar round them: files, collectors, a ledger."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from exporter.config.model import Config, Counting, Dsn, Duration, Limits, PackUse, PostgresStore
from exporter.domain import Histogram
from exporter.instruments import QueryInstruments
from exporter.ledger.ledger import Ledger
from exporter.metrics.names import ours
from exporter.packs.answer import PackAnswer
from exporter.packs.chosen import Packs
from exporter.packs.load import load_packs
from exporter.poller import Collected
from exporter.snapshot import Hub
from exporter.stores.postgres import Store

NAME = "main"


def config_of(
    dsn: str, *packs: str | PackUse, budget: int = 500, timeout: float = 20, late_window: float = 30
) -> Config:
    """A configuration of one store without a scheduler, and packs."""
    counting = Counting(late_window=Duration(late_window))
    store = PostgresStore(
        name=NAME, dsn=Dsn(dsn), profile="none", timeout=Duration(timeout), staleness=Duration(600), counting=counting
    )
    return Config(stores=(store,), packs=packs, limits=Limits(series_per_metric=budget))


def write(directory: Path, text: str | Mapping[str, Any], name: str = "queries.yaml") -> str:
    """A pack's file; returns what a configuration in that directory calls it."""
    directory.joinpath(name).write_text(text if isinstance(text, str) else yaml.safe_dump(dict(text), sort_keys=False))
    return f"./{name}"


def load(config: Config, directory: Path) -> Packs:
    """The packs of a configuration in that directory."""
    return load_packs(config, directory, ours())


class Asked:
    """The packs of one store, asked by hand through the poller's boundary. A restart keeps the state file."""

    def __init__(self, config: Config, directory: Path) -> None:
        self._config = config
        self._directory = directory
        self._runner = asyncio.Runner()
        self.start()

    def start(self) -> None:
        """Begin, as a started process does."""
        self.hub = Hub()
        self._ledger = Ledger(str(self._directory / "state"), budget=self._config.limits.series_per_metric)
        self._runner.run(self._ledger.__aenter__())
        budget = self._config.limits.series_per_metric
        self._store = Store(
            self._config.stores[0], ledger=self._ledger, hub=self.hub, instruments=QueryInstruments(), budget=budget
        )
        packs = load(self._config, self._directory)
        found = packs.collectors(self._store.beside(), self._ledger, self.hub, budget)
        self.collectors = {collector.name: collector for collector in found}

    def ask(self, query: str, pack: str = "queries") -> PackAnswer | None:
        """One query's answer, read to its end; an error goes on to the caller."""
        while True:
            collected: Collected = self._runner.run(self.collectors[f"pack:{pack}:{query}"].collect())
            if not collected.more:
                answer: PackAnswer | None = collected.value
                return answer

    def stop(self) -> None:
        """End as kill -9 does: nothing is written any more."""
        self._runner.run(self._store.close())
        self._runner.run(self._ledger.__aexit__())

    def restart(self) -> None:
        """End, and begin again on the same state file."""
        self.stop()
        self.start()

    def close(self) -> None:
        """End, and give everything back."""
        self.stop()
        self._runner.close()


def values(answer: PackAnswer | None, metric: str) -> dict[tuple[str, ...], float | Histogram]:
    """A metric's samples by label values."""
    assert answer is not None
    [shown] = [shown for shown in answer.shown if shown.name == metric]
    return dict(shown.samples)


def own(sql: str, metrics: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """A file of our own form with one query, ``q``."""
    return {"queries": {"q": {"sql": sql, "metrics": dict(metrics), **more}}}


def gauge(labels: Sequence[str] = ()) -> dict[str, Any]:
    """A gauge of our own form."""
    return {"type": "gauge", "help": "A value.", "value": "v", "labels": list(labels)}
