"""Exports: whole, in flat memory, harmless to spreadsheets; slow and vanished clients hold nothing of the store's."""

from __future__ import annotations

import csv
import http.client
import io
import json
import socket
import time
from contextlib import closing
from typing import Any

import psutil
import psycopg
import pytest
from support.polling import until
from support.scheduler import APPLICATION, NativeStore
from support.sidecar import HOST, Sidecar, StartSidecar, one_store

EXPORT = "/api/scheduler-monitoring/export?period=7d"
ROWS = 60_000
#: Texts that a spreadsheet would run, and texts that are nothing of the kind.
FORMULAS = ("=cmd|' /C calc'!A0", "+1+1", "-2", "@SUM(A1)", "\tx", " =1", "\uff1d1")
HARMLESS = ("plain", "a=b", 'say "hi", twice', "two\nlines", "")


def fill(native: NativeStore, rows: int = ROWS) -> None:
    with native.database.connect() as connection:
        connection.execute(
            "INSERT INTO executions (job_id, task_type, status, attempt, started_at, completed_at, worker_id, result)"
            " SELECT 1 + n %% 3, 'mail', 'SUCCESS', 0, t - interval '2 s', t, 'worker-' || n %% 9,"
            " jsonb_build_object('n', n, 'text', repeat('x', 200))"
            " FROM generate_series(1, %s) n, LATERAL (SELECT now() - n * interval '8 s' t) x",
            [rows],
        )


@pytest.fixture
def sidecar(native: NativeStore, start_sidecar: StartSidecar) -> Sidecar:
    """One that reads no history: the exports are what is looked at."""
    config = one_store(native.dsn, counting={"backfill": "0s"})
    started = start_sidecar({**config, "environment": "test", "api": {"rate_limit": {"per_second": 0}}})
    until(lambda: started.get("/api/system/stats").status == 200, 60, "the store is read")
    return started


def download(sidecar: Sidecar, path: str) -> bytes:
    answer = sidecar.get(path, timeout=60)
    assert answer.status == 200, answer.text
    return answer.body


def test_an_export_is_whole_and_memory_stays_flat(native: NativeStore, sidecar: Sidecar) -> None:
    fill(native)
    process = psutil.Process(sidecar.process.pid)
    before = process.memory_info().rss
    rows = json.loads(download(sidecar, EXPORT))
    assert len(rows) == ROWS
    assert len({row["id"] for row in rows}) == ROWS
    assert [row["completedAt"] for row in rows] == sorted((row["completedAt"] for row in rows), reverse=True)
    lines = list(csv.DictReader(io.StringIO(download(sidecar, f"{EXPORT}&format=csv").decode(), newline="")))
    assert [line["id"] for line in lines] == [row["id"] for row in rows]
    assert {line["durationMs"] for line in lines} == {"2000"}
    assert process.memory_info().rss - before < 20e6


def test_formulas_are_defused_and_nothing_else_is_touched(native: NativeStore, sidecar: Sidecar) -> None:
    with native.database.connect() as connection:
        connection.cursor().executemany(
            "INSERT INTO executions (task_type, status, completed_at, worker_id, error_message)"
            " VALUES (%s, 'FAILED', now(), %s, %s)",
            [(text, text, text) for text in (*FORMULAS, *HARMLESS)],
        )
    text = download(sidecar, f"{EXPORT}&format=csv&details=true").decode()
    lines = list(csv.DictReader(io.StringIO(text, newline="")))
    for column in ("taskType", "workerId", "errorMessage"):
        assert {line[column] for line in lines} == {*(f"'{formula}" for formula in FORMULAS), *HARMLESS}
    rows = json.loads(download(sidecar, f"{EXPORT}&details=true"))
    assert {row["errorMessage"] for row in rows} == {*FORMULAS, *HARMLESS}


@pytest.mark.parametrize("gone", [False, True], ids=["stops reading", "goes away"])
def test_a_client_holds_nothing_of_the_store(native: NativeStore, sidecar: Sidecar, *, gone: bool) -> None:
    fill(native)
    with closing(socket.create_connection((HOST, sidecar.port))) as client, native.database.connect() as connection:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.sendall(f"GET {EXPORT}&details=true HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert client.recv(1000).startswith(b"HTTP/1.1 200")
        if gone:
            client.close()
        until(lambda: not exporting(connection), 30, "the store's connection is given back")
        # Before the export's own patience with its client ends, which is 30 s.
        assert sidecar.get("/api/jobs/1/logs", timeout=15).status == 200


def exporting(connection: psycopg.Connection[Any]) -> bool:
    """Whether a connection of the sidecar is inside a page of an export, looked at for a second."""
    for _ in range(20):
        row = connection.execute(
            "SELECT 1 FROM pg_stat_activity WHERE application_name = %s AND state <> 'idle'"
            " AND query ~ 'exporter_export'",
            [APPLICATION],
        ).fetchone()
        if row is not None:
            return True
        time.sleep(0.05)
    return False


def test_what_breaks_off_does_not_look_whole(native: NativeStore, sidecar: Sidecar) -> None:
    fill(native)
    with closing(http.client.HTTPConnection(HOST, sidecar.port, timeout=30)) as connection:
        connection.sock = socket.create_connection((HOST, sidecar.port))
        connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.request("GET", f"{EXPORT}&details=true")
        answer = connection.getresponse()
        assert answer.status == 200
        answer.read(1000)
        with native.database.connect() as admin:
            admin.execute("ALTER TABLE executions RENAME TO gone")
        with pytest.raises((http.client.IncompleteRead, ConnectionError)):
            while answer.read(1 << 16):
                pass
    until(lambda: bool(sidecar.events("an export broke off")), 60, "the log says so")


def test_details_are_for_admins(native: NativeStore, start_sidecar: StartSidecar) -> None:
    token = {"name": "viewer", "role": "viewer", "token": "a-viewer-s-token"}
    started = start_sidecar({**one_store(native.dsn), "auth": {"tokens": [token]}})
    headers = {"Authorization": "Bearer a-viewer-s-token"}
    until(lambda: started.get("/api/system/stats", headers=headers).status == 200, 60, "the store is read")
    assert started.get(EXPORT, headers=headers).status == 200
    refused = started.get(f"{EXPORT}&details=true", headers=headers)
    assert (refused.status, "admins" in refused.text) == (403, True)
    assert started.get(EXPORT).status == 401
