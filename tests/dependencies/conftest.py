"""Dependencies that are checked in this process, by the very objects that the program has."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import pytest
import trustme

from exporter.config.model import AnyDependency, Duration
from exporter.connections.resolve import Resolver
from exporter.dependencies import Dependencies, DependencyState
from exporter.poller import Poller
from exporter.snapshot import Hub
from exporter.vault.references import Secrets

#: What all have here unless a test says otherwise.
QUICK = {"interval": Duration(0.1), "timeout": Duration(30)}
Check = Callable[[DependencyState], object]
HOST = "127.0.0.1"


@dataclass
class Watching:
    """What runs, and what it has published."""

    dependencies: Dependencies
    hub: Hub

    def state(self, name: str) -> DependencyState:
        return self.dependencies.states[name]

    async def until(
        self, name: str, check: Callable[[DependencyState], object], seconds: float = 60
    ) -> DependencyState:
        """The first state of which ``check`` holds; AssertionError with the last one."""
        try:
            async with asyncio.timeout(seconds):
                while not check(self.state(name)):  # noqa: ASYNC110 - the hub has no event
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise AssertionError(f"not within {seconds:g} s; last: {self.state(name)}") from None
        return self.state(name)

    async def checked(self, name: str) -> DependencyState:
        """The state after its first check."""
        return await self.until(name, lambda state: state.result is not None)

    async def again(self, name: str, times: int = 2) -> DependencyState:
        """The state after so many more checks: the last of them began after now."""
        for _ in range(times):
            before = self.state(name).last_check
            await self.until(name, lambda state, before=before: state.last_check != before)  # type: ignore[misc]
        return self.state(name)


@contextlib.asynccontextmanager
async def watching(
    *configs: AnyDependency, secrets: Secrets | None = None, resolver: Resolver | None = None
) -> AsyncIterator[Watching]:
    """Check these until the block ends."""
    hub = Hub()
    poller = Poller(hub)
    dependencies = Dependencies(poller, secrets or Secrets(), resolver)
    await dependencies.configure(configs)
    task = asyncio.create_task(dependencies.run())
    try:
        yield Watching(dependencies, hub)
    finally:
        task.cancel()
        await asyncio.wait([task])
    assert list(poller.crashes) == []


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def ca_file(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return str(path)
