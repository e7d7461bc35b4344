"""Fixtures that every test may use, and ``--no-skips``, with which a test that cannot run is a failure."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any, TypeVar

import hypothesis
import pytest
from support import ports, reviewer, workers
from support.postgres import Database, fresh_database, running_server
from support.redis_server import RedisServer, redis_server

from exporter.demo.postgres import PostgresServer
from exporter.logs.scrubber import scrubber

Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)

# How long an example takes, or making it, is the machine's affair.
hypothesis.settings.register_profile("tests", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("tests")


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """One PostgreSQL 18 for the whole run. A test that stops it starts it again."""
    with running_server() as server:
        yield server


@pytest.fixture(scope="session")
def open_directory() -> Iterator[Callable[[str], Path]]:
    """Makes directories that an unprivileged server may reach; pytest's own are closed to it."""
    made: list[Path] = []

    def make(name: str) -> Path:
        made.append(Path(tempfile.mkdtemp(prefix=f"scheduler-exporter-{name}-")))
        return made[-1]

    yield make
    for directory in made:
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="module", autouse=True)
def only_its_own_secrets() -> None:
    """What another module's tests had for a password, "secret" say, is a part of words in this one's."""
    scrubber.__init__()  # type: ignore[misc] - the one of this process, as it is when that begins


@pytest.fixture
def database(postgres_server: PostgresServer) -> Iterator[Database]:
    """An empty database for one test."""
    with fresh_database(postgres_server) as made:
        yield made


@pytest.fixture
def reviewed(database: Database) -> Database:
    """An empty database with the reviewer's tables."""
    with database.connect() as connection:
        connection.execute(reviewer.SCHEMA)
    return database


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A Redis for a module's tests."""
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def free_port() -> Callable[[], int]:
    """Gives a TCP port that nobody listens on, another one each time."""
    return ports.free_port


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=workers.position)


@pytest.hookimpl(optionalhook=True)  # pytest-xdist's
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    return workers.Spread(config, log)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--no-skips", action="store_true", help="fail skipped tests (also: STRICT_SKIPS=1)")
    parser.addoption("--airflow", action="store_true", help="let tests/contract/test_airflow.py run Airflow")
    parser.addoption("--leases", action="store_true", help="let tests/e2e/test_e2e_vault.py take minutes")


def _strict(config: pytest.Config) -> bool:
    return bool(config.getoption("--no-skips")) or os.environ.get("STRICT_SKIPS", "") not in {"", "0"}


def _fail_if_skipped(report: Report) -> Report:
    if report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"{reason} (skips are failures in this run)"
    return report


# Outermost, so that an expected failure, which pytest reports as a skip too, is marked as one already.
@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    return _fail_if_skipped(report) if _strict(item.config) else report


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    return _fail_if_skipped(report) if _strict(collector.config) else report
