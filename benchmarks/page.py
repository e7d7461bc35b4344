"""The status page with 1,000 targets and 500 task types: what it weighs, and how long the server takes for it.

    python -m benchmarks.page [--rounds 3]

Budgets: p99 under 20 ms for one reader after another, while stores are polled and targets checked; under 100 kB,
everything in it. The store is in the native schema, 50,000 executions of 24 hours by 500 task types and 200 workers, a
tenth of them failed; every list has more pages than one. A target is a closed port: what fails shows more.
"""

from __future__ import annotations

import http.client
import statistics
import time
from contextlib import closing
from typing import Final

from benchmarks import kept
from benchmarks.report import Row, Sizes, percentile, run, spread
from benchmarks.sidecar import HOST, Sidecar, history_read, one_store, running
from exporter.demo.ports import free_port

TARGETS: Final = 1_000
TASK_TYPES: Final = 500
EXECUTIONS: Final = 50_000
ASKED: Final = 500
PATHS: Final = ("/?", "/?connections=30&types=20&failures=5&workers=7&running=5&overdue=4&")
_FILL: Final = f"""
INSERT INTO workers (id, host) SELECT 'worker-' || i, 'host-' || i FROM generate_series(1, 200) i;
INSERT INTO jobs (name, task_type, queue, status, next_run_at)
SELECT 'send the invoices of customer ' || i, 'billing.send_invoice_' || i % {TASK_TYPES}, 'default', 'QUEUED',
       now() - interval '1 hour' FROM generate_series(1, 2000) i;
INSERT INTO executions (job_id, task_type, status, attempt, started_at, completed_at, worker_id, error_message)
SELECT 1 + i % 2000, 'billing.send_invoice_' || i % {TASK_TYPES}, CASE WHEN i % 10 = 0 THEN 'FAILED' ELSE 'SUCCESS' END,
       i % 3, now() - i * interval '1.7 s' - interval '2 s', now() - i * interval '1.7 s', 'worker-' || 1 + i % 200,
       CASE WHEN i % 10 = 0 THEN 'cannot reach the mail server of customer ' || i || ': timed out after 30 s' END
FROM generate_series(1, {EXECUTIONS}) i;
INSERT INTO executions (job_id, task_type, started_at, worker_id)
SELECT i, 'billing.send_invoice_' || i % {TASK_TYPES}, now() - i * interval '3 min', 'worker-' || i
FROM generate_series(1, 100) i;
ANALYZE
"""


def measure(sizes: Sizes) -> list[Row]:
    """The rows of BENCHMARKS.md."""
    with kept.server() as server, kept.empty(server, "page") as store:
        with store.connect() as connection:
            connection.execute(_FILL.encode())
        closed = {"host": HOST, "port": free_port(), "database": "orders", "sslmode": "disable"}
        targets = [{"name": f"orders-replica-{n:04}.internal", **closed} for n in range(TARGETS)]
        config = {
            **one_store(store, max_db_load=1.0),
            "connections": {"targets": targets},
            "environment": "development",
        }
        with running(config) as sidecar:
            sidecar.until(lambda: history_read(sidecar), 120, every=0.5)
            sidecar.until(lambda: f"{TARGETS:,} down" in (sidecar.get("/") or ""), 120, every=0.5)
            before = sidecar.rss()
            return [row for path in PATHS for row in _asked(sidecar, path, sizes)] + [
                Row("resident memory before and after", f"{before:.1f} and {sidecar.rss():.1f} MB")
            ]


def _asked(sidecar: Sidecar, path: str, sizes: Sizes) -> list[Row]:
    """One reader loads the page again and again."""
    p99, medians, weight = [], [], 0
    with closing(http.client.HTTPConnection(HOST, sidecar.port, timeout=30)) as connection:
        for _ in range(sizes.rounds):
            spent = []
            for number in range(ASKED):
                started = time.perf_counter()
                # Another address each time: no page is one that was made for somebody else.
                connection.request("GET", f"{path}load={number}")
                answer = connection.getresponse()
                weight = max(weight, len(answer.read()))
                if answer.status != 200:
                    raise RuntimeError(f"{path}: status {answer.status}")
                spent.append(1000 * (time.perf_counter() - started))
            p99.append(percentile(spent, 0.99))
            medians.append(statistics.median(spent))
    name = "the first pages" if path == PATHS[0] else "later pages"
    return [
        Row(f"{name}: p99 of {ASKED} loads", spread(p99, " ms"), "< 20 ms", statistics.median(p99) < 20),
        Row(f"{name}: median", spread(medians, " ms")),
        Row(f"{name}: weight", f"{weight / 1000:.1f} kB", "< 100 kB", weight < 100_000),
    ]


if __name__ == "__main__":
    run("page", measure)
