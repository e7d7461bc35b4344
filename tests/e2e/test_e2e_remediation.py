"""Remediation end to end: a real Alertmanager tells of an alert, what the configuration names is done, once."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

from aiohttp import web
from e2e.test_e2e_actions import audited, post, secured
from e2e.test_e2e_alerts import RECEIVER, WEBHOOK
from support.alerting import AlertmanagerServer, iso, receiver, running
from support.polling import until
from support.scheduler import PASSWORD, NativeStore
from support.sidecar import Sidecar, StartSidecar, one_store, target

from exporter.config.dsn import parse_dsn


def remedies(sidecar: Sidecar) -> list[tuple[str, str, str | None]]:
    """Who did what with which result."""
    rows = [row for row in audited(sidecar) if row["actor"].startswith("remediation ")]
    return [(row["actor"].removeprefix("remediation "), row["result"], row["data"].get("target")) for row in rows]


def due(native: NativeStore, job: int) -> bool:
    with native.database.connect() as connection:
        row = connection.execute("SELECT next_run_at <= now() FROM jobs WHERE id = %s", (job,)).fetchone()
    assert row is not None
    return bool(row[0])


def a_job(native: NativeStore) -> int:
    """A job that is not due."""
    with native.database.connect() as connection:
        row = connection.execute(
            "UPDATE jobs SET next_run_at = now() + interval '1 day', status = 'QUEUED'"
            " WHERE id = (SELECT min(id) FROM jobs) RETURNING id"
        ).fetchone()
        connection.execute("GRANT UPDATE (status, next_run_at, updated_at) ON jobs TO PUBLIC")
    assert row is not None
    return int(row[0])


def configured(native: NativeStore, hook: str, **remediation: Any) -> dict[str, Any]:
    role = str(parse_dsn(native.dsn)["user"])
    login = {"user": role, "password": PASSWORD, "database": native.database.name}
    rules = [
        {
            "name": "rerun",
            "alert": "SchedulingCriticalJobFailed",
            "match": {"store": "main"},
            "do": {"kind": "trigger"},
        },
        {"name": "look", "alert": "SchedulingConnectionDown", "do": {"kind": "check"}},
        {"name": "restart", "alert": "SchedulingNoWorkers", "do": {"kind": "http", "url": hook, "token": "hook-token"}},
    ]
    return secured(
        {
            **one_store(native.dsn),
            "connections": {"interval": "1h", "staleness": "2h",
                            "targets": [target("good", native.database.server.port, id=1, **login)]},
            "alerting": {"receiver": {"token": "receiver-token"},
                         "remediation": {"enabled": True, "rules": rules, **remediation}},
        }
    )  # fmt: skip


def test_what_the_configuration_names_is_done_once_and_written_down(
    native: NativeStore, tmp_path: Path, make_sidecar: StartSidecar
) -> None:
    job = a_job(native)
    sidecar = make_sidecar({})
    webhook = (
        f"{{url: 'http://127.0.0.1:{sidecar.port}{WEBHOOK}', send_resolved: true,"
        " http_config: {authorization: {credentials: receiver-token}}}"
    )
    server = AlertmanagerServer(tmp_path / "alertmanager", webhook)

    async def story() -> None:
        async with receiver(lambda _: web.Response(status=202)) as hook:
            sidecar.configure(configured(native, f"{hook.url}/restart"))
            sidecar.start()
            await server.fire("SchedulingCriticalJobFailed", store="main", job_id=str(job), severity="critical")
            await server.fire("SchedulingConnectionDown", connection="good")
            await server.fire("SchedulingNoWorkers", store="main")
            await server.fire("SchedulingRunMissed", store="main", job_id=str(job))
            await asyncio.to_thread(until, lambda: len(remedies(sidecar)) == 3, 60, "three remedies")
            [asked] = hook.requests
            assert (asked.method, asked.path, asked.headers["authorization"]) == (
                "POST",
                "/restart",
                "Bearer hook-token",
            )
            told = json.loads(asked.body)
            assert (told["rule"], told["alert"], told["labels"]["store"]) == ("restart", "SchedulingNoWorkers", "main")
            assert asked.headers["idempotency-key"]

    with running(server):
        asyncio.run(story())
    assert sorted(remedies(sidecar)) == [
        ("look", "success", "good"),
        ("rerun", "success", f"main/{job}"),
        ("restart", "success", "alertname=SchedulingNoWorkers, store=main"),
    ]
    assert due(native, job)

    def counted() -> dict[str, float]:
        return sidecar.metrics().by("rule", "scheduling_exporter_remediations_total", result="success")

    until(lambda: counted() == {"look": 1, "rerun": 1, "restart": 1}, 60, "each is counted")
    held_back = sidecar.metrics().by("rule", "scheduling_exporter_remediations_total", result="held_back")
    assert set(held_back.values()) == {0}


def test_the_cooldown_outlives_a_kill(native: NativeStore, start_sidecar: StartSidecar) -> None:
    job = a_job(native)
    sidecar = start_sidecar(configured(native, "http://127.0.0.1:1/never"))
    alert = {
        "status": "firing",
        "labels": {"alertname": "SchedulingCriticalJobFailed", "store": "main", "job_id": str(job)},
        "startsAt": iso(time.time() - 7200),
        "fingerprint": "f1",
    }
    over = {**alert, "status": "resolved", "endsAt": iso(time.time() - 3600), "fingerprint": "f2"}

    def tell(told: dict[str, Any]) -> None:
        answer = post(sidecar, WEBHOOK, {"version": "4", "alerts": [told]}, headers=RECEIVER)
        assert answer.status == 200, answer.text

    tell(over)
    tell(alert)
    until(lambda: remedies(sidecar) == [("rerun", "success", f"main/{job}")], 60, "the job was triggered")
    a_job(native)
    sidecar.kill()
    sidecar.start()
    tell(alert)
    until(lambda: [r[1] for r in remedies(sidecar)] == ["success", "refused"], 60, "the second one is held back")
    assert not due(native, job)
    [line] = sidecar.events("remedy held back")
    assert (line["rule"], line["reason"]) == ("rerun", "done within its cooldown of 15m")


def test_nothing_is_done_unless_it_is_turned_on(native: NativeStore, start_sidecar: StartSidecar) -> None:
    job = a_job(native)
    sidecar = start_sidecar(configured(native, "http://127.0.0.1:1/never", enabled=False))
    labels = {"alertname": "SchedulingCriticalJobFailed", "store": "main", "job_id": str(job)}
    alert = {"status": "firing", "labels": labels, "startsAt": iso(time.time() - 7200)}
    for _ in range(2):
        answer = post(sidecar, WEBHOOK, {"version": "4", "alerts": [alert]}, headers=RECEIVER)
        assert answer.status == 200, answer.text
    assert remedies(sidecar) == [] and not due(native, job)
