"""pg_cron at work in a PostgreSQL 15 of its own: ids are given at the start, and each run is counted at its end."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import psycopg
import yaml
from support.counting import Counter
from support.polling import until
from support.sidecar import run_command

from contract.conftest import CronServer
from contract.contracts import PG_CRON

STATUSES = ("success", "failed", "timeout", "cancelled")


def counted(counter: Counter) -> dict[str, dict[str, int]]:
    """Task type -> status -> number, those that are not 0."""
    counter.poll()
    return {
        task: {status: n for status, n in zip(STATUSES, numbers, strict=True) if n}
        for task, numbers in counter.counts.executions.items()
        if any(numbers)
    }


def truth(cron: CronServer) -> dict[str, int]:
    """Runs by job that pg_cron says have ended."""
    with psycopg.connect(cron.dsn) as db:
        rows = db.execute(
            """SELECT j.jobname, count(*) FROM cron.job_run_details d JOIN cron.job j USING (jobid)
               WHERE d.status IN ('succeeded', 'failed') GROUP BY 1"""
        ).fetchall()
    return {str(name): int(n) for name, n in rows}


def agrees(cron: CronServer) -> bool:
    """Whether each job has ended once, and what has ended is what is counted."""
    before, found = truth(cron), counted(cron.counter)
    same = {task: sum(numbers.values()) for task, numbers in found.items()} == before == truth(cron)
    return same and before.keys() == {"good", "bad", "late", "endless", "slow"}


def cancel(cron: CronServer) -> bool:
    """Cancel what does not end by itself, once others that began after it have ended."""
    with psycopg.connect(cron.dsn) as db:
        row = db.execute(
            """SELECT count(pg_cancel_backend(d.job_pid)) FROM cron.job_run_details d JOIN cron.job j USING (jobid)
               WHERE j.jobname = 'endless' AND d.status = 'running'
                 AND EXISTS (SELECT FROM cron.job_run_details x WHERE x.runid > d.runid AND x.status = 'succeeded')"""
        ).fetchone()
    counted(cron.counter)
    return row is not None and row[0] > 0


def test_each_run_is_counted_once_when_it_ends(cron: CronServer) -> None:
    until(lambda: cancel(cron), 300, "a run that does not end is overtaken, and cancelled", every=1.0)
    until(lambda: agrees(cron), 300, "every job has run, and all runs are counted", every=1.0)
    found = counted(cron.counter)
    assert found["good"].keys() == found["slow"].keys() == {"success"}
    assert found["bad"].keys() == {"failed"}
    assert found["late"].keys() == {"timeout"}
    assert found["endless"].keys() == {"cancelled"}
    assert not cron.counter.exactness_reasons()
    messages = {group.message for group in cron.counter.errors(3600)}
    assert any("division by zero" in message for message in messages), messages


def test_schedules_and_version_are_told(cron: CronServer) -> None:
    found, schema = cron.counter.recognise()
    assert (found.profile.name, schema.told, schema.doubt) == ("pg-cron", PG_CRON.version, None)
    jobs = {job.name: job for job in cron.counter.ask("schedules").jobs}
    assert jobs.keys() == {"good", "bad", "late", "endless", "slow", "held"}
    assert jobs["held"].status == "PENDING"
    assert jobs["good"].next_run is not None
    assert not [job for job in jobs.values() if job.overdue_since is not None]


def test_a_role_from_which_rows_are_hidden_is_told_so(cron: CronServer, tmp_path: Path) -> None:
    with psycopg.connect(cron.dsn, autocommit=True) as db:
        db.execute("CREATE ROLE watcher LOGIN PASSWORD 'w' IN ROLE pg_monitor")
        db.execute("GRANT USAGE ON SCHEMA cron TO watcher; GRANT SELECT ON ALL TABLES IN SCHEMA cron TO watcher")
    store = {"name": "cron", "dsn": cron.dsn_as("watcher", "w")}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({"stores": [store]}))
    told = " ".join(run_command("profile", "check", directory=tmp_path).stdout.split())
    assert "row-level security may hide rows of cron.job_run_details from role watcher" in told
    assert "CREATE POLICY scheduler_exporter ON cron.job FOR SELECT TO" in told
    # It is said while the exporter runs, too: nothing there would ever show an error.
    with closing(Counter(store["dsn"], "auto", tmp_path / "state")) as counter:
        counter.poll()
        assert "may hide rows of cron.job_run_details" in "".join(counter.exactness_reasons())
        with psycopg.connect(cron.dsn, autocommit=True) as db:
            for table in ("job", "job_run_details"):
                db.execute(f"CREATE POLICY scheduler_exporter ON cron.{table} FOR SELECT TO watcher USING (true)")
        counter.kill()
        counter.start()
        counter.poll()
        assert not counter.exactness_reasons()
        assert counter.ask("schedules").jobs
