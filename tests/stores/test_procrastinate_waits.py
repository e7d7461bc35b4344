"""How long procrastinate's jobs waited, where they were deferred for a moment that had passed."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from procrastinate.schema import SchemaManager
from support.counting import Counter
from support.postgres import Database, execute


def test_a_job_does_not_wait_before_it_is_there(database: Database, tmp_path: Path) -> None:
    with database.connect() as db:
        db.execute(SchemaManager.get_schema())
    with closing(Counter(database.dsn, "procrastinate", tmp_path)) as counter:
        counter.poll()
        execute(
            database,
            "INSERT INTO procrastinate_jobs (task_name, queue_name, scheduled_at)"
            " VALUES ('t', 'q', now() - interval '1 h')",
            "UPDATE procrastinate_jobs SET status = 'doing'",
            "UPDATE procrastinate_jobs SET status = 'succeeded'",
        )
        counter.poll()
        waits = counter.counts.waits["t"]
        assert counter.totals()["SUCCESS"] == 1
        assert 0 <= waits.sum < 600
