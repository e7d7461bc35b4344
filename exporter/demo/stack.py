"""``scheduler-exporter demo``: everything started in order, watched, and stopped in the opposite order."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import time
from pathlib import Path
from typing import Final

import exporter
from exporter import shipped
from exporter.demo import alerting
from exporter.demo.announce import banner, say
from exporter.demo.database import DSN_VARIABLE, ShopDatabase, create_shop
from exporter.demo.options import AlertingPorts, Options, resolve
from exporter.demo.ports import free_port
from exporter.demo.postgres import PostgresServer
from exporter.demo.processes import Child, Supervisor
from exporter.demo.readiness import fetch, is_complete
from exporter.demo.signals import Interrupted, Interrupts
from exporter.demo.vault import VaultServer
from exporter.demo.workspace import render, secret, workspace
from exporter.errors import ExporterError

PATIENCE: Final = 60.0
"""Seconds to wait for a first complete scrape."""
RESTART: Final = 3.0
"""Seconds after which a worker that died is replaced, as an orchestrator would."""
WORKERS: Final = {
    "worker-front": ("6", "mail", "billing"),
    "worker-back": ("8", "reports", "inventory", "recurring"),
    "worker-media": ("3", "media"),  # the one that dies
}


def run(args: argparse.Namespace) -> int:
    """Run the demo until a signal or ``--duration`` ends it; 1 when a part of it could not run."""
    started = time.monotonic()
    supervisor = Supervisor()
    try:
        options = resolve(args, say)
        # The handlers outlive the rest: an impatient Ctrl-C must not leave half a directory.
        with Interrupts(supervisor.kill) as interrupts, workspace(options.directory) as directory:
            try:
                stack = Stack(options, directory, supervisor, interrupts)
                stack.start(started)
                stack.watch(options.duration)
            except Interrupted:
                say("\nStopping ...")
            finally:
                supervisor.stop()
    except ExporterError as error:
        say(f"scheduler-exporter demo: {error}", error=True)
        return 1
    say("Stopped; nothing is left." if options.directory is None else f"Stopped; {options.directory} is kept.")
    return 0


def rule_files() -> list[str]:
    """The shipped rules, for Prometheus; none where the package came without them."""
    rules = shipped.folder("rules")
    if rules is None:
        return []
    return [str(rules / file) for file in shipped.files("rules", rules) if file.suffix == ".yaml"]


class Stack:
    """The demo's processes."""

    def __init__(self, options: Options, directory: Path, supervisor: Supervisor, interrupts: Interrupts) -> None:
        self.options = options
        self.directory = directory
        self.supervisor = supervisor
        self.interrupts = interrupts
        self.essential: list[Child] = []
        self.replaceable: list[Child] = []
        self._died: dict[str, float] = {}

    def start(self, since: float) -> None:
        """Start everything; print the addresses once a scrape is complete. ``since``: when it all began."""
        say("Starting PostgreSQL, Vault, a scheduler with three workers, and the exporter ...")
        server = self.start_postgres()
        shop = create_shop(server, self.directory)
        self.start_shop(shop)
        vault = self.start_vault(server)
        sidecar = self.start_sidecar(server, vault)
        if self.options.alerting is not None:
            self.start_alertmanager(self.options.alerting)
        if self.options.prometheus_port is not None:
            self.start_prometheus(self.options.prometheus_port)
        self._wait_for_scrape(sidecar)
        say(banner(self.options, shop, self.directory, time.monotonic() - since))

    def watch(self, seconds: float | None) -> None:
        """Replace workers that die, for so long or for ever; raises when something ends that must not."""
        end = None if seconds is None else time.monotonic() + seconds
        while end is None or time.monotonic() < end:
            self.interrupts.sleep()
            self._check_essential()
            for child in self.replaceable:
                self._replace(child)

    def _replace(self, child: Child) -> None:
        """Start a child again that has been dead for long enough."""
        now = time.monotonic()
        if not child.running and now > self._died.setdefault(child.name, now) + RESTART:
            del self._died[child.name]
            child.start()

    def start_postgres(self) -> PostgresServer:
        server = PostgresServer(self.directory / "postgres", settings={"max_connections": 200})
        try:
            server.start()
        finally:
            if server.running:
                self.supervisor.adopt(server.child)
        self.essential.append(server.child)
        return server

    def start_shop(self, shop: ShopDatabase) -> None:
        environment = {DSN_VARIABLE: shop.owner_dsn}
        for name, arguments in WORKERS.items():
            child = self._python(name, "exporter.demo.worker", name, *arguments, environment=environment)
            self.replaceable.append(child)
        self.replaceable.append(self._python("producer", "exporter.demo.producer", environment=environment))

    def start_vault(self, server: PostgresServer) -> VaultServer:
        vault = VaultServer(self.directory)
        try:
            vault.start(server)
        finally:
            if vault.child.running:
                self.supervisor.adopt(vault.child)
        self.essential.append(vault.child)
        return vault

    def start_sidecar(self, server: PostgresServer, vault: VaultServer) -> Child:
        values: dict[str, str | int] = {
            "DIRECTORY": str(self.directory),
            "LISTEN_ADDRESS": self.options.listen_address,
            "POSTGRES_PORT": server.port,
            "CLOSED_PORT": free_port(),
            "VAULT_ADDRESS": vault.address,
            "ALERTING": json.dumps(alerting.section(self.options)),
        }
        secret(self.directory / alerting.TOKEN)
        config = render("config.yaml", self._config, values)
        sidecar = self._python("sidecar", "exporter", "serve", f"--config.file={config}")
        self.essential.append(sidecar)
        return sidecar

    def start_alertmanager(self, ports: AlertingPorts) -> None:
        self.essential.append(self._python("inbox", "exporter.demo.inbox", *alerting.inbox_arguments(ports)))
        self._program("alertmanager", alerting.alertmanager_command(ports, self._config, self.directory))

    def start_prometheus(self, port: int) -> None:
        values = {
            "SIDECAR_ADDRESS": self.options.sidecar,
            "RULE_FILES": json.dumps(rule_files()),
            "ALERTING": json.dumps(alerting.told_by_prometheus(self.options)),
        }
        config = render("prometheus.yaml", self.directory / "prometheus.yaml", values)
        command = [
            shutil.which("prometheus") or "prometheus",
            f"--config.file={config}",
            f"--storage.tsdb.path={self.directory / 'prometheus'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--log.level=warn",
        ]
        self._program("prometheus", command)

    def _program(self, name: str, command: list[str]) -> None:
        """Start what is not of this package and must not end."""
        child = Child(name=name, command=command, log=self._log(name), directory=self.directory)
        self.essential.append(self.supervisor.start(child))

    def _python(self, name: str, module: str, *arguments: str, environment: dict[str, str] | None = None) -> Child:
        """Start a module of this package, the same copy of it that is running now."""
        paths = [str(Path(exporter.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
        return self.supervisor.start(
            Child(
                name=name,
                command=[sys.executable, "-m", module, *arguments],
                log=self._log(name),
                environment={"PYTHONPATH": os.pathsep.join(filter(None, paths)), **(environment or {})},
                directory=self.directory,
            )
        )

    @property
    def _config(self) -> Path:
        return self.directory / "config.yaml"

    def _log(self, name: str) -> Path:
        return self.directory / f"{name}.log"

    def _wait_for_scrape(self, sidecar: Child) -> None:
        prometheus = self.options.prometheus_port
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            self._check_essential()
            ready = prometheus is None or fetch(f"http://127.0.0.1:{prometheus}/-/ready") is not None
            if ready and is_complete(fetch(f"http://{self.options.sidecar}/metrics")):
                return
            self.interrupts.sleep()
        raise ExporterError(
            f"no complete scrape in {PATIENCE:.0f} s; the end of the exporter's log:\n{sidecar.last_lines()}"
        )

    def _check_essential(self) -> None:
        for child in self.essential:
            if not child.running:
                raise ExporterError(f"{child.name} ended; the end of its log:\n{child.last_lines()}")
