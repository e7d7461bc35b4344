"""Catching up: 1,000,000 executions ended within the hour in which the sidecar was down.

    python -m benchmarks.catchup [--executions 1000000]

Budgets: at least 50,000 executions/s from the start of the process until scheduling_executions_total has them all; at
most 72 MB RSS; p99 of /metrics under 50 ms meanwhile (a request every 10 ms from a process of its own, open loop).

The sidecar has polled the empty store and was ended; its cursor is then put back by an hour, so that nobody has to wait
for one, and the executions are made between there and now.
"""

from __future__ import annotations

import sqlite3
import statistics
import time

import msgspec

from benchmarks import kept, load
from benchmarks.generate import generate
from benchmarks.kept import Database
from benchmarks.report import Row, Sizes, run, spread
from benchmarks.sidecar import Sidecar, one_store, scratch
from exporter.ledger.cursor import CursorState
from exporter.ledger.database import FILE_NAME

EXECUTIONS = 1_000_000
DOWN_SECONDS = 3600
#: The load stops by itself: longer than a catch-up within its budget takes, it is asked for its figures at the end.
LOAD_SECONDS = 15
MEMORY = 72


def measure(sizes: Sizes) -> list[Row]:
    """The rows of BENCHMARKS.md."""
    executions = min(sizes.executions, EXECUTIONS)
    with kept.server() as server:
        found = []
        for number in range(sizes.rounds):
            with kept.empty(server, f"catchup_{number}") as database:
                found.append(once(database, executions))
    rates = [executions / seconds for seconds, *_ in found]
    peaks = [peak for _, peak, *_ in found]
    slow = [met["p99"] for _, _, _, _, met in found]
    return [
        Row("executions/s", spread(rates, digits=0), ">= 50,000", statistics.median(rates) >= 50_000),
        Row("peak memory", spread(peaks, " MB"), f"<= {MEMORY} MB", statistics.median(peaks) <= MEMORY),
        Row("p99 of /metrics meanwhile", spread(slow, " ms"), "< 50 ms", statistics.median(slow) < 50),
        Row("longest answer", spread([met["max"] for *_, met in found], " ms")),
        Row(
            "executions per second of its processor time",
            spread([executions / cpu for _, _, cpu, _, _ in found], digits=0),
        ),
        Row("sidecar's processor time", spread([cpu for _, _, cpu, _, _ in found], " s")),
        Row("database time", spread([seconds for _, _, _, seconds, _ in found], " s")),
    ]


def once(database: Database, executions: int) -> tuple[float, float, float, float, dict[str, float]]:
    """Seconds, peak MB, processor seconds, database seconds of one catch-up; what the load met."""
    with scratch() as directory:
        sidecar = Sidecar(directory, one_store(database, profile="native"))
        try:
            sidecar.start()
            sidecar.until(lambda: sidecar.value("scheduling_exporter_cursor_timestamp_seconds"), 30)
        finally:
            sidecar.stop()
        put_back(sidecar)
        dsn = database.server.dsn(database.name)
        generate(dsn, executions=executions, jobs=100_000, days=(DOWN_SECONDS - 120) / 86400, say=lambda _: None)
        began = time.monotonic()
        try:
            sidecar.start()
            answers = load.steady(f"{sidecar.url}/metrics", rate=100, seconds=LOAD_SECONDS)
            sidecar.until(lambda: sidecar.value("scheduling_executions_total") == executions, 300, every=0.2)
            seconds = time.monotonic() - began
            database_seconds = sidecar.value("scheduling_exporter_db_seconds_total", query="executions") or 0
            return seconds, sidecar.peak_rss(), sidecar.cpu(), database_seconds, load.result(answers)
        finally:
            sidecar.stop()


def put_back(sidecar: Sidecar) -> None:
    """Make the state file's last poll one of an hour ago."""
    with sqlite3.connect(sidecar.state / FILE_NAME) as state:
        for name, text in state.execute("SELECT name, cursor FROM store").fetchall():
            cursor = msgspec.json.decode(text, type=CursorState)
            moved = msgspec.structs.replace(
                cursor,
                upto=cursor.upto - DOWN_SECONDS,
                read_at=cursor.read_at - DOWN_SECONDS,
                floor=cursor.floor - DOWN_SECONDS,
            )
            state.execute("UPDATE store SET cursor = ? WHERE name = ?", (msgspec.json.encode(moved).decode(), name))
    state.close()


if __name__ == "__main__":
    run("catchup", measure)
