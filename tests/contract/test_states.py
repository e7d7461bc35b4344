"""A job has one status, whichever statement of a profile is asked: tried with a row of every state there is.

Rows are added to the schedulers' real tables in a transaction that is rolled back: nobody else sees them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from importlib import resources
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row
from support.counting import Counter
from support.postgres import Database

from contract.conftest import Observed
from contract.contracts import APSCHEDULER, AT_WORK, LIVE, SCHEMA_ONLY
from contract.every_state import EVERY_STATE
from contract.scripts import SCRIPTS
from contract.test_schema_only import SCHEMAS
from exporter.domain import JOB_STATUSES, LIVE_STATUSES
from exporter.stores.profile import named

Rows = list[dict[str, Any]]
#: These have one statement about jobs, which cannot disagree with itself.
ALONE = {"apscheduler", "pg-cron"}
#: Whose one-time jobs are not found by an id -> how the profile's header says so.
NOT_FOUND = {"airflow": "is counted among the jobs, but neither found by its id nor exported"}


@contextmanager
def _filled(dsn: str, name: str) -> Iterator[psycopg.Cursor[dict[str, Any]]]:
    with psycopg.connect(dsn, row_factory=dict_row) as db, db.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        for statement in EVERY_STATE[name]:
            cursor.execute(statement)  # type: ignore[call-overload]
            assert cursor.rowcount > 0, statement
        yield cursor
        db.rollback()


@pytest.fixture(params=EVERY_STATE)
def told(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Rows | None]:
    """By entity of the profile: what its statement gives; None where the profile has none."""
    name = request.param
    if name in {contract.name for contract in LIVE}:
        one: Observed = request.getfixturevalue("installed")[name]
        return _ask(one.driven.dsn, name, one.profile)
    database: Database = request.getfixturevalue("database")
    with database.connect() as db:
        db.execute((SCHEMAS / SCRIPTS[name].schema).read_text())  # type: ignore[call-overload]
    with closing(Counter(database.dsn, "auto", tmp_path)) as counter:
        return _ask(database.dsn, name, counter.profile)


def _ask(dsn: str, name: str, profile: Any) -> dict[str, Rows | None]:
    entities = {entity: getattr(profile, entity) for entity in ("jobs", "live_jobs", "job_by_id", "running")}
    with _filled(dsn, name) as cursor:
        return {entity: sql and cursor.execute(sql).fetchall() for entity, sql in entities.items()}


def _statuses(rows: Rows, kind: str = "ONE_TIME") -> dict[str, str]:
    return {str(row["id"]): row["status"] for row in rows if row.get("type", "ONE_TIME") == kind}


def test_statements_agree_on_every_state(told: dict[str, Rows | None], request: pytest.FixtureRequest) -> None:
    assert told["jobs"]
    jobs = _statuses(told["jobs"])
    assert {"RUNNING"} < set(jobs.values()) <= set(JOB_STATUSES)
    if told["live_jobs"] is not None:
        unfinished = {job: status for job, status in jobs.items() if status in LIVE_STATUSES}
        live = {job: status for job, status in _statuses(told["live_jobs"]).items() if status in LIVE_STATUSES}
        assert live == unfinished
    if told["job_by_id"] is not None:
        every = {**jobs, **_statuses(told["jobs"], "RECURRING")}
        alone = {str(row["id"]): row["status"] for row in told["job_by_id"]}
        assert alone
        assert alone == {job: status for job, status in every.items() if job in alone}
        # Those that recur are found in the list of them, too.
        name = request.node.callspec.params["told"]
        assert jobs.keys() & alone.keys() == (set() if name in NOT_FOUND else jobs.keys())
    if told["running"] is not None:
        # What runs may be the job itself, or something of its own that names its job.
        running = {
            next((i for i in (str(row["job_id"]), str(row["id"])) if i in jobs), None) for row in told["running"]
        }
        assert running - {None} == {job for job, status in jobs.items() if status == "RUNNING"}


@pytest.mark.parametrize("name", NOT_FOUND)
def test_a_header_says_which_jobs_are_not_found_by_their_ids(name: str) -> None:
    lines = resources.files("exporter.stores.profiles").joinpath(f"{name}.yaml").read_text().splitlines()
    assert NOT_FOUND[name] in " ".join(line.removeprefix("# ") for line in lines if line.startswith("#"))


def test_no_profile_is_forgotten() -> None:
    tried = {contract.profile for contract in (*AT_WORK, *SCHEMA_ONLY) if contract.name in EVERY_STATE}
    assert {contract.profile for contract in (*AT_WORK, *SCHEMA_ONLY)} == tried | ALONE
    for name in ALONE:
        assert named(name).live_jobs in (None, named(name).jobs)
    assert APSCHEDULER.profile in ALONE
