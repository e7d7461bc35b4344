"""The schedulers run once for the whole suite, all at the same time; tests look at what was seen of each."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psycopg
import pytest
from support.counting import Counter
from support.polling import until
from support.schedulers import Contract, Driven
from support.sidecar import Sidecar, store
from support.versions import binaries

from contract.contracts import APSCHEDULER, LIVE, PG_CRON
from contract.truth.model import IMPATIENT
from exporter.demo.postgres import PostgresServer
from exporter.errors import StoreError
from exporter.stores import recognition

#: By a scheduler's name: the DSN of its database, and the sidecar that has watched it.
Find = Callable[[str], tuple[str, Sidecar]]
#: Cron of most schedulers has minutes; the processor is shared.
WORK_SECONDS = 300.0
#: How long to look for a moment at which a scheduler does nothing but its long job.
QUIET_SECONDS = 60.0
_PARTS = ("workers", "running", "queues", "schedules", "jobs")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Airflow takes minutes: it is run where it is asked for."""
    return True if collection_path.name == "test_airflow.py" and not config.getoption("--airflow") else None


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

    def rests(self) -> bool:
        """Whether all that was told has been written down and counted, as far as a scheduler that stands still lets."""
        try:
            self.counter.poll()
        except StoreError:  # it holds a lock
            return False
        return self.agrees()

    def rests_but_for_what_is_left(self) -> bool:
        """Whether nothing is under way but what is known to stay unfinished; what is told then is kept."""
        try:
            self.parts = {name: self.counter.ask(name) for name in _PARTS}
        except StoreError:
            return False
        return self.rests() and self.unfinished() == self.contract.live

    def unfinished(self) -> dict[str, int]:
        """One-time jobs that have not come to their end, by status, as they were told."""
        found: dict[str, int] = {}
        for (status, kind), n in self.parts["queues"].by_status.items():
            if kind == "ONE_TIME":
                found[status] = found.get(status, 0) + n
        return found

    def added(self) -> int:
        """How many runs of `add` have ended."""
        return sum(n for (task, _), n in self.driven.runs().items() if task.lower().endswith("add"))


@contextmanager
def watched(directory: Path, *stores: dict[str, Any], history: bool = True) -> Iterator[Sidecar]:
    """A sidecar that watches these, and has polled each: nothing is history. ``history``: they keep any."""
    polled = [store(**options, **IMPATIENT, interval="2s") for options in stores]
    running = Sidecar(directory, {"stores": polled})
    try:
        running.start()
        for name in (options["name"] for options in stores if history):
            until(lambda name=name: running.read_upto(name) > 0, 180, f"a first poll of {name}")
        yield running
    finally:
        running.cleanup()


@dataclass(frozen=True, kw_only=True)
class CronServer:
    """A PostgreSQL with pg_cron, and what has counted its runs since before the first: a part of a sidecar, and one."""

    server: PostgresServer
    counter: Counter
    sidecar: Sidecar

    @property
    def dsn(self) -> str:
        """The superuser's."""
        return self.server.dsn()

    def dsn_as(self, user: str, password: str) -> str:
        """Another role's."""
        return self.server.dsn("postgres", user, password)


CRON_JOBS = {
    "good": "SELECT 1",
    "bad": "SELECT 1 / 0",
    "late": "SET statement_timeout = '1s'; SELECT pg_sleep(30)",
    "endless": "SELECT pg_sleep(600)",
    "slow": "SELECT pg_sleep(10)",
    "held": "SELECT 2",
}


@pytest.fixture(scope="package")
def cron(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CronServer]:
    """pg_cron with a job of each kind, every minute."""
    with TemporaryDirectory(prefix="scheduler-exporter-cron-", ignore_cleanup_errors=True) as place:
        directory = Path(place)
        directory.chmod(0o711)
        found = binaries(15, directory)
        if found is None or not (found.parent / "lib" / "pg_cron.so").exists():
            pytest.skip("pg_cron for PostgreSQL 15 is missing: apt install postgresql-15-cron")
        settings: dict[str, str | int] = {
            "shared_preload_libraries": "pg_cron",
            "cron.host": "127.0.0.1",
        }
        server = PostgresServer(directory / "postgres", settings=settings, binaries=found)
        server.start()
        try:
            with psycopg.connect(server.dsn(), autocommit=True) as db:
                # Its launcher logs in as its jobs' owner, without a password.
                hba = server.data / "pg_hba.conf"
                hba.write_text("host all postgres 127.0.0.1/32 trust\n" + hba.read_text())
                db.execute("SELECT pg_reload_conf()")
                db.execute("CREATE EXTENSION pg_cron")
                with (
                    closing(Counter(server.dsn(), "auto", tmp_path_factory.mktemp("cron"))) as counter,
                    watched(
                        tmp_path_factory.mktemp("cron-sidecar"), {"name": "pg_cron", "dsn": server.dsn()}
                    ) as sidecar,
                ):
                    counter.poll()
                    for name, command in CRON_JOBS.items():
                        db.execute("SELECT cron.schedule(%s, '* * * * *', %s)", (name, command))
                    db.execute("UPDATE cron.job SET active = false WHERE jobname = 'held'")
                    yield CronServer(server=server, counter=counter, sidecar=sidecar)
        finally:
            server.stop("immediate")


