"""What each profile is tried with: docs/schedulers.md is made from this (tools/schedulers_doc.py)."""

from __future__ import annotations

from typing import Final

from support.schedulers import Contract

EACH_ATTEMPT: Final = {("add", "success"): 4, ("boom", "failed"): 1, ("flaky", "failed"): 2, ("flaky", "success"): 1}
LAST_ATTEMPT: Final = {("add", "success"): 4, ("boom", "failed"): 1, ("flaky", "success"): 1}


def named(prefix: str, runs: dict[tuple[str, str], int]) -> dict[tuple[str, str], int]:
    """Task types as a scheduler spells them."""
    return {(prefix + task, outcome): n for (task, outcome), n in runs.items()}


#: Those that run here, each in processes of its own.
LIVE: Final = (
    Contract(
        name="procrastinate", title="procrastinate", recurs="last run", profile="procrastinate", tried="3.10",
        runs=EACH_ATTEMPT,
        recurring="tick", live={"SCHEDULED": 1, "RUNNING": 1}, database="shared", workers=True,
    ),
    Contract(
        name="pgqueuer", title="PgQueuer", recurs="next and last run",
        profile="pgqueuer", tried="1.6.0", runs=EACH_ATTEMPT, recurring=None,
        live={"SCHEDULED": 1, "RUNNING": 1}, database="shared", workers=True,
    ),
    Contract(
        name="pgboss12", title="pg-boss 12", recurs="cron, next and last run", indexed=False,
        profile="pg-boss", tried="12.35.0 (schema 43)", version="43 (pg-boss 12.35)",
        variant="dependencies (12)",
        runs={**LAST_ATTEMPT, ("parted", "success"): 1, ("late", "timeout"): 1}, recurring="tick",
        live={"SCHEDULED": 1, "RUNNING": 1, "QUEUED": 1},
    ),
    Contract(
        name="pgboss10", driver="pgboss12", title="pg-boss 10", recurs="cron, next run", indexed=False,
        profile="pg-boss", tried="10.4.2 (schema 24)", version="24 (pg-boss 10.4)",
        variant="archive (10)", database="shared", schema="boss_ten",
        runs={**LAST_ATTEMPT, ("parted", "success"): 1, ("late", "timeout"): 1}, recurring="tick",
        live={"SCHEDULED": 1, "RUNNING": 1, "QUEUED": 1},
    ),
    Contract(
        name="graphile", title="Graphile Worker", recurs="last run", indexed=False,
        profile="graphile-worker", tried="0.18.0 (migration 20)", version="20 (Graphile Worker 0.18)",
        runs={("boom", "failed"): 1}, recurring="tick", live={"SCHEDULED": 1, "RUNNING": 1},
    ),
    Contract(
        name="oban", title="Oban (Python)", recurs="no",
        profile="oban", tried="Python 0.7.0", variant="with producers (Python)",
        runs=named("driver.", {(task.capitalize(), outcome): n for (task, outcome), n in EACH_ATTEMPT.items()}),
        recurring="driver.Tick", live={"SCHEDULED": 1, "RUNNING": 1}, long="driver.Long", workers=True,
    ),
    Contract(
        name="celery", title="Celery on Django", recurs="cron, next run of crontabs",
        profile="celery-django", tried="Celery 5.5, results 2.6.0, beat 2.9.0",
        variant="results and beat",
        version="django_celery_results 0014, django_celery_beat 0019"
        " (django-celery-results 2.6, django-celery-beat 2.9)",
        runs={**LAST_ATTEMPT, ("late", "timeout"): 1}, recurring="tick", live={"RUNNING": 1}, beside=("beat",),
    ),
    Contract(
        name="chancy", title="Chancy", recurs="next and last run", indexed=False,
        profile="chancy", tried="0.26.0", version="8 (Chancy 0.26)", runs=named("driver.", LAST_ATTEMPT),
        recurring="driver.tick", live={"SCHEDULED": 1, "RUNNING": 1}, long="driver.long", workers=True,
    ),
)  # fmt: skip

APSCHEDULER: Final = Contract(
    name="apscheduler", title="APScheduler 3", profile="apscheduler", tried="3.11.3", recurs="next run",
)  # fmt: skip
PG_CRON: Final = Contract(
    name="pg_cron", title="pg_cron", profile="pg-cron", tried="1.4 on PostgreSQL 15", recurs="cron, next run",
    version="1.4-1 (pg_cron 1.4)", indexed=False,
)  # fmt: skip
AIRFLOW: Final = Contract(
    name="airflow", title="Apache Airflow 3", profile="airflow", tried="3.3.2", recurs="next run", seldom=True,
    version="d2f4e1b3c5a7 (Airflow 3.3.2)", indexed=False, workers=True, recurring="work.add",
    runs=named("work.", {**EACH_ATTEMPT, ("add", "success"): 1}), long="endless.long",
)  # fmt: skip
#: All that are tried at work.
AT_WORK: Final = (*LIVE, APSCHEDULER, PG_CRON, AIRFLOW)

QUARTZ: Final = Contract(
    name="quartz", title="Quartz", profile="quartz", tried="2.5.2, 2.3.2",
    variant="with simple triggers",
    recurs="next and last run", workers=True,
)  # fmt: skip
#: Those that cannot be installed here: made and written as their own migrations and statements do it (scripts.py).
SCHEMA_ONLY: Final = (
    # Every run of the tests has its schema; make contract has it at work.
    AIRFLOW,
    Contract(
        name="river", title="River", profile="river", tried="0.43 (migration 7)", recurs="no",
        version="7 (River 0.43, its migrations read)",
    ),
    Contract(
        name="oban_elixir", title="Oban (Elixir)", profile="oban", tried="2.23 (migration 14)", recurs="no",
        indexed=False,
        version="14 (Oban for Elixir 2.23, its migrations read)",
    ),
    Contract(
        name="good_job", title="GoodJob", profile="good-job", tried="4.19", recurs="no", indexed=False, workers=True,
    ),
    Contract(
        name="solid_queue", title="Solid Queue", profile="solid-queue", tried="1.5", recurs="cron, last run",
        workers=True,
    ),
    QUARTZ,
)  # fmt: skip
