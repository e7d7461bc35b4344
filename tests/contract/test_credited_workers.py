"""Who ran an execution: procrastinate's row names its last worker only, which need not have run the attempts before."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from procrastinate.schema import SchemaManager
from support.counting import Counter
from support.postgres import Database

FETCH = "SELECT id FROM procrastinate_fetch_job_v2(NULL, %s)"
RETRY = "SELECT procrastinate_retry_job_v2(%s, now(), NULL, NULL, NULL)"
FINISH = "SELECT procrastinate_finish_job_v1(%s, %s, false)"


def test_attempts_before_the_last_are_not_credited_to_the_worker_of_the_last(
    database: Database, tmp_path: Path
) -> None:
    with database.connect() as db, closing(Counter(database.dsn, "procrastinate", tmp_path)) as counter:
        db.execute(SchemaManager.get_schema())  # type: ignore[arg-type]
        counter.poll()
        for _ in range(2):
            db.execute("SELECT procrastinate_register_worker_v1()")
        db.execute("INSERT INTO procrastinate_jobs (queue_name, task_name) VALUES ('q', 'flaky'), ('q', 'boom')")
        for _ in range(2):
            db.execute(FETCH, (1,))
        db.execute(RETRY, (1,))
        db.execute(FINISH, (2, "failed"))
        counter.poll()
        assert counter.counts.workers == {"1": (0, 2, 0, 0)}  # who looks in time sees it
        db.execute(FETCH, (1,))
        db.execute(RETRY, (1,))
        db.execute(RETRY, (2,))  # by hand, of what had failed
        for _ in range(2):
            db.execute(FETCH, (2,))
        for job in (1, 2):
            db.execute(FINISH, (job, "succeeded"))
        counter.poll()
        assert counter.counts.executions == {"flaky": (1, 2, 0, 0), "boom": (1, 1, 0, 0)}
        assert counter.counts.workers == {"1": (0, 2, 0, 0), "2": (2, 0, 0, 0)}
