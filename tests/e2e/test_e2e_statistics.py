"""The JSON statistics against SQL over the store: history, what is new, a kill in between, rows that are pruned."""

from __future__ import annotations

import json
import signal
import statistics
import time
from typing import Any

import psycopg
import pytest
from support.polling import until
from support.scheduler import NativeStore, clock
from support.sidecar import Sidecar, StartSidecar, store

PERIODS = ("1h", "6h", "24h", "7d", "30d")
#: {n} executions that ended in the {days} days before now, most of them lately.
FILL = """
INSERT INTO executions (job_id, task_type, status, attempt, started_at, completed_at, worker_id)
SELECT i %% 50, 'type_' || i %% 7, s.status, i %% 3, e.ended - d.took, e.ended, 'worker_' || i %% 5
FROM generate_series(1, %(n)s) i
CROSS JOIN LATERAL (SELECT (ARRAY['SUCCESS', 'SUCCESS', 'SUCCESS', 'FAILED', 'TIMEOUT', 'CANCELLED'])
                           [1 + (random() * 5)::int + i * 0] AS status) s
CROSS JOIN LATERAL (SELECT clock_timestamp() - (%(days)s * random() ^ 4 + i * 0) * interval '1 day' AS ended) e
CROSS JOIN LATERAL (SELECT exp(4 * random() - 1 + i * 0) * interval '1 s' AS took) d
"""
#: Half a hundredth goes up, as in the answers.
RATE = "to_char(round(100.0 * coalesce({good} / nullif({all}, 0)::numeric, 0), 2), 'FM990.00') || '%%'"
GOOD = "count(*) FILTER (WHERE status = 'SUCCESS')"
ALL = "count(*) FILTER (WHERE status <> 'CANCELLED')"
MEAN = "round(avg(extract(epoch FROM completed_at - started_at)) * 1000)::int8"
FIGURES = f"""
SELECT {ALL}, {GOOD}, count(*) FILTER (WHERE status = 'FAILED'), count(*) FILTER (WHERE status = 'TIMEOUT'),
       count(*) FILTER (WHERE status = 'CANCELLED'), count(*) FILTER (WHERE attempt > 0),
       {RATE.format(good=GOOD, all=ALL)}, {MEAN},
       round(max(extract(epoch FROM completed_at - started_at)) * 1000)::int8
FROM truth WHERE completed_at >= %s::timestamptz
"""
BY_LABEL = f"""
SELECT {{label}}, {ALL}, {GOOD}, {RATE.format(good=GOOD, all=ALL)}, {MEAN}
FROM truth WHERE completed_at >= %s::timestamptz GROUP BY 1 HAVING {ALL} > 0 ORDER BY 2 DESC, 1
"""
TREND = f"""
SELECT to_char(date_trunc('hour', completed_at AT TIME ZONE 'UTC'), 'YYYY-MM-DD HH24:00'), {ALL}, {GOOD},
       count(*) FILTER (WHERE status IN ('FAILED', 'TIMEOUT'))
FROM truth WHERE completed_at >= %s::timestamptz GROUP BY 1 HAVING {ALL} > 0 ORDER BY 1
"""
EXECUTION_KEYS = ("total", "success", "failed", "timeout", "cancelled", "retries", "successRate", "avgDuration",
                  "maxDuration")  # fmt: skip


def fill(native: NativeStore, n: int, days: float) -> float:
    """Executions that have ended; returns the server's clock."""
    with native.database.connect() as connection:
        connection.execute(FILL, {"n": n, "days": days})
        return clock(connection)


def answer(sidecar: Sidecar, path: str, status: int = 200) -> Any:
    found = sidecar.get(path)
    assert found.status == status, found.text
    return json.loads(found.body)


def history(sidecar: Sidecar) -> dict[str, Any]:
    """How far history has been read; LookupError before that is known."""
    found = answer(sidecar, "/api/scheduler-monitoring/status")["stores"][0]["backfill"]
    if found is None:
        raise LookupError("not polled yet")
    return dict(found)


