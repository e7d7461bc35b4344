"""/api/system/stats?period=30d over 10 M executions: from the rollups, against the same SQL over the store.

    python -m benchmarks.stats [--executions 10000000]

Budgets: p99 at most 10 ms (100 requests/s, ``benchmarks.load``), and 100 times faster than the SQL. The history is
backfilled first (35 days, at full load), and the answer's total is compared with the store's.
"""

from __future__ import annotations

import json
import statistics
import time

from benchmarks import kept, load
from benchmarks.kept import Database
from benchmarks.report import Row, Sizes, run, spread
from benchmarks.sidecar import Sidecar, history_read, one_store, running

PATH = "/api/system/stats?period=30d"
RATE, SECONDS = 100, 10
BACKFILL_SECONDS = 1800
#: What the answer tells, asked of the store itself. Cancelled executions are not part of its total.
COUNTED = "FROM executions WHERE status <> 'CANCELLED' AND completed_at"
SINCE = f"{COUNTED} > now() - interval '30 days'"
LASTED = "extract(epoch FROM completed_at - started_at) * 1000"
SUCCESS = "count(*) FILTER (WHERE status = 'SUCCESS')"
QUERIES = (
    "SELECT status, type, count(*) FROM jobs GROUP BY 1, 2",
    f"SELECT count(*), {SUCCESS}, count(*) FILTER (WHERE status = 'FAILED'),"
    f" count(*) FILTER (WHERE status = 'TIMEOUT'), count(*) FILTER (WHERE attempt > 0), avg({LASTED}), max({LASTED})"
    f" {SINCE}",
    f"SELECT task_type, count(*), {SUCCESS}, avg({LASTED}) {SINCE} GROUP BY 1",
    f"SELECT date_trunc('hour', completed_at), count(*), {SUCCESS}, count(*) FILTER (WHERE status = 'FAILED')"
    f" {SINCE} GROUP BY 1 ORDER BY 1",
)


def measure(sizes: Sizes) -> list[Row]:
    """The rows of BENCHMARKS.md."""
    with kept.server() as server:
        store = kept.store(server, executions=sizes.executions, jobs=sizes.jobs)
        config = one_store(store, counting={"backfill": "35d"}, max_db_load=1.0)
        config["api"] = {"rate_limit": {"per_second": 0}}  # one client asks more often than one may
        with running(config) as sidecar:
            sidecar.until(lambda: served(sidecar), 60, every=0.2)
            spent = sidecar.cpu()
            waited = sidecar.until(lambda: history_read(sidecar), BACKFILL_SECONDS, every=0.5)
            spent = sidecar.cpu() - spent
            data = json.loads(sidecar.get(PATH) or "{}")["data"]
            found, asked = [], []
            for _ in range(sizes.rounds):
                steady = load.steady(f"{sidecar.url}{PATH}", rate=RATE, seconds=SECONDS)
                found.append(load.result(steady))
                asked.append(ask(store))
            peak = sidecar.peak_rss()
        with store.connect() as admin:
            expected = kept.number(admin, f"SELECT count(*) {COUNTED} >= '{data['periodStart']}'::timestamptz")
    total = int(data["executions"]["total"])
    p99 = [r["p99"] for r in found]
    ratio = statistics.median(asked) / statistics.median(p99)
    return [
        Row("backfill before that", f"{waited:.0f} s, {sizes.executions / waited:,.0f}/s, {spent:.0f} s of processor"),
        Row("peak memory in it", f"{peak:.1f} MB"),
        Row("total in the answer / in the store", f"{total:,} / {expected:,}", "equal", total == expected),
        Row(f"p99 at {RATE} requests/s", spread(p99, " ms"), "<= 10 ms", statistics.median(p99) <= 10),
        Row("p50 at that rate", spread([r["p50"] for r in found], " ms")),
        Row("the same by SQL over the store", spread(asked, " ms", 0)),
        Row("times faster (SQL's median over our p99)", f"{ratio:,.0f}", ">= 100", ratio >= 100),
    ]


def served(sidecar: Sidecar) -> bool:
    """Whether the path is answered; 503 says that the store is not known yet."""
    try:
        return sidecar.get(PATH) is not None
    except RuntimeError:
        return False


def ask(store: Database) -> float:
    """Milliseconds that the store takes for the same answer."""
    with store.connect() as admin:
        started = time.perf_counter()
        for query in QUERIES:
            admin.execute(query.encode()).fetchall()
        return 1000 * (time.perf_counter() - started)


if __name__ == "__main__":
    run("stats", measure)
