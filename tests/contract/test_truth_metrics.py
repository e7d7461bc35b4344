"""Every family about a scheduler after its known work, against what the scheduler's own tables say of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import psycopg
import pytest
from support.polling import until
from support.sidecar import Sidecar

from contract.conftest import CRON_JOBS, CronServer, watched
from contract.contracts import AIRFLOW, APSCHEDULER, AT_WORK, PG_CRON
from contract.truth import TRUTHS, compare
from contract.truth.families import FAMILIES
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


Differences = dict[str, list[str]]
Find = Callable[[str], tuple[str, Sidecar]]


@pytest.fixture(scope="module")
def compared() -> dict[str, Differences]:
    """The differences found by scheduler and family: each is waited for once."""
    return {}


@pytest.fixture(scope="module")
def at_work(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Find]:
    """By a scheduler's name: the DSN of its database, and the sidecar that has watched it."""
    with ExitStack() as stack:

        def find(name: str) -> tuple[str, Sidecar]:
            if name == APSCHEDULER.name:
                driven = request.getfixturevalue("scheduled")
                store = {"dsn": driven.dsn, **driven.store}
                return driven.dsn, stack.enter_context(watched(tmp_path_factory.mktemp(name), store, history=False))
            if name == PG_CRON.name:
                cron = request.getfixturevalue("cron")
                until(lambda: has_run(cron), 90, "each of its jobs has begun", every=0.5)
                return cron.dsn, cron.sidecar
            return request.getfixturevalue("schedulers")[name].driven.dsn, request.getfixturevalue("sidecar")

        yield find


def has_run(cron: CronServer) -> bool:
    """Whether each of pg_cron's jobs that are not held has begun."""
    with psycopg.connect(cron.dsn) as db:
        row = db.execute("SELECT count(DISTINCT jobid) FROM cron.job_run_details").fetchone()
    return row is not None and row[0] == len(CRON_JOBS) - 1


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("name", [name for name in TRUTHS if name != AIRFLOW.name])
def test_a_family_is_what_the_tables_say(
    name: str, family: str, compared: dict[str, Differences], at_work: Find
) -> None:
    if name not in compared:
        compared[name] = compare(name, *at_work(name))
    assert not compared[name][family], "\n".join(compared[name][family])


def test_no_family_is_forgotten() -> None:
    there = {f.name for module in (jobs, executions, running) for f in vars(module).values() if isinstance(f, Family)}
    assert there - ITS_OWN == FAMILIES.keys() - {"scheduling_store_up"}


def test_no_scheduler_is_forgotten() -> None:
    assert TRUTHS.keys() == {contract.name for contract in AT_WORK}