def close(found: int, expected: int) -> bool:
    """Equal but for the last digit: sums of floats."""
    return found == pytest.approx(expected, abs=1)


def told_right(connection: psycopg.Connection[Any], data: dict[str, Any]) -> None:
    """``data`` of /api/system/stats is what SQL says from the same ``periodStart``."""
    since = [data["periodStart"]]
    row = connection.execute(FIGURES, since).fetchone()
    assert row is not None
    found = data["executions"]
    expected = dict(zip(EXECUTION_KEYS, row, strict=True))
    for key in ("avgDuration", "maxDuration"):
        assert close(found.pop(key), expected.pop(key)), key
    assert found == expected
    by_label(connection, data["executionsByTaskType"], "task_type", since)
    trend = connection.execute(TREND, since).fetchall()
    assert [tuple(hour.values()) for hour in data["hourlyTrend"]] == trend


def by_label(connection: psycopg.Connection[Any], found: list[dict[str, Any]], label: str, since: list[str]) -> None:
    expected = connection.execute(BY_LABEL.format(label=label), since).fetchall()  # type: ignore[call-overload]
    assert [tuple(row.values())[:-1] for row in found] == [row[:-1] for row in expected]
    assert all(close(row["avgDuration"], sql[-1]) for row, sql in zip(found, expected, strict=True))


def all_right(native: NativeStore, sidecar: Sidecar) -> None:
    with native.database.connect() as connection:
        for period in PERIODS:
            data = answer(sidecar, f"/api/system/stats?period={period}")["data"]
            assert (data["period"], data["coverage"]["complete"]) == (period, True)
            told_right(connection, data)
        seen = sidecar.get("/api/system/workers")
        table = json.loads(seen.body)["data"]
        worked = [row for row in table["workers"] if row["executions"]]
        rows = connection.execute(
            "SELECT date_trunc('hour', %s::timestamptz - interval '24 h')::text",
            [seen.headers["x-snapshot-timestamp"]],
        ).fetchone()
        assert rows is not None
        for row in worked:
            assert (row.pop("host"), row.pop("lastSeen"), row.pop("activeJobs")) == (None, None, 0)
        expected = connection.execute(BY_LABEL.format(label="worker_id"), rows).fetchall()  # type: ignore[call-overload]
        assert [(row["workerId"], row["executions"], row["successRate"]) for row in worked] == [
            (name, total, rate) for name, total, _, rate, _ in expected
        ]
        assert table["totalWorkers"] == len(expected) + 1  # and one that has finished nothing


def test_statistics_equal_sql_through_a_kill_and_a_pruning(native: NativeStore, make_sidecar: StartSidecar) -> None:
    fill(native, 20_000, 32)
    slow = {"stores": [store(native.dsn, max_db_load=0.0001)]}
    sidecar = make_sidecar(slow)
    sidecar.start()
    sidecar.settled(since=fill(native, 200, 0.0001))
    assert until(lambda: history(sidecar), 60, "history is being read")["complete"] is False
    coverage = answer(sidecar, "/api/system/stats?period=30d")["data"]["coverage"]
    assert coverage["complete"] is False
    sidecar.kill()

    done = fill(native, 300, 0.0001)
    sidecar.configure({"stores": [store(native.dsn, max_db_load=1.0)]})
    sidecar.start()
    sidecar.settled(since=done)
    until(lambda: history(sidecar)["complete"], 180, "history is read")
    done = fill(native, 100, 0.0001)
    sidecar.settled(since=done)
    with native.database.connect() as connection:
        connection.execute("CREATE TABLE truth AS SELECT * FROM executions WHERE completed_at IS NOT NULL")
    all_right(native, sidecar)

    with native.database.connect() as connection:
        connection.execute("DELETE FROM executions WHERE completed_at IS NOT NULL")
        pruned = clock(connection)
    sidecar.settled(since=pruned)
    all_right(native, sidecar)
    sidecar.kill()
    sidecar.start()
    all_right(native, sidecar)


