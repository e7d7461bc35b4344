"""``make million``: a million finished rows in each profile's tables. What does a poll cost, and which index ends that?

Tables are made by the schedulers themselves where they are installed (``make schedulers``), else by schemas/. Then each
profile is held against them as `profile check --analyze` does; what that names as missing is created, and it is asked
again. Prints a table, and ends with status 1 where a poll neither has an index nor is told of one.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import psycopg
from support.postgres import Database, fresh_database, running_server
from support.schedulers import Contract, Driven
from support.versions import binaries

from contract.contracts import APSCHEDULER, LIVE, PG_CRON, SCHEMA_ONLY
from contract.scripts import SCRIPTS
from exporter.config.model import Dsn, PostgresStore
from exporter.stores.checking.examine import examine
from exporter.stores.checking.report import StatementReport, StoreReport
from exporter.vault.references import Secrets

ROWS: Final = 1_000_000
SCHEMAS: Final = Path(__file__).parent / "schemas"
#: Ended one after the other within ten days, the last an hour ago.
AT: Final = "(now() - interval '1 hour' - ({rows} - n) * interval '0.8 s')"
NAIVE: Final = f"({AT} AT TIME ZONE 'UTC')"
NUMBERS: Final = "generate_series(1, {rows}) n"

FILLS: Final[dict[str, tuple[str, ...]]] = {
    "procrastinate": (
        """INSERT INTO procrastinate_jobs (queue_name, task_name, args, status, attempts)
            SELECT 'q', 'add', '{}', 'succeeded', 1 FROM generate_series(1, {rows} / 3) n""",
        f"""INSERT INTO procrastinate_events (job_id, type, at)
            SELECT (n - 1) / 3 + 1,
                   (ARRAY['deferred', 'started', 'succeeded'])[(n - 1) % 3 + 1]::procrastinate_job_event_type, {AT}
            FROM generate_series(1, {{rows}} / 3 * 3) n""",
    ),
    "pgqueuer": (
        f"""INSERT INTO pgqueuer_log (created, job_id, status, priority, entrypoint, aggregated)
            SELECT {AT}, (n - 1) / 3 + 1,
                   (ARRAY['queued', 'picked', 'successful'])[(n - 1) % 3 + 1]::pgqueuer_status, 0, 'add', true
            FROM {NUMBERS}""",
    ),
    "pgboss12": (
        f"""INSERT INTO pgboss.job (name, state, start_after, created_on, started_on, completed_on, policy)
            SELECT 'add', 'completed', {AT}, {AT}, {AT}, {AT}, 'standard' FROM {NUMBERS}""",
    ),
    "pgboss10": (
        f"""INSERT INTO boss_ten.job (name, state, start_after, created_on, started_on, completed_on, policy)
            SELECT 'add', 'completed', {AT}, {AT}, {AT}, {AT}, 'standard' FROM {NUMBERS}""",
    ),
    "graphile": (
        "INSERT INTO graphile_worker._private_tasks (identifier) VALUES ('add')",
        f"""INSERT INTO graphile_worker._private_jobs (task_id, run_at, attempts, max_attempts, last_error, created_at,
                                                       updated_at)
            SELECT 1, {AT}, 1, 1, 'boom', {AT} - interval '1 day', {AT} - interval '1 day' FROM {NUMBERS}""",
    ),
    "oban": (
        f"""INSERT INTO oban_jobs (state, worker, queue, attempt, attempted_at, completed_at, attempted_by)
            SELECT 'completed', 'Add', 'default', 1, {NAIVE}, {NAIVE}, '{{{{node}}}}' FROM {NUMBERS}""",
    ),
    "celery": (
        f"""INSERT INTO django_celery_results_taskresult (task_id, status, content_type, content_encoding, result,
                                                          task_name, worker, date_created, date_started, date_done)
            SELECT 'id-' || n, 'SUCCESS', 'application/json', 'utf-8', '1', 'add', 'w', {AT}, {AT}, {AT}
            FROM {NUMBERS}""",
    ),
    "chancy": (
        f"""INSERT INTO chancy_jobs (id, queue, func, state, attempts, max_attempts, created_at, started_at,
                                     completed_at, scheduled_at, priority)
            SELECT gen_random_uuid(), 'default', 'add', 'succeeded', 1, 1, {AT}, {AT}, {AT}, {AT}, 0 FROM {NUMBERS}""",
    ),
    "apscheduler": (
        """INSERT INTO apscheduler_jobs (id, next_run_time, job_state)
            SELECT 'job-' || n, extract(epoch FROM now()) + n, '' FROM generate_series(1, {rows} / 1000) n""",
    ),
    "pg_cron": (
        "SELECT cron.schedule('add', '0 3 * * *', 'SELECT 1')",
        f"""INSERT INTO cron.job_run_details (jobid, runid, job_pid, database, username, command, status, start_time,
                                              end_time)
            SELECT 1, n, 1, 'postgres', 'postgres', 'SELECT 1', 'succeeded', {AT}, {AT} FROM {NUMBERS}""",
    ),
    "river": (
        f"""INSERT INTO river_job (kind, args, state, attempt, attempted_at, finalized_at, attempted_by)
            SELECT 'add', '{{}}', 'completed', 1, {AT}, {AT}, '{{host}}' FROM {NUMBERS}""",
    ),
    "oban_elixir": (
        f"""INSERT INTO oban_jobs (state, worker, attempt, attempted_at, completed_at)
            SELECT 'completed', 'Add', 1, {NAIVE}, {NAIVE} FROM {NUMBERS}""",
    ),
    "good_job": (
        f"""INSERT INTO good_jobs (active_job_id, job_class, queue_name, created_at, finished_at, executions_count)
            SELECT md5(n::text)::uuid, 'Add', 'default', {NAIVE}, {NAIVE}, 1 FROM {NUMBERS}""",
        f"""INSERT INTO good_job_executions (active_job_id, job_class, queue_name, created_at, finished_at)
            SELECT md5(n::text)::uuid, 'Add', 'default', {NAIVE}, {NAIVE} FROM {NUMBERS}""",
    ),
    "solid_queue": (
        f"""INSERT INTO solid_queue_jobs (queue_name, class_name, created_at, finished_at)
            SELECT 'default', 'AddJob', {NAIVE}, {NAIVE} FROM {NUMBERS}""",
    ),
    "quartz": (
        """INSERT INTO qrtz_triggers (sched_name, trigger_name, trigger_group, job_name, job_group, next_fire_time,
                                       trigger_state, trigger_type, start_time)
            SELECT 's', 't' || n, 'g', 'j', 'g', (extract(epoch FROM now()) * 1000)::bigint + n, 'WAITING', 'CRON', 0
            FROM generate_series(1, {rows} / 1000) n""",
    ),
    "airflow": (
        f"""INSERT INTO task_instance (id, task_id, dag_id, run_id, state, try_number, start_date, end_date)
            SELECT md5(n::text)::uuid, 'add', 'work', 'r' || n, 'success', 1, {AT}, {AT} FROM {NUMBERS}""",
        f"""INSERT INTO task_instance_history (task_instance_id, task_id, dag_id, run_id, state, try_number, start_date,
                                               end_date)
            SELECT md5('h' || n)::uuid, 'add', 'work', 'r' || n, 'failed', 1, {AT}, {AT} FROM {NUMBERS}""",
    ),
}


@dataclass(frozen=True, kw_only=True)
class Line:
    """A profile's figures."""

    name: str
    profile: str
    before: StoreReport
    after: StoreReport | None
    created: tuple[str, ...]


