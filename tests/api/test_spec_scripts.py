"""The two shell scripts at the end of the reviewer's document, as they are, against a sidecar on port 8000."""

from __future__ import annotations

import contextlib
import fcntl
import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.polling import until
from support.postgres import Database
from support.scheduler import NativeStore, native_store
from support.sidecar import HOST, Sidecar, one_store, target

SPEC = Path(__file__).parent / "spec"
CONNECTIONS, TASKS = SPEC / "001-script-1.sh", SPEC / "001-script-2.sh"
#: The scripts name it.
PORT = 8000

pytestmark = pytest.mark.skipif(
    shutil.which("jq") is None or shutil.which("curl") is None, reason="curl or jq is not installed"
)


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """One test run on this machine at a time may have the port."""
    with (Path(tempfile.gettempdir()) / "scheduler-exporter-port-8000.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def serving(directory: Path, config: dict[str, Any]) -> Iterator[Sidecar]:
    """A sidecar of production on that port, which anyone may read."""
    whole = {
        **config,
        "environment": "production",
        "auth": {"anonymous_read": True},
        "api": {"rate_limit": {"per_second": 0}},  # the test itself asks often
        "web": {"listen_address": [f"{HOST}:{PORT}"]},
    }
    with alone():
        sidecar = Sidecar(directory, whole)
        sidecar.port = PORT
        try:
            sidecar.start()
            yield sidecar
        finally:
            sidecar.cleanup()


def verdict(script: Path) -> tuple[int, str]:
    """Exit status and output."""
    done = subprocess.run(["bash", str(script)], capture_output=True, text=True, timeout=120, check=False)
    assert not done.stderr, done.stderr
    return done.returncode, done.stdout.strip()


def answers(sidecar: Sidecar, path: str) -> Any:
    """An answer's JSON."""
    answer = sidecar.get(path)
    assert answer.status == 200, answer.text
    return json.loads(answer.text)


def checked(sidecar: Sidecar) -> bool:
    rows = answers(sidecar, "/monitoring/connections/status")
    return all(row["last_check"] is not None for row in rows)


def test_connections_healthy_and_unhealthy(database: Database, tmp_path: Path) -> None:
    native = native_store(database)
    password = database.dsn.partition("://")[2].partition("@")[0].partition(":")[2]
    good = target("Production DB", database.server.port, id=1, user="postgres", password=password)
    config = one_store(native.dsn)
    with serving(tmp_path / "healthy", {**config, "connections": {"targets": [good]}}) as sidecar:
        until(lambda: checked(sidecar), 60, "every connection is checked")
        assert verdict(CONNECTIONS) == (0, "OK: All database connections are healthy")
    bad = [target(f"Test DB {n}", 1, id=n) for n in (2, 3)]
    with serving(tmp_path / "unhealthy", {**config, "connections": {"targets": [good, *bad]}}) as sidecar:
        until(lambda: checked(sidecar), 60, "every connection is checked")
        assert verdict(CONNECTIONS) == (1, "ALERT: 2 unhealthy database connections detected")


def failed(native: NativeStore, count: int, *, hours_ago: float, status: str = "FAILED", begun: bool = True) -> None:
    """Executions that failed; of some the store does not say when they began."""
    with native.database.connect() as connection:
        connection.execute(
            "INSERT INTO executions (job_id, task_type, status, started_at, completed_at, error_message)"
            " SELECT 1, 'mail', %(status)s, CASE WHEN %(begun)s THEN t END, t, 'broken' FROM generate_series(1, %(n)s),"
            " LATERAL (SELECT clock_timestamp() - %(ago)s * interval '1 hour' t) x",
            {"status": status, "begun": begun, "n": count, "ago": hours_ago},
        )


def test_failed_tasks(database: Database, tmp_path: Path) -> None:
    native = native_store(database)
    native.finish(5)
    failed(native, 4, hours_ago=2)
    with serving(tmp_path, one_store(native.dsn)) as sidecar:
        path = "/monitoring/tasks/executions?limit=100"
        # Nine that ended, and the one that runs.
        until(lambda: sidecar.get(path).status == 200 and len(answers(sidecar, path)) == 10, 60, "history is read")
        assert verdict(TASKS) == (0, "OK: No failed tasks in the last hour")
        failed(native, 2, hours_ago=0)
        failed(native, 1, hours_ago=0, status="TIMEOUT")
        failed(native, 1, hours_ago=0, begun=False)
        until(lambda: len(answers(sidecar, path)) == 14, 60, "what failed is read")
        assert verdict(TASKS) == (1, "WARNING: 4 failed tasks in the last hour")