@pytest.fixture(scope="package")
def scheduled(postgres_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Driven]:
    """APScheduler, killed after two runs: a table of what is scheduled, and no history."""
    with psycopg.connect(postgres_server.dsn(), autocommit=True) as admin:
        admin.execute("CREATE DATABASE contract_apscheduler TEMPLATE template0")
    directory = tmp_path_factory.mktemp("apscheduler")
    driven = Driven(contract=APSCHEDULER, dsn=postgres_server.dsn("contract_apscheduler"), directory=directory)
    if (reason := driven.missing()) is not None:
        pytest.skip(reason)
    try:
        driven.install()
        assert driven.children[0].wait(120), driven.log
        driven.work()
        until(lambda: driven.runs()["tick", "success"] >= 2, 120, "tick has run twice")
    finally:
        driven.crash()
    yield driven


@pytest.fixture(scope="package")
def installed(
    postgres_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Observed]]:
    """Every scheduler that runs here with its tables, and what counts its runs since before the first."""
    directory = tmp_path_factory.mktemp("schedulers")
    with ExitStack() as stack:
        with psycopg.connect(postgres_server.dsn(), autocommit=True) as admin:
            for database in dict.fromkeys(c.database or c.name for c in LIVE):
                admin.execute(f'CREATE DATABASE "contract_{database}" TEMPLATE template0')  # type: ignore[call-overload]
        drivers = []
        for contract in LIVE:
            dsn = postgres_server.dsn(f"contract_{contract.database or contract.name}")
            driven = Driven(contract=contract, dsn=dsn, directory=directory / contract.name)
            if (reason := driven.missing()) is not None:
                pytest.skip(reason)
            stack.callback(driven.crash)
            driven.install()
            drivers.append(driven)
        yield {driven.contract.name: _observed(driven, stack) for driven in drivers}


def _observed(driven: Driven, stack: ExitStack) -> Observed:
    assert driven.children[0].wait(240), f"{driven.contract.name} is still being installed: {driven.log}"
    assert driven.children[0].process.returncode == 0, driven.log
    contract = driven.contract
    profile, parameters = driven.store["profile"], driven.store["parameters"]
    counter = Counter(driven.dsn, profile, driven.directory / "state", parameters=parameters)
    stack.callback(counter.close)
    counter.poll()  # nothing is history
    return Observed(contract=contract, driven=driven, counter=counter)


@pytest.fixture(scope="package")
def sidecar(installed: dict[str, Observed], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sidecar]:
    """One process that watches all of them: two share a database, with a third in a schema of another name."""
    stores = [{"dsn": one.driven.dsn, **one.driven.store} for one in installed.values()]
    with watched(tmp_path_factory.mktemp("sidecar"), *stores) as running:
        yield running


@pytest.fixture(scope="package")
def schedulers(installed: dict[str, Observed], sidecar: Sidecar, cron: CronServer) -> dict[str, Observed]:
    """Every scheduler that runs here, after it has done its work and was killed in the midst of its long job alone.

    While they worked they were polled; then a job of each was triggered, where its profile can, and they worked again.
    pg_cron works meanwhile: its tests need not wait for a minute of their own.
    """
    for one in installed.values():
        one.driven.work()
    _watch(installed)
    for one in installed.values():
        one.driven.crash_when(one.rests_but_for_what_is_left, QUIET_SECONDS)
        assert one.parts, f"{one.contract.name}: {one.counted()}, {one.truth()}\n{one.driven.log[-3000:]}"
    _trigger(installed)
    return installed


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
        waiting.append((one, one.added()))
        one.triggered = one.counter.trigger(job)
        one.driven.work("drain")
    for one, before in waiting:
        until(lambda one=one, before=before: one.added() > before, 120, f"{one.contract.name} runs what was triggered")
        one.driven.crash_when(one.rests, QUIET_SECONDS)


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


@pytest.fixture(scope="package")
def recognised(schedulers: dict[str, Observed]) -> dict[str, tuple[recognition.Recognised, recognition.Schema]]:
    """What was recognised of each store, with its schema's version."""
    return {name: one.counter.recognise() for name, one in schedulers.items()}


@pytest.fixture(scope="package")
def at_work(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Find]:
    """By a scheduler's name: the DSN of its database, and the sidecar that has watched it."""
    with ExitStack() as stack:

        @cache
        def find(name: str) -> tuple[str, Sidecar]:
            if name == APSCHEDULER.name:
                driven = request.getfixturevalue("scheduled")
                store = {"dsn": driven.dsn, **driven.store}
                return driven.dsn, stack.enter_context(watched(tmp_path_factory.mktemp(name), store, history=False))
            if name == PG_CRON.name:
                cron = request.getfixturevalue("cron")
                until(lambda: has_run(cron), 240, "each of its jobs has begun", every=0.5)
                return cron.dsn, cron.sidecar
            return request.getfixturevalue("schedulers")[name].driven.dsn, request.getfixturevalue("sidecar")

        yield find


def has_run(cron: CronServer) -> bool:
    """Whether each of pg_cron's jobs that are not held has begun."""
    with psycopg.connect(cron.dsn) as db:
        row = db.execute("SELECT count(DISTINCT jobid) FROM cron.job_run_details").fetchone()
    return row is not None and row[0] == len(CRON_JOBS) - 1
