"""Catching up: 1,000,000 executions ended within the hour in which the sidecar was down.

    python -m benchmarks.catchup [--executions 1000000]

Budgets: at least 50,000 executions/s from the start of the process until scheduling_executions_total has them all,
asked five times a second; at most 72 MB RSS; and in a second run p99 of /metrics under 50 ms meanwhile (a request
every 10 ms from a process of its own, open loop).

The sidecar has polled the empty store and was ended; its cursor is then put back by an hour, so that nobody has to wait
for one, and the executions are made between there and now.
"""

from __future__ import annotations

import contextlib
import sqlite3
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from benchmarks import kept, load
from benchmarks.generate import generate
from benchmarks.kept import Database
from benchmarks.report import Row, Sizes, run, spread
from benchmarks.sidecar import Sidecar, kept_waiting, one_store, scratch
from exporter.ledger.cursor import BackfillState, CursorState
from exporter.ledger.database import FILE_NAME

EXECUTIONS = 1_000_000
DOWN_SECONDS = 3600
GIVE_UP_SECONDS = 300
MEMORY = 72
#: Requests of /metrics a second, in every second run.
RATE = 100
TOTAL = "scheduling_executions_total"


def measure(sizes: Sizes) -> list[Row]:
    """The rows of BENCHMARKS.md."""
    executions = min(sizes.executions, EXECUTIONS)
    with kept.server() as server:
        alone: list[CatchUp] = []
        asked: list[CatchUp] = []
        for number in range(sizes.rounds):
            for found, rate in ((alone, 0), (asked, RATE)):
                with kept.empty(server, f"catchup_{number}_{rate}") as database:
                    found.append(once(database, executions, rate))
    rates = [executions / caught.seconds for caught in alone]
    peaks = [caught.peak for caught in alone + asked]
    slow = [caught.met["p99"] for caught in asked]
    return [
        Row("executions/s", spread(rates, digits=0), ">= 50,000", statistics.median(rates) >= 50_000),
        Row("executions per second of its processor time", spread([executions / each.cpu for each in alone], digits=0)),
        Row("its threads waited for a processor", spread([each.waited for each in alone], " s")),
        Row("peak memory", spread(peaks, " MB"), f"<= {MEMORY} MB", statistics.median(peaks) <= MEMORY),
        Row(f"executions/s beside {RATE} requests/s", spread([executions / each.seconds for each in asked], digits=0)),
        Row("p99 of /metrics meanwhile", spread(slow, " ms"), "< 50 ms", statistics.median(slow) < 50),
        Row("longest answer", spread([each.met["max"] for each in asked], " ms")),
    ]


@dataclass(frozen=True)
class CatchUp:
    """One catch-up: seconds, those of the processor, those without one though ready; peak MB; what the load met."""

    seconds: float
    cpu: float
    waited: float
    peak: float
    met: dict[str, float]


def once(database: Database, executions: int, rate: int) -> CatchUp:
    """Poll an empty store, be down for an hour, catch up; ``rate``: requests of /metrics a second meanwhile."""
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
            with asking(sidecar, rate) as met:
                sidecar.until(lambda: sidecar.value(TOTAL) == executions, GIVE_UP_SECONDS, every=0.2)
                seconds = time.monotonic() - began
            return CatchUp(seconds, sidecar.cpu(), kept_waiting(sidecar), sidecar.peak_rss(), met)
        finally:
            sidecar.stop()


@contextlib.contextmanager
def asking(sidecar: Sidecar, rate: int) -> Iterator[dict[str, float]]:
    """Ask for /metrics so often; what was met is there at the end."""
    met: dict[str, float] = {}
    if rate == 0:
        yield met
        return
    answers = load.steady(f"{sidecar.url}/metrics", rate=rate, seconds=GIVE_UP_SECONDS)
    try:
        yield met
    finally:
        answers.terminate()
    met.update(load.result(answers))


def put_back(sidecar: Sidecar) -> None:
    """Make the state file's first and last poll ones of an hour ago."""
    with sqlite3.connect(sidecar.state / FILE_NAME) as state:
        for name, text, history in state.execute("SELECT name, cursor, backfill FROM store").fetchall():
            cursor = msgspec.json.decode(text, type=CursorState)
            backfill = msgspec.json.decode(history, type=BackfillState)
            earlier = {
                field: getattr(backfill, field) - DOWN_SECONDS for field in ("boundary", "position", "since", "reached")
            }
            moved = msgspec.structs.replace(
                cursor,
                upto=cursor.upto - DOWN_SECONDS,
                read_at=cursor.read_at - DOWN_SECONDS,
                floor=cursor.floor - DOWN_SECONDS,
                read_to=None,
            )
            state.execute(
                "UPDATE store SET cursor = ?, backfill = ? WHERE name = ?",
                (_json(moved), _json(msgspec.structs.replace(backfill, **earlier)), name),
            )
    state.close()


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


if __name__ == "__main__":
    run("catchup", measure)
