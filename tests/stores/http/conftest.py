"""Stores over HTTP, polled once each as the sidecar would, against a server on a socket."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from support.exposition import Metrics
from support.monitoring_apis import MonitoringApi

from exporter.config.base import Duration
from exporter.config.model import ChronosStore, HttpStore, NativelinkStore
from exporter.config.secrets import Secret
from exporter.domain import StoreSettings
from exporter.instruments import RequestInstruments
from exporter.metrics import COLLECTORS
from exporter.metrics.exposure import Exposure
from exporter.metrics.render import Renderer
from exporter.poller import Collector, Poller
from exporter.snapshot import Hub, Part
from exporter.stores.http.kinds import open_api
from exporter.stores.http.store import ApiStore

NAME = "main"
KINDS: dict[str, type[HttpStore]] = {"chronos": ChronosStore, "nativelink": NativelinkStore}


async def reveal(secret: Secret) -> str:
    return secret.reveal()


class Polled:
    """A store, and what the snapshot has of it."""

    def __init__(self, kind: str, url: str, **options: Any) -> None:
        options.setdefault("timeout", Duration(60))  # no deadline of the machine's
        reader = options.pop("reveal", reveal)
        self.config: Any = KINDS[kind](name=NAME, kind=kind, url=url, **options)
        self.hub = Hub()
        self.instruments = RequestInstruments()
        self.poller = Poller(self.hub)
        self.store: ApiStore = open_api(self.config, hub=self.hub, reveal=reader, instruments=self.instruments)
        settings = StoreSettings(series_per_metric=500, profile=kind)
        self.hub.publish(
            Part(
                collector="settings", source=NAME, value=settings, success=True, collected_at=time.time(),
                collected_mono=time.monotonic(), duration=0.0, interval=15.0, staleness=float("inf"),
            )
        )  # fmt: skip

    @property
    def collectors(self) -> dict[str, Collector]:
        return {collector.name: collector for collector in self.store.collectors()}

    async def poll(self, *names: str) -> None:
        """Ask each question (of these names) at least once more."""
        wanted = [c for c in self.collectors.values() if not names or c.name in names]
        before = {c.name: self.hub.current.part(c.name, NAME) for c in wanted}
        tasks = [asyncio.create_task(self.poller.run(collector)) for collector in wanted]
        try:
            async with asyncio.timeout(120):
                for name, part in before.items():
                    while self.hub.current.part(name, NAME) is part:  # noqa: ASYNC110 - the hub tells nobody
                        await asyncio.sleep(0.005)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def value(self, collector: str) -> Any:
        part = self.hub.current.part(collector, NAME)
        return None if part is None else part.value

    def error(self, collector: str) -> str | None:
        part = self.hub.current.part(collector, NAME)
        assert part is not None, f"{collector} was never asked"
        return part.error

    def errors(self) -> dict[str, str]:
        return {name: part.error for (name, _), part in self.hub.current.parts.items() if part.error is not None}

    def metrics(self) -> Metrics:
        sources = {"store": (NAME,), "connection": (), "dependency": (), "process": ()}
        renderer = Renderer(self.hub, COLLECTORS, sources=lambda: sources, exposure=Exposure())
        return Metrics(renderer.render(openmetrics=False, gzip=False).body.decode())

    def results(self) -> dict[tuple[str, str], float]:
        """Requests by endpoint and result."""
        return {
            (s.labels["endpoint"], s.labels["result"]): s.value
            for family in self.instruments.registry.collect()
            for s in family.samples
            if s.name.endswith("_total")
        }


@pytest.fixture
def polled() -> Any:
    """Makes a store of a served API: ``polled(kind, api, **options)``."""

    def make(kind: str, api: MonitoringApi | str, **options: Any) -> Polled:
        return Polled(kind, api if isinstance(api, str) else api.url, **options)

    return make
