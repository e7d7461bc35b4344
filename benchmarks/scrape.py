"""/metrics with about 5,000 series, gzip: ours against sql_exporter and postgres_exporter at equal series, in one run.

    python -m benchmarks.scrape

Budgets: with 4 clients at least 20 times sql_exporter's and 50 times postgres_exporter's requests/s (wrk, one thread,
the programs take turns); p99 at most 5 ms at 500 requests/s (``benchmarks.load``, open loop, 4 connections). The peers
show the very samples of our page, from a table; postgres_exporter asks for nothing else.
"""

from __future__ import annotations

import statistics
import time
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from benchmarks import kept, load, peers
from benchmarks.kept import Database
from benchmarks.report import Row, Sizes, run, spread
from benchmarks.sidecar import Sidecar, kept_waiting, one_store, running, scratch

#: Label values that make about 5,000 series with the histograms of each task type.
TASK_TYPES, WORKERS, RECURRING = 95, 285, 100
RATE, SECONDS = 500, 10
BUDGETS = {"sql_exporter": 20, "postgres_exporter": 50}
BUSY = f"""
INSERT INTO executions (task_type, status, attempt, scheduled_at, started_at, completed_at, worker_id)
SELECT 'task_type_' || mod(n, {TASK_TYPES}), (ARRAY['SUCCESS', 'FAILED', 'TIMEOUT', 'CANCELLED'])[1 + mod(n / 7, 4)],
       mod(n, 2), clock_timestamp() - interval '2 seconds', clock_timestamp() - mod(n, 100) * interval '20 ms',
       clock_timestamp(), 'worker-' || mod(n, {WORKERS}) FROM generate_series(1, 20000) n;
INSERT INTO jobs (name, task_type, status, type, schedule)
SELECT 'job ' || n, 'task_type_' || n, 'SCHEDULED', 'RECURRING', '0 3 * * *' FROM generate_series(1, {RECURRING}) n
"""


def measure(sizes: Sizes) -> list[Row]:
    """The rows of BENCHMARKS.md."""
    with (
        kept.server() as server,
        kept.empty(server, "scrape") as database,
        scratch() as directory,
        running(one_store(database) | {"limits": {"series_per_metric": 5000}}) as sidecar,
    ):
        series, page = fill(sidecar, database)
        counts, rates = against_peers(sidecar, database, directory, as_queries(database, page), sizes.rounds)
        counts = {"ours": series, **counts}
        return [
            Row("series", ", ".join(f"{name} {count:,}" for name, count in counts.items())),
            *(Row(f"requests/s, {name}", spread(found, digits=0)) for name, found in rates.items()),
            *(compared(name, rates) for name in BUDGETS),
            *steady(sidecar, sizes.rounds),
        ]


def against_peers(
    sidecar: Sidecar, database: Database, directory: Path, queries: dict[str, dict[str, object]], rounds: int
) -> tuple[dict[str, int], dict[str, list[float]]]:
    """The series that each peer shows, and requests/s of all in turns; the peers are gone afterwards."""
    extended = {"series": queries["postgres_exporter"]}
    with (
        peers.sql_exporter(database, directory, [queries["sql_exporter"]], interval="15s") as first,
        peers.postgres_exporter(database, directory, extended) as second,
    ):
        urls = {"ours": f"{sidecar.url}/metrics", "sql_exporter": first, "postgres_exporter": second}
        counts = {}
        for name, prefix in (("sql_exporter", b"\nsql_series"), ("postgres_exporter", b"\nseries_value")):
            counts[name] = peers.wait_for(urls[name], prefix, 30).count(prefix)
        rates: dict[str, list[float]] = {name: [] for name in urls}
        for _ in range(rounds):
            for name, url in urls.items():
                rates[name].append(load.wrk(url, seconds=SECONDS // 2)[0])
    return counts, rates


def fill(sidecar: Sidecar, database: Database) -> tuple[int, str]:
    """Have executions of many task types and workers end, and return the series that the page has then."""
    sidecar.until(lambda: sidecar.value("scheduling_exporter_cursor_timestamp_seconds"), 30)
    with database.connect() as admin:
        for statement in BUSY.split(";\n"):
            admin.execute(statement.encode())
    sidecar.until(lambda: sidecar.value("scheduling_executions_total") == 20_000, 60, every=0.2)
    time.sleep(20)  # the recurring jobs have been listed by then, every series has been seen
    page = sidecar.get("/metrics") or ""
    return sum(1 for line in page.splitlines() if not line.startswith("#")), page


def as_queries(database: Database, page: str) -> dict[str, dict[str, object]]:
    """Put the page's samples into a table; returns each peer's question for them."""
    samples = [
        (sample.name, *[*sample.labels.values(), "", "", "", ""][:4], sample.value)
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    ]
    with database.connect() as admin:
        admin.execute("CREATE TABLE samples (name text, a text, b text, c text, d text, value float8)")
        admin.cursor().executemany("INSERT INTO samples VALUES (%s, %s, %s, %s, %s, %s)", samples)
    labels = ["name", "a", "b", "c", "d"]
    query = "SELECT name, a, b, c, d, value FROM samples"
    described = [{label: {"usage": "LABEL", "description": "x"}} for label in labels]
    return {
        "sql_exporter": {"name": "series", "help": "x", "labels": labels, "values": ["value"], "query": query},
        "postgres_exporter": {
            "query": query,
            "metrics": [*described, {"value": {"usage": "GAUGE", "description": "x"}}],
        },
    }


def compared(peer: str, rates: dict[str, list[float]]) -> Row:
    """Our requests/s over the peer's, round by round."""
    ratios = [ours / theirs for ours, theirs in zip(rates["ours"], rates[peer], strict=True)]
    return Row(
        f"times {peer}'s requests/s",
        spread(ratios, digits=0),
        f">= {BUDGETS[peer]}",
        statistics.median(ratios) >= BUDGETS[peer],
    )


def steady(sidecar: Sidecar, rounds: int) -> list[Row]:
    """Latency at a rate that a scraper's many replicas would not reach."""
    found, cpu, stolen = [], [], []
    for _ in range(rounds):
        before, waited = sidecar.cpu(), kept_waiting(sidecar)
        found.append(load.result(load.steady(f"{sidecar.url}/metrics", rate=RATE, seconds=SECONDS)))
        cpu.append(100 * (sidecar.cpu() - before) / SECONDS)
        stolen.append(100 * (kept_waiting(sidecar) - waited) / SECONDS)
    p99 = [r["p99"] for r in found]
    return [
        Row(f"p99 at {RATE} requests/s", spread(p99, " ms"), "<= 5 ms", statistics.median(p99) <= 5),
        Row("p50 at that rate", spread([r["p50"] for r in found], " ms")),
        Row("p99 of the client's own lateness", spread([r["lateness"] for r in found], " ms")),
        Row("the sidecar's share of a core at that rate", spread(cpu, "%", 0)),
        Row("of the time it waited for a processor", spread(stolen, "%")),
    ]


if __name__ == "__main__":
    run("scrape", measure)
