"""Every family about a scheduler after its known work, against what the scheduler's own tables say of it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import psycopg
import pytest
from support.polling import until
from support.schedulers import Driven
from support.sidecar import Sidecar, store

from contract.contracts import APSCHEDULER, LIVE
from contract.truth import TRUTHS
from contract.truth.asking import Database
from contract.truth.comparing import differences
from contract.truth.families import FAMILIES
from contract.truth.model import IMPATIENT
from exporter.metrics import executions, jobs, running
from exporter.metrics.family import Family

#: Families about the exporter's own reading: the tables say nothing of it.
ITS_OWN = {
    f"scheduling_exporter_{name}"
    for name in (
        "late_executions_total", "duplicate_executions_total", "cursor_timestamp_seconds",
        "oldest_open_transaction_timestamp_seconds", "series_dropped", "backfill_ratio",
    )
}  # fmt: skip
SECONDS = 20.0


Differences = dict[str, list[str]]


@pytest.fixture(scope="module")
def compared() -> dict[str, Differences]:
    """The differences found by scheduler and family: each is waited for once."""
    return {}


@pytest.fixture(scope="module")
def alone(scheduled: Driven, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sidecar]:
    """A sidecar that watches APScheduler."""
    watched = store(scheduled.dsn, **scheduled.store, **IMPATIENT)
    running = Sidecar(tmp_path_factory.mktemp("alone"), {"stores": [watched]})
    try:
        running.start()
        yield running
    finally:
        running.cleanup()


def compare(name: str, dsn: str, sidecar: Sidecar) -> Differences:
    """Until nothing differs; what still does in the end."""
    found: Differences = {}

    def agree() -> bool:
        with psycopg.connect(dsn) as connection:
            told = TRUTHS[name](Database(connection))
        found.update(differences(sidecar.metrics(), name, told))
        return not any(found.values())

    with contextlib.suppress(AssertionError):
        until(agree, SECONDS, every=0.5)
    return found


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("name", TRUTHS)
def test_a_family_is_what_the_tables_say(
    name: str, family: str, compared: dict[str, Differences], request: pytest.FixtureRequest
) -> None:
    if name not in compared:
        if name == APSCHEDULER.name:
            dsn, sidecar = request.getfixturevalue("scheduled").dsn, request.getfixturevalue("alone")
        else:
            dsn = request.getfixturevalue("schedulers")[name].driven.dsn
            sidecar = request.getfixturevalue("sidecar")
        compared[name] = compare(name, dsn, sidecar)
    assert family in compared[name], "nothing was compared"
    assert not compared[name][family], "\n".join(compared[name][family])


def test_no_family_is_forgotten() -> None:
    there = {f.name for module in (jobs, executions, running) for f in vars(module).values() if isinstance(f, Family)}
    assert there - ITS_OWN == FAMILIES.keys() - {"scheduling_store_up"}


def test_no_scheduler_is_forgotten() -> None:
    assert TRUTHS.keys() == {contract.name for contract in (*LIVE, APSCHEDULER)}
