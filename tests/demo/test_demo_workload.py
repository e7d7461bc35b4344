"""The shop's scheduler does everything that it is there to show, and the sidecar's role can see it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from exporter.demo.database import ShopDatabase, create_shop
from exporter.demo.options import Options
from exporter.demo.processes import Supervisor
from exporter.demo.signals import Interrupts
from exporter.demo.stack import Stack
from exporter.demo.workspace import workspace

# What must be seen, each as a condition on the tables; all of it within half a minute of the start.
SIGHTS = {
    "success": "EXISTS (SELECT FROM procrastinate_jobs WHERE status = 'succeeded')",
    "failure": "EXISTS (SELECT FROM procrastinate_jobs WHERE status = 'failed')",
    "cancellation": "EXISTS (SELECT FROM procrastinate_jobs WHERE status = 'cancelled')",
    "retry": "EXISTS (SELECT FROM procrastinate_events WHERE type = 'deferred_for_retry')",
    "future": "EXISTS (SELECT FROM procrastinate_jobs WHERE status = 'todo' AND scheduled_at > now())",
    "recurring": "EXISTS (SELECT FROM procrastinate_periodic_defers WHERE task_name = 'refresh_prices')",
    "long": "EXISTS (SELECT FROM procrastinate_jobs WHERE status = 'doing' AND queue_name = 'reports')",
    "stuck": "EXISTS (SELECT FROM procrastinate_jobs WHERE status = 'doing' AND lock IS NOT NULL)",
    "dead worker": "(SELECT count(*) FROM procrastinate_workers) > 3",
}


@pytest.fixture(scope="module")
def watched() -> Iterator[tuple[ShopDatabase, set[str]]]:
    """The shop at work, and what was seen: some of it lasts for seconds only."""
    options = Options(listen_host="127.0.0.1", listen_port=1, prometheus_port=None, duration=None, directory=None)
    supervisor = Supervisor()
    with Interrupts(supervisor.kill) as interrupts, workspace(None) as directory:
        stack = Stack(options, directory, supervisor, interrupts)
        try:
            made = create_shop(stack.start_postgres(), directory)
            stack.start_shop(made)
            yield made, _watch_until_all_is_seen(stack, made)
        finally:
            supervisor.stop()


@pytest.fixture(scope="module")
def shop(watched: tuple[ShopDatabase, set[str]]) -> ShopDatabase:
    return watched[0]


def _watch_until_all_is_seen(stack: Stack, shop: ShopDatabase) -> set[str]:
    seen: set[str] = set()
    deadline = time.monotonic() + 120
    with psycopg.connect(shop.monitor_dsn, autocommit=True) as connection:
        while time.monotonic() < deadline and seen != SIGHTS.keys():
            stack.watch(0.5)
            seen |= {sight for sight, there in _seen(connection).items() if there}
    return seen


def _seen(connection: psycopg.Connection) -> dict[str, bool]:
    row = connection.execute(f"SELECT {', '.join(SIGHTS.values())}").fetchone()
    assert row is not None
    return dict(zip(SIGHTS, row, strict=True))


@pytest.mark.parametrize("sight", SIGHTS)
def test_it_happens(watched: tuple[ShopDatabase, set[str]], sight: str) -> None:
    assert sight in watched[1]


def test_what_a_dead_worker_did_stays_running(shop: ShopDatabase) -> None:
    with psycopg.connect(shop.monitor_dsn) as connection:
        row = connection.execute(
            "SELECT count(*) FROM procrastinate_jobs j JOIN procrastinate_workers w ON w.id = j.worker_id"
            " WHERE j.task_name = 'render_video' AND j.status = 'doing' AND w.id < (SELECT max(id)"
            " FROM procrastinate_workers)"
        ).fetchone()
    assert row is not None
    assert row[0] >= 1


def test_the_sidecars_role_cannot_write(shop: ShopDatabase) -> None:
    with (
        psycopg.connect(shop.monitor_dsn) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute("DELETE FROM procrastinate_jobs")


def test_secrets_are_for_their_owner(shop: ShopDatabase) -> None:
    directory: Path = shop.monitor_password_file.parent
    modes = {path.name: path.stat().st_mode & 0o077 for path in directory.rglob("*.password")}
    assert modes == {"monitor.password": 0, "shop.password": 0, "superuser.password": 0}