def test_jobs_workers_and_what_runs_now(native: NativeStore, start_sidecar: StartSidecar, free_port: Any) -> None:
    dead = store(f"postgresql://u@127.0.0.1:{free_port()}/x", timeout="1s") | {"name": "gone"}
    sidecar = start_sidecar({"stores": [store(native.dsn), dead]})
    sidecar.settled(since=native.finish(4, status="TIMEOUT"))
    live = until(lambda: known(answer(sidecar, "/api/system/stats/live")), 60, "everything was asked")
    assert (live["running"], live["scheduled"]) == (1, 1)
    assert live["executions"] == {"last5min": 4, "failedLast5min": 4}
    data = until(lambda: known(answer(sidecar, "/api/system/stats"))["data"], 60, "jobs are counted")
    assert data["jobs"] == {
        "total": 4,
        "byStatus": {"PENDING": 0, "SCHEDULED": 1, "QUEUED": 3, "RUNNING": 0, "COMPLETED": 0, "FAILED": 0,
                     "CANCELLED": 0},
        "byType": {"ONE_TIME": 3, "RECURRING": 1},
        "active": 4,
        "failed": 0,
    }  # fmt: skip
    (worker,) = answer(sidecar, "/api/system/workers?store=main")["data"]["workers"]
    assert (worker["workerId"], worker["host"], worker["activeJobs"]) == ("w1", "host-1", 1)
    assert worker["lastSeen"] is not None
    assert answer(sidecar, "/api/system/stats?store=gone", 503)["success"] is False
    assert answer(sidecar, "/api/system/stats?store=none", 404)["success"] is False
    assert answer(sidecar, "/api/system/stats?period=2h", 400)["error"].startswith("period: expected")

    until(lambda: answer(sidecar, "/api/scheduler-monitoring/status")["stores"][1]["up"] is False, 60, "gone is down")
    status = answer(sidecar, "/api/scheduler-monitoring/status")
    assert status["status"] == "degraded"
    main, gone = status["stores"]
    assert (main["name"], main["profile"], main["up"]) == ("main", "native", True)
    assert 0 <= main["ageMs"] < 60_000
    assert gone == {
        "name": "gone", "profile": None, "up": False, "lastSuccessAt": None, "ageMs": None, "backfill": None,
    }  # fmt: skip
    assert (status["jobs"]["QUEUED"], status["running"], status["stuck"], status["overdue"]) == (3, 1, 0, 0)

    sidecar.configure({"stores": [store(native.dsn, interval="400ms")]})
    sidecar.process.send_signal(signal.SIGHUP)
    until(lambda: len(answer(sidecar, "/api/scheduler-monitoring/status")["stores"]) == 1, 60, "reloaded")
    until(lambda: answer(sidecar, "/api/scheduler-monitoring/status")["stores"][0]["profile"] == "native", 60)
    until(lambda: answer(sidecar, "/api/scheduler-monitoring/status")["status"] == "healthy", 60)
    assert answer(sidecar, "/api/system/stats?store=gone", 404)["success"] is False


def known(found: dict[str, Any]) -> dict[str, Any]:
    """``found``; AssertionError while it has an unknown number of jobs in it."""
    jobs = found["data"]["jobs"] if "data" in found else found
    assert None not in jobs.values()
    return found


def test_a_month_costs_next_to_nothing(native: NativeStore, start_sidecar: StartSidecar) -> None:
    fill(native, 20_000, 30)
    sidecar = start_sidecar({"stores": [store(native.dsn, interval="2s", max_db_load=1.0)]})
    until(lambda: history(sidecar)["complete"], 180, "history is read")
    taken: dict[str, list[float]] = {"30d": [], "1h": []}
    for _ in range(100):
        for period, seconds in taken.items():  # in turn: others have the processor as often for both
            began = time.perf_counter()
            answer(sidecar, f"/api/system/stats?period={period}")
            seconds.append(time.perf_counter() - began)
    month, hour = (statistics.median(seconds) for seconds in taken.values())
    assert month < max(0.01, 2 * hour), "a month takes as long as an hour"
