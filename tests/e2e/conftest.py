"""Fixtures of the end-to-end tests: sidecars in processes of their own, schedulers' databases."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from support.postgres import Database, fresh_database, running_server
from support.scheduler import NativeStore, native_store
from support.sidecar import Sidecar, StartSidecar

from exporter.demo.postgres import PostgresServer


@pytest.fixture
def make_sidecar(tmp_path: Path) -> Iterator[StartSidecar]:
    """Makes sidecars that are not started yet; all are gone after the test, whatever became of it."""
    made: list[Sidecar] = []
    numbers = itertools.count(1)

    def make(config: Mapping[str, Any], *arguments: str, environment: Mapping[str, str] | None = None) -> Sidecar:
        sidecar = Sidecar(tmp_path / f"sidecar-{next(numbers)}", config, *arguments, environment=environment)
        made.append(sidecar)
        return sidecar

    yield make
    for sidecar in made:
        sidecar.cleanup()


@pytest.fixture
def start_sidecar(make_sidecar: StartSidecar) -> StartSidecar:
    """Makes a sidecar and starts it."""

    def start(config: Mapping[str, Any], *arguments: str, environment: Mapping[str, str] | None = None) -> Sidecar:
        sidecar = make_sidecar(config, *arguments, environment=environment)
        sidecar.start()
        return sidecar

    return start


@pytest.fixture
def native(database: Database) -> NativeStore:
    """A store in the native schema, on the run's server."""
    return native_store(database)


@pytest.fixture
def own_server() -> Iterator[PostgresServer]:
    """A server for a test that stops it."""
    with running_server() as server:
        yield server


@pytest.fixture
def own_native(own_server: PostgresServer) -> Iterator[NativeStore]:
    """A store in the native schema on a server that the test may stop."""
    with fresh_database(own_server) as database:
        yield native_store(database)
