"""The schedulers run once for the whole suite, all at the same time; tests look at what was seen of each."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import psycopg
import pytest
from support.counting import Counter
from support.polling import until
from support.schedulers import Contract, Driven

from contract.contracts import LIVE
from exporter.demo.postgres import PostgresServer
from exporter.stores import recognition

#: Cron of most schedulers has minutes; the processor is shared.
WORK_SECONDS = 170.0
_PARTS = ("workers", "running", "queues", "schedules", "jobs")


@dataclass(kw_only=True)
class Observed:
    """A scheduler at work and what the exporter's part that counts has seen of it."""

    contract: Contract
    driven: Driven
    counter: Counter
    parts: dict[str, Any] = field(default_factory=dict)
    settled: bool = False
    triggered: Any = None

    @property
    def final(self) -> bool:
        """Whether the scheduler keeps a job's last attempt only."""
        return self.profile.history == "final"

    @property
    def profile(self) -> Any:
        """The profile in force."""
        return self.counter.profile

    def counted(self) -> dict[tuple[str, str], int]:
        """Executions by (task type, status in small letters), those counted."""
        statuses = ("success", "failed", "timeout", "cancelled")
        return {
            (task, status): n
            for task, numbers in self.counter.counts.executions.items()
            for status, n in zip(statuses, numbers, strict=True)
            if n
        }

    def truth(self) -> dict[tuple[str, str], int]:
        """What the handlers have told, as far as the scheduler keeps it."""
        runs = self.driven.runs(final=self.final)
        return {(task, outcome): n for (task, outcome), n in runs.items() if outcome.upper() in self.profile.outcomes}

    def agrees(self) -> bool:
        """Whether all the work is done, something has recurred, and every run has been counted."""
        truth = self.truth()
        done = all(truth.get(key, 0) >= n for key, n in self.contract.runs.items())
        recurs = self.contract.recurring
        ticked = recurs is None or any(event.get("ran") == recurs for event in self.driven.events())
        return done and ticked and self.counted() == truth

    def look(self) -> None:
        """Ask everything once."""
        self.counter.poll()
        if not self.settled:
            self.settled = self.agrees()


@pytest.fixture(scope="session")
def schedulers(
    postgres_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Observed]]:
    """Every scheduler that runs here, after it has done its work and was killed in the midst of a long job.

    While they worked they were polled; then a job of each was triggered, where its profile can, and they worked again.
    """
    directory = tmp_path_factory.mktemp("schedulers")
    with ExitStack() as stack:
        observed = {}
        with psycopg.connect(postgres_server.dsn(), autocommit=True) as admin:
            for database in dict.fromkeys(c.database or c.name for c in LIVE):
                admin.execute(f'CREATE DATABASE "contract_{database}" TEMPLATE template0')  # type: ignore[call-overload]
        drivers = {}
        for contract in LIVE:
            dsn = postgres_server.dsn(f"contract_{contract.database or contract.name}")
            drivers[contract.name] = driven = Driven(contract=contract, dsn=dsn, directory=directory / contract.name)
            if (reason := driven.missing()) is not None:
                pytest.skip(reason)
            stack.callback(driven.crash)
            driven.install()
        for driven in drivers.values():
            assert driven.children[0].wait(120), f"{driven.contract.name} is still being installed: {driven.log}"
            assert driven.children[0].process.returncode == 0, driven.log
            contract = driven.contract
            counter = Counter(
                driven.dsn,
                contract.profile if contract.database else "auto",
                directory / contract.name / "state",
                parameters=contract.parameters,
            )
            stack.callback(counter.close)
            counter.poll()  # nothing is history
            observed[contract.name] = Observed(contract=contract, driven=driven, counter=counter)
        for driven in drivers.values():
            driven.work()
        _watch(observed)
        for one in observed.values():
            one.parts = {name: one.counter.ask(name) for name in _PARTS}
            one.driven.crash()
        _trigger(observed)
        yield observed


def _watch(observed: dict[str, Observed]) -> None:
    """Poll all of them until each has done its work and all of it is counted."""
    deadline = time.monotonic() + WORK_SECONDS
    while not all(one.settled for one in observed.values()) and time.monotonic() < deadline:
        for one in observed.values():
            one.look()
        time.sleep(0.5)


def _trigger(observed: dict[str, Observed]) -> None:
    """Trigger the first `add` of each scheduler whose profile can, and let them work again until it has run."""
    waiting = []
    for one in observed.values():
        if one.profile.trigger is None:
            continue
        job = _triggerable(one)
        one.triggered = one.counter.trigger(job)
        waiting.append((one, sum(one.driven.runs().values())))
        one.driven.work("drain")
    for one, before in waiting:
        until(lambda one=one, before=before: sum(one.driven.runs().values()) > before, 60, one.driven.log[-3000:])
        until(lambda one=one: one.counter.poll() and one.agrees(), 30, f"{one.contract.name} has counted what ran")
        one.driven.crash()


def _triggerable(one: Observed) -> str:
    """A job that the trigger may be tried with: one that has run, or one that waits where those are gone."""
    sql = {"pgqueuer": "SELECT max(id) FROM pgqueuer WHERE entrypoint = 'add' AND status = 'queued'"}
    sql["graphile"] = "SELECT id FROM graphile_worker.jobs WHERE key = 'later'"
    if (query := sql.get(one.contract.name)) is not None:
        with psycopg.connect(one.driven.dsn) as db:
            row = db.execute(query).fetchone()  # type: ignore[call-overload]
            assert row is not None
            return str(row[0])
    return next(e["job"] for e in one.driven.events() if e.get("ran", "").lower().endswith("add"))


@pytest.fixture(scope="session")
def recognised(schedulers: dict[str, Observed]) -> dict[str, tuple[recognition.Recognised, recognition.Schema]]:
    """What was recognised of each store, with its schema's version."""
    return {name: one.counter.recognise() for name, one in schedulers.items()}
