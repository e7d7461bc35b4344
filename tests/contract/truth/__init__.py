"""The truth about each scheduler: what its own tables say after known work, read apart from the exporter's profiles.

``model`` has what is asked for, a module named after a scheduler the plain SQL that answers it, ``families`` the
metrics that this makes. Another scheduler is one more module and one line here.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Final

import psycopg
from support.polling import until
from support.sidecar import Sidecar

from contract.truth import (
    airflow,
    apscheduler,
    celery,
    chancy,
    good_job,
    graphile,
    oban,
    oban_elixir,
    pg_cron,
    pgboss,
    pgqueuer,
    procrastinate,
    quartz,
    river,
    solid_queue,
)
from contract.truth.asking import Database
from contract.truth.comparing import differences
from contract.truth.families import FAMILIES
from contract.truth.model import Told

#: How long the sidecar may take to show what has come to rest. Some of it changes in whole minutes.
SECONDS: Final = 90.0
#: By the name of the contract. Airflow's is asked by its own test, which takes minutes.
TRUTHS: Final[dict[str, Callable[[Database], Told]]] = {
    "procrastinate": procrastinate.told,
    "pgqueuer": pgqueuer.told,
    "pgboss12": pgboss.twelve,
    "pgboss10": pgboss.ten,
    "graphile": graphile.told,
    "oban": oban.told,
    "celery": celery.told,
    "chancy": chancy.told,
    "apscheduler": apscheduler.told,
    "pg_cron": pg_cron.told,
    "airflow": airflow.told,
}
#: Those whose tables are written by scripts (contract.scripts).
WRITTEN: Final[dict[str, Callable[[Database], Told]]] = {
    "airflow": airflow.told,
    "river": river.told,
    "oban_elixir": oban_elixir.told,
    "good_job": good_job.told,
    "solid_queue": solid_queue.told,
    "quartz": quartz.told,
}


def tables_say(name: str, dsn: str, earlier: Told | None = None) -> Told:
    """What they say now; runs that they told ``earlier`` and have forgotten since are not undone."""
    with psycopg.connect(dsn) as connection:
        told = {**TRUTHS, **WRITTEN}[name](Database(connection))
    if earlier is None or told.runs is None:
        return told
    still = {(run.job, run.status, run.ended) for run in told.runs}
    gone = [run for run in earlier.runs or () if (run.job, run.status, run.ended) not in still]
    return replace(told, runs=[*gone, *told.runs])


def compare(name: str, dsn: str, sidecar: Sidecar, earlier: Told | None = None) -> dict[str, list[str]]:
    """Until what ``sidecar`` shows is what the tables say; the differences, by family, that there still are then."""
    found: dict[str, list[str]] = {}

    def agree() -> bool:
        found.update(differences(sidecar.metrics(), name, tables_say(name, dsn, earlier)))
        return not any(found.values())

    with suppress(AssertionError):
        until(agree, SECONDS, every=0.5)
    assert found.keys() == FAMILIES.keys(), "not everything was compared"
    return found
