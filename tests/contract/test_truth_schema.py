"""Schedulers that cannot be installed here: what a sidecar tells while their scripts are written, against plain SQL.

Every family of the metrics and of the JSON, each job by its id; the same from history, of a sidecar that comes later;
then what is retried, pruned or left by a dead worker. Airflow is one of them: at work it takes minutes (test_airflow).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import quote

import psycopg
import pytest
from support.polling import until
from support.sidecar import Sidecar

from contract.answers import ANSWERS, agree
from contract.conftest import watched
from contract.contracts import QUARTZ, SCHEMA_ONLY
from contract.scripts import SCRIPTS
from contract.test_schema_only import SCHEMAS
from contract.test_truth_history import FAMILIES as OF_HISTORY
from contract.test_truth_history import has_read_history
from contract.truth import WRITTEN, compare, tables_say
from contract.truth.families import FAMILIES
from exporter.demo.postgres import PostgresServer

NAMES = [contract.name for contract in SCHEMA_ONLY]
WITH_HISTORY = [name for name in NAMES if name != QUARTZ.name]


@dataclass(frozen=True)
class Written:
    """Each scheduler's database, and the sidecar that has watched all of them from the beginning."""

    dsns: dict[str, str]
    sidecar: Sidecar

    def write(self, name: str, statements: tuple[str, ...]) -> None:
        with psycopg.connect(self.dsns[name], autocommit=True) as db:
            for statement in statements:
                db.execute(statement)  # type: ignore[call-overload]
                # No two ends of a job in one millisecond, as no scheduler's are: answers put them in order by that.
                db.execute("SELECT pg_sleep(0.003)")


@pytest.fixture(scope="module")
def written(postgres_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Written]:
    with psycopg.connect(postgres_server.dsn(), autocommit=True) as admin:
        for name in NAMES:
            admin.execute(f"CREATE DATABASE written_{name} TEMPLATE template0")  # type: ignore[call-overload]
    dsns = {name: postgres_server.dsn(f"written_{name}") for name in NAMES}
    stores = [{"name": name, "dsn": dsn} for name, dsn in dsns.items()]
    for name, dsn in dsns.items():
        with psycopg.connect(dsn, autocommit=True) as db:
            db.execute((SCHEMAS / SCRIPTS[name].schema).read_text())  # type: ignore[call-overload]
            for statement in SCRIPTS[name].before:
                db.execute(statement)  # type: ignore[call-overload]
    with watched(tmp_path_factory.mktemp("written"), *stores, history=False) as sidecar:
        for name in WITH_HISTORY:
            until(lambda name=name: sidecar.read_upto(name) > 0, 180, f"a first poll of {name}")
        found = Written(dsns, sidecar)
        for name in NAMES:
            found.write(name, SCRIPTS[name].steps)
        yield found


@pytest.fixture(scope="module")
def compared(written: Written) -> dict[str, dict[str, list[str]]]:
    """The differences by scheduler and family."""
    return {name: compare(name, written.dsns[name], written.sidecar) for name in NAMES}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("name", NAMES)
def test_a_family_is_what_the_tables_say(name: str, family: str, compared: dict[str, dict[str, list[str]]]) -> None:
    assert not compared[name][family], "\n".join(compared[name][family])


@pytest.mark.parametrize("family", ANSWERS)
@pytest.mark.parametrize("name", NAMES)
def test_an_answer_is_what_the_tables_say(
    name: str, family: str, written: Written, compared: dict[str, dict[str, list[str]]]
) -> None:
    agree(name, family, written.dsns[name], written.sidecar)


@pytest.mark.parametrize("name", WITH_HISTORY)
def test_what_fails_in_a_row_has_a_page(name: str, written: Written, compared: dict[str, dict[str, list[str]]]) -> None:
    failing = written.sidecar.get(f"/api/scheduler-monitoring/dashboard?store={name}").json["topFailures"]
    assert failing
    for job in failing:
        page = written.sidecar.get(f"/jobs/{quote(job['jobId'], safe='')}?store={name}")
        assert (page.status, job["taskType"] in page.text) == (200, True), job


@pytest.fixture(scope="module")
def late(written: Written, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sidecar]:
    """A sidecar that comes when the scripts are written."""
    stores = [{"name": name, "dsn": written.dsns[name]} for name in WITH_HISTORY]
    with watched(tmp_path_factory.mktemp("written-late"), *stores) as sidecar:
        has_read_history(sidecar)
        yield sidecar


@pytest.mark.parametrize("name", WITH_HISTORY)
def test_what_was_before_is_what_the_tables_say(name: str, written: Written, late: Sidecar) -> None:
    for family in OF_HISTORY:
        agree(name, family, written.dsns[name], late)


@pytest.mark.parametrize("name", [name for name in NAMES if SCRIPTS[name].later])
def test_what_is_retried_and_deleted_stays_counted(
    name: str, written: Written, compared: dict[str, dict[str, list[str]]]
) -> None:
    earlier = tables_say(name, written.dsns[name])
    written.write(name, SCRIPTS[name].later[:-1])
    before = tables_say(name, written.dsns[name], earlier)
    differences = compare(name, written.dsns[name], written.sidecar, earlier)
    assert not {family: lines for family, lines in differences.items() if lines}
    written.write(name, SCRIPTS[name].later[-1:])
    differences = compare(name, written.dsns[name], written.sidecar, before)
    assert not {family: lines for family, lines in differences.items() if lines}


def test_no_scheduler_is_forgotten() -> None:
    assert WRITTEN.keys() == set(NAMES)
