"""The same numbers as a poll's, asked by GROUP BY: Debian's prometheus-sql-exporter, over the whole history."""

from __future__ import annotations

import statistics
import time
from pathlib import Path

from benchmarks import peers
from benchmarks.kept import PEER, Database
from benchmarks.report import Row, spread
from exporter.domain import EXECUTION_BUCKETS

_LASTED = "extract(epoch FROM completed_at - started_at)"
_BUCKETS = {f"le_{bound:g}".replace(".", "_"): f"count(*) FILTER (WHERE d <= {bound:g})" for bound in EXECUTION_BUCKETS}
_COLUMNS = ", ".join(f"{expression} AS {name}" for name, expression in _BUCKETS.items())
#: What ``scheduling_executions_total``, ``_retries_total`` and ``_duration_seconds`` tell (waits and workers left out).
QUERIES = [
    {
        "name": "executions",
        "help": "Finished executions",
        "labels": ["task_type", "status"],
        "values": ["count"],
        "query": "SELECT task_type, status, count(*) AS count FROM executions"
        " WHERE completed_at IS NOT NULL GROUP BY 1, 2",
    },
    {
        "name": "retries",
        "help": "Finished executions that were a retry",
        "labels": ["task_type"],
        "values": ["count"],
        "query": "SELECT task_type, count(*) FILTER (WHERE attempt > 0) AS count FROM executions"
        " WHERE completed_at IS NOT NULL GROUP BY 1",
    },
    {
        "name": "duration",
        "help": "Durations by bucket",
        "labels": ["task_type"],
        "values": [*_BUCKETS, "count", "sum"],
        "query": f"SELECT task_type, {_COLUMNS}, count(*) AS count, sum(d) AS sum FROM"
        f" (SELECT task_type, {_LASTED} AS d FROM executions WHERE completed_at IS NOT NULL) q GROUP BY 1",
    },
]
_SPENT = f"""
SELECT query, calls, total_exec_time + total_plan_time FROM pg_stat_statements s JOIN pg_roles r ON r.oid = s.userid
WHERE r.rolname = '{PEER}' AND query LIKE '%FROM executions%'
"""


def grouping(database: Database, directory: Path, ours_ms: float, rounds: int) -> list[Row]:
    """Database time of the peer's questions against ``ours_ms`` (one poll), in the same run."""
    with database.connect() as admin:
        admin.execute("SELECT pg_stat_statements_reset()")
        totals: list[float] = []
        before = 0.0
        for _ in range(rounds):
            # Each start asks everything once.
            with peers.sql_exporter(database, directory, QUERIES, interval="1h") as url:
                peers.wait_for(url, b"sql_duration", 600)
                deadline = time.monotonic() + 600
                while len(spent := admin.execute(_SPENT.encode()).fetchall()) < len(QUERIES) or (
                    min(calls for _, calls, _ in spent) <= len(totals)
                ):
                    if time.monotonic() > deadline:
                        raise RuntimeError("sql_exporter did not ask all its questions")
                    time.sleep(0.2)
            now = sum(milliseconds for _, _, milliseconds in spent)
            totals.append(now - before)
            before = now
    ratio = statistics.median(totals) / ours_ms
    return [
        Row("database time of a poll", f"{ours_ms:.2f} ms"),
        Row("database time of sql_exporter's GROUP BY", spread(totals, " ms", 0)),
        Row("times cheaper", f"{ratio:,.0f}", "500", ratio >= 500),
    ]