@contextmanager
def store_of(contract: Contract, server: Any, directory: Path) -> Iterator[tuple[Database, dict[str, Any]]]:
    """A database with the scheduler's tables."""
    with fresh_database(server) as database:
        driven = Driven(contract=contract, dsn=database.dsn, directory=directory / contract.name)
        if contract in (*LIVE, APSCHEDULER):
            if (reason := driven.missing()) is not None:
                raise SystemExit(reason)
            driven.install()
            assert driven.children[0].wait(120), driven.log
        else:
            with database.connect() as db:
                db.execute((SCHEMAS / SCRIPTS[contract.name].schema).read_text())  # type: ignore[call-overload]
        yield database, {"profile": contract.profile, "parameters": contract.parameters}


def fill(db: psycopg.Connection, name: str, rows: int) -> None:
    """A million finished rows, as if a scheduler had worked for ten days."""
    db.execute("SET session_replication_role = replica")  # no triggers
    for sql in FILLS[name]:
        db.execute(sql.replace("{rows}", str(rows)).replace("{{", "{").replace("}}", "}"))  # type: ignore[call-overload]
    db.execute("VACUUM (ANALYZE)")


def check(dsn: str, options: dict[str, Any]) -> StoreReport:
    """What `profile check --analyze` finds."""
    store = PostgresStore(name="million", dsn=Dsn(dsn), **options)
    report = asyncio.run(examine(store, Secrets(), budget=500, analyze=True))
    assert report.ok, report.all_findings()
    return report


