"""The servers of a run: PostgreSQL and the sidecar, both with clocks that can be set, and Prometheus."""

from __future__ import annotations

import contextlib
import http.client
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
from support.polling import until
from support.ports import free_port
from support.postgres import SETTINGS, Database
from support.prometheus_server import Prometheus
from support.scheduler import monitor
from support.sidecar import Sidecar, one_store

from chaos.clocks import Clock, library, tidy
from chaos.plan import Plan
from exporter.demo.postgres import PostgresServer
from exporter.stores.native import ddl

APP, APP_PASSWORD = "app", "app-password"
CURSOR = "scheduling_exporter_cursor_timestamp_seconds"


def missing() -> str | None:
    """What a run needs and this machine does not have."""
    if not shutil.which("prometheus"):
        return "Prometheus is not installed"
    return None if library() else "libfaketime (Debian: faketime) is not installed"


class JumpingServer(PostgresServer):
    """The demo's PostgreSQL under a clock of ours; it can crash."""

    def __init__(self, directory: Path, clock: Clock) -> None:
        super().__init__(directory, settings={**SETTINGS, "max_prepared_transactions": 60})
        self.port = free_port()  # nobody takes it while the server is away
        self._clock = clock

    def _command(self, binaries: Path) -> list[str | Path]:
        # Through env, not in the launcher's environment: what libfaketime makes while it is root, nobody cannot open.
        clock = [f"{name}={value}" for name, value in self._clock.environment.items()]
        return [str(shutil.which("env")), *clock, *super()._command(binaries)]

    def crash(self, away: float) -> None:
        """End at once, as a crash does, and come back after ``away`` seconds."""
        pid = self.child.pid
        self.stop("immediate")
        tidy(pid)
        time.sleep(away)
        self._any_port = False  # its clients know where it was
        self.start()


class KilledSidecar(Sidecar):
    """A sidecar that is killed again and again, and must never end by itself."""

    def kill(self) -> int:
        """kill -9 at this moment, whatever it is doing; AssertionError when it was gone already."""
        assert self.process.poll() is None, f"it ended by itself, status {self.process.returncode}:\n{self.log[-4000:]}"
        pid = self.process.pid
        status = super().kill()
        tidy(pid)
        return status

    def cleanup(self) -> None:
        """End it, and remove what is left of its clock."""
        super().cleanup()
        tidy(self.process.pid)

    def cursor(self) -> float:
        """Up to when it has read. Of the page only this: the first to see a counter's 0 must be Prometheus."""
        try:
            answer = self.get(f"/metrics?name[]={CURSOR}", timeout=10)
        except http.client.HTTPException as error:
            raise ConnectionError("it was killed in the midst of its answer") from error
        found = [line for line in answer.text.splitlines() if line.startswith(CURSOR)]
        if not found:
            raise LookupError("it has not polled yet")
        return float(found[0].rpartition(" ")[2])


@dataclass(frozen=True)
class World:
    """Everything that runs, and how to reach it."""

    server: JumpingServer
    server_clock: Clock
    sidecar: KilledSidecar
    sidecar_clock: Clock
    prometheus: Prometheus
    database: Database

    @property
    def app_dsn(self) -> str:
        """How the writers connect: as a role that owns nothing."""
        return self.database.dsn_as(APP, APP_PASSWORD)


@contextlib.contextmanager
def running(plan: Plan) -> Iterator[World]:
    """Servers that have seen each other, and an empty schema that the sidecar has polled."""
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="chaos-", ignore_cleanup_errors=True)))
        directory.chmod(0o711)  # as root the server runs as nobody
        server_clock, sidecar_clock = Clock(directory / "server.clock"), Clock(directory / "sidecar.clock")
        server = JumpingServer(directory / "postgres", server_clock)
        stack.callback(server.stop, "immediate")
        server.start()
        database = Database(server, "scheduler")
        sidecar = _sidecar(directory / "sidecar", plan, _schema(database), sidecar_clock)
        stack.callback(sidecar.cleanup)
        sidecar.start(wait=False)
        until(sidecar.cursor, 120, "the first poll")
        prometheus = Prometheus(directory / "prometheus", sidecar.port)
        stack.callback(prometheus.stop)
        prometheus.start()
        until(lambda: prometheus.target()["health"] == "up", 120, "Prometheus scrapes the sidecar")
        yield World(server, server_clock, sidecar, sidecar_clock, prometheus, database)


def _schema(database: Database) -> str:
    """The native schema, the audit, and the roles; returns the sidecar's DSN."""
    with psycopg.connect(database.server.dsn(), autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {database.name}".encode())
    with database.connect() as connection:
        connection.execute(f"CREATE ROLE {APP} LOGIN PASSWORD '{APP_PASSWORD}'".encode())
        connection.execute(ddl("public").encode())
        connection.execute(Path(__file__).with_name("schema.sql").read_bytes())
    return monitor(database)


def _sidecar(directory: Path, plan: Plan, dsn: str, clock: Clock) -> KilledSidecar:
    # A poll reads the last 30 s of hundreds of executions a second again: the load budget would make it rare.
    options = {"profile": "native", "interval": "1s", "timeout": "5s", "max_db_load": 1.0}
    counting = {"late_window": f"{plan.late_window}s"}
    config = {**one_store(dsn, counting=counting, **options), "logging": {"level": "info", "format": "json"}}
    return KilledSidecar(directory, config, environment=clock.environment)