def measure(name: str, dsn: str, options: dict[str, Any], rows: int) -> Line:
    """Fill, check, create what is missing, check again."""
    with psycopg.connect(dsn, autocommit=True) as db:
        fill(db, name, rows)
        before = check(dsn, options)
        remedies = [r for s in before.statements for f in s.findings for r in f.remedy if f.level == "warning"]
        indexes = tuple(dict.fromkeys(r for r in remedies if r.startswith("CREATE INDEX")))
        for index in indexes:
            db.execute(index)  # type: ignore[call-overload]
        if indexes:
            db.execute("ANALYZE")
        return Line(
            name=name,
            profile=before.profile,
            before=before,
            after=check(dsn, options) if indexes else None,
            created=indexes,
        )


def statement(report: StoreReport | None, *names: str) -> StatementReport | None:
    """The slowest of these statements."""
    found = [s for s in report.statements if s.name in names] if report is not None else []
    return max(found, key=lambda s: s.milliseconds or 0.0, default=None)


def cost(found: StatementReport | None) -> str:
    """Time and buffers."""
    return "-" if found is None or found.milliseconds is None else f"{found.milliseconds:,.1f} ms, {found.buffers:,}"


def told(line: Line) -> str:
    """A row of the table in BENCHMARKS.md."""
    finished = statement(line.before, "executions", "unfinished")
    others = ("running", "queues", "overdue", "schedules", "workers", "position")
    seconds = max((s.milliseconds or 0.0) for s in line.before.statements if s.name != "jobs" and s.name != "catch-up")
    interval = max(15.0, seconds / 1000 / 0.01)
    indexes = "; ".join(f"`{index.removesuffix(';')}`" for index in line.created) or "its own"
    cells = (
        line.name, f"`{line.profile}`", cost(finished), cost(statement(line.before, *others)), f"{interval:.0f} s",
        indexes, cost(statement(line.after, "executions", "unfinished")), cost(statement(line.after, *others)),
    )  # fmt: skip
    return "| " + " | ".join(cells) + " |"


def sound(line: Line) -> list[str]:
    """What must not be: a poll that reads a table whole and is told of no index, or still does with it."""
    wrong = []
    for report in filter(None, (line.before, line.after)):
        for found in report.statements:
            for finding in found.findings:
                named = any(remedy.startswith("CREATE INDEX") for remedy in finding.remedy)
                if finding.level == "warning" and (report is line.after or not named):
                    wrong.append(f"{line.name}: {found.name}: {finding.text}")
    return wrong


def main() -> int:
    """Measure those that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", nargs="*", help=f"of: {', '.join(FILLS)}")
    parser.add_argument("--rows", type=int, default=ROWS)
    arguments = parser.parse_args()
    contracts = {c.name: c for c in (*LIVE, APSCHEDULER, PG_CRON, *SCHEMA_ONLY)}
    names = arguments.name or list(FILLS)
    lines = []
    print(
        "| scheduler | profile | finished | other polls | interval | index to add | finished with it | others with it |"
    )
    print("|---|---|---|---|---|---|---|---|", flush=True)
    with TemporaryDirectory(prefix="million-") as place, running_server() as server:
        for name in names:
            if name == "pg_cron":
                lines.append(of_pg_cron(arguments.rows))
            else:
                with store_of(contracts[name], server, Path(place)) as (database, options):
                    lines.append(measure(name, database.dsn, options, arguments.rows))
            print(told(lines[-1]), flush=True)
    wrong = [text for line in lines for text in sound(line)]
    for text in wrong:
        print(text, file=sys.stderr)
    return 1 if wrong else 0


def of_pg_cron(rows: int) -> Line:
    """pg_cron has a server of its own."""
    with TemporaryDirectory(prefix="scheduler-exporter-cron-", ignore_cleanup_errors=True) as place:
        Path(place).chmod(0o711)
        found = binaries(15, Path(place))
        if found is None:
            raise SystemExit("PostgreSQL 15 with pg_cron is missing: apt install postgresql-15-cron")
        from exporter.demo.postgres import PostgresServer  # noqa: PLC0415

        server = PostgresServer(
            Path(place) / "postgres", settings={"shared_preload_libraries": "pg_cron"}, binaries=found
        )
        server.start()
        try:
            with psycopg.connect(server.dsn(), autocommit=True) as db:
                db.execute("CREATE EXTENSION pg_cron")
            return measure("pg_cron", server.dsn(), {"profile": "pg-cron"}, rows)
        finally:
            server.stop("immediate")


if __name__ == "__main__":
    sys.exit(main())
