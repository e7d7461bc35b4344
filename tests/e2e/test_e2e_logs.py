"""The log as its readers have it: real output of a sidecar at work, in every category, in files, by environment."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from support.polling import until
from support.scheduler import NativeStore
from support.sidecar import Response, Sidecar, StartSidecar, one_store, target

TOKEN = "e2e-logs-admin-token"
ADMIN = {"Authorization": f"Bearer {TOKEN}", "X-Request-Id": "my-request.7"}
CATEGORIES = {"jobs", "performance", "errors", "audit", "metrics"}
#: What a job's error and result have of a person, and of secrets.
ERROR = "mail to alice.smith@example.com failed: password=hunter2, call +49 30 12345678, card 4111 1111 1111 1111"
RESULT = '{"firstName": "Alicia", "customer": {"name": "Bobby"}, "note": "key AKIAIOSFODNN7EXAMPLE", "rows": 25}'
HIDDEN = ("alice.smith", "hunter2", "12345678", "4111", "Alicia", "Bobby", "AKIA")


def config(native: NativeStore, **logging: Any) -> dict[str, Any]:
    return {
        **one_store(native.dsn),
        "connections": {"interval": "1s", "targets": [target("gone", 1)]},
        "auth": {"tokens": [{"name": "ops", "role": "admin", "token": TOKEN}]},
        "logging": {"level": "debug", "format": "json", "summary_interval": "1s", **logging},
    }


def fail_a_job(native: NativeStore) -> None:
    with native.database.connect() as connection:
        connection.execute(
            "INSERT INTO jobs (id, name, task_type) VALUES (777, 'Nightly mail', 'mail') ON CONFLICT DO NOTHING"
        )
        connection.execute(
            "INSERT INTO executions (job_id, task_type, status, started_at, completed_at, error_message, result)"
            " VALUES (777, 'mail', 'FAILED', now() - interval '1.5 s', now(), %s, %s)",
            (ERROR, RESULT),
        )


def at_work(sidecar: Sidecar, native: NativeStore) -> None:
    """Have the sidecar say something in each category."""
    sidecar.settled(since=0)
    fail_a_job(native)
    assert sidecar.get("/api/scheduler-monitoring/status", headers=ADMIN).status == 200
    assert sidecar.get("/config", headers={"Authorization": "Bearer wrong"}).status == 401


def answered(sidecar: Sidecar, path: str) -> Response:
    """The answer once the store has been read for it."""

    def good() -> Response | None:
        answer = sidecar.get(path, headers=ADMIN)
        assert answer.status == 200, answer.text
        return answer

    found = until(good, 60, path)
    assert found is not None
    return found


def test_every_field_and_category_on_standard_output(native: NativeStore, start_sidecar: StartSidecar) -> None:
    sidecar = start_sidecar(config(native))
    until(lambda: any("failed" in line for line in sidecar.events("jobs")), 60, "a summary of a store that was read")
    at_work(sidecar, native)
    until(lambda: {line["category"] for line in sidecar.events()} == CATEGORIES, 60, "every category has a line")
    for message in ("polled", "target is down", "process"):
        until(lambda message=message: sidecar.events(message), 60, f"it says {message!r}")
    [failed] = until(lambda: sidecar.events("execution failed"), 60, "the failed job is told")
    until(lambda: any(line.get("failed") == 1 for line in sidecar.events("jobs")), 60, "it is in a summary")
    lines = sidecar.events()
    for line in lines:
        assert list(line)[:4] == ["timestamp", "level", "service", "category"], line
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["timestamp"])
        assert line["level"] in ("DEBUG", "INFO", "WARN", "ERROR")
        assert line["service"] == "scheduler-exporter"
        assert line["component"] and line["message"]
    assert (failed["jobId"], failed["taskType"], failed["operation"]) == ("777", "mail", "executions")
    request = next(line for line in sidecar.events("request") if line.get("correlationId") == "my-request.7")
    assert (request["userId"], request["category"]) == ("ops", "performance")
    assert request["operation"] == "GET /api/scheduler-monitoring/status"
    took = "scheduling_api_request_duration_seconds_sum"
    asked = {"method": "GET", "endpoint": "/api/scheduler-monitoring/status"}
    until(lambda: sidecar.metrics().by("endpoint", took, **asked).get(asked["endpoint"]), 60, "it is measured")
    milliseconds = 1000 * sidecar.metrics().value(took, **asked)
    assert request["duration"] == pytest.approx(milliseconds, abs=0.001)
    poll = sidecar.events("polled")[0]
    assert poll["operation"] and poll["duration"] > 0
    refused = next(line for line in sidecar.events("audit") if line["result"] == "refused")
    assert (refused["operation"], refused["userId"], refused["category"]) == ("login", "anonymous", "audit")
    down = sidecar.events("target is down")[0]
    assert (down["level"], down["category"], down["operation"]) == ("WARN", "errors", "check")
    process = sidecar.events("process")[-1]
    assert process["rssBytes"] > 1e6 and process["targets"] == 1 and process["targetsUp"] == 0
    assert sidecar.stop() == 0
    leaked = [secret for secret in (*HIDDEN, TOKEN) if secret in sidecar.log]
    assert not leaked


def test_nothing_of_a_person_in_json_and_exports(native: NativeStore, start_sidecar: StartSidecar) -> None:
    sidecar = start_sidecar(config(native))
    at_work(sidecar, native)
    until(lambda: sidecar.events("execution failed"), 60, "the failed job is counted")
    paths = [
        "/api/jobs/777/logs", "/api/logs/recent", "/api/v1/monitoring/tasks/executions",
        "/api/v1/monitoring/tasks/777/executions", "/api/scheduler-monitoring/errors", "/api/scheduler-monitoring/jobs",
        "/api/scheduler-monitoring/dashboard",
        "/api/scheduler-monitoring/export?type=executions&format=json&period=24h",
        "/api/scheduler-monitoring/export?type=executions&format=csv&period=24h", "/metrics",
    ]  # fmt: skip
    seen = ""
    for path in paths:
        answer = answered(sidecar, path)
        assert [secret for secret in HIDDEN if secret in answer.text] == [], path
        seen += answer.text
    assert "<email>" in seen and "<phone>" in seen and "<card>" in seen and "<secret>" in seen
    [entry] = sidecar.get("/api/jobs/777/logs", headers=ADMIN).json["data"]["logs"]
    assert entry["result"] == {
        "firstName": "<name>", "customer": {"name": "<name>"}, "note": "key <secret>", "rows": 25,
    }  # fmt: skip


def test_files_by_category_and_nothing_else(native: NativeStore, start_sidecar: StartSidecar, tmp_path: Path) -> None:
    directory = tmp_path / "files"
    sidecar = start_sidecar(config(native, directory=str(directory)))
    at_work(sidecar, native)

    def found() -> dict[str, list[dict[str, Any]]]:
        lines: dict[str, list[dict[str, Any]]] = {}
        for file in directory.glob("*.log"):
            written, _, _half_a_line = file.read_text(errors="replace").rpartition("\n")
            lines.setdefault(file.name[:-15], []).extend(map(json.loads, written.splitlines()))
        return lines

    until(lambda: found().keys() == CATEGORIES, 60, "every category has a file")
    until(lambda: any(line["message"] == "execution failed" for line in found()["jobs"]), 60, "the failed job is told")
    assert all(line["category"] == category for category, lines in found().items() for line in lines)
    assert {file.stat().st_mode & 0o777 for file in directory.iterdir()} == {0o600}
    assert all(re.fullmatch(r"[a-z]+-\d{4}-\d\d-\d\d\.log", file.name) for file in directory.iterdir())
    assert sidecar.stop() == 0
    assert [line["message"] for line in sidecar.events()] == ["the log goes to files"]
    assert "stopped" in [line["message"] for line in found()["audit"]]


def test_a_directory_that_cannot_be_written_ends_nothing(
    native: NativeStore, start_sidecar: StartSidecar, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    sidecar = start_sidecar(config(native, directory=str(tmp_path / "file" / "logs")))
    at_work(sidecar, native)
    until(lambda: sidecar.events("execution failed"), 60, "lines go to standard output")
    [told] = sidecar.events("log files cannot be written; lines go to standard output until they can")
    assert (told["level"], told["reason"]) == ("ERROR", "Not a directory")
    assert sidecar.get("/-/healthy").status == 200


#: environment -> whether it says how it starts (info) and what each poll takes (debug), and how.
ENVIRONMENTS = {"production": (True, False, "json"), "development": (True, True, "console"), "test": (False, False, "")}


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_the_environment_decides_what_is_not_set(
    environment: str, native: NativeStore, start_sidecar: StartSidecar, tmp_path: Path
) -> None:
    info, debug, log_format = ENVIRONMENTS[environment]
    directory = tmp_path / "files"
    base = {**one_store(native.dsn), "auth": {"anonymous_read": True}, "environment": environment}
    for where in (None, str(directory)):
        sidecar = start_sidecar({**base, "logging": {"directory": where}})
        sidecar.settled(since=0)
        assert sidecar.stop() == 0
        text = sidecar.log
        # Of files alone standard output says only where they are; people at work have both.
        shown = where is None or environment == "development"
        assert ("stopped" in text) == (info and shown), text
        assert ("polled" in text) == (debug and shown)
        if info and shown:
            assert text.splitlines()[-1].startswith("{" if log_format == "json" else "2")
    names = {file.name[:-15] for file in directory.glob("*.log")} if directory.exists() else set()
    assert ("audit" in names, "performance" in names) == (info, debug)


def test_a_reload_takes_the_log_elsewhere(native: NativeStore, start_sidecar: StartSidecar, tmp_path: Path) -> None:
    base = {**config(native), "web": {"enable_lifecycle": True}}
    sidecar = start_sidecar(base)
    assert sidecar.events("started")
    sidecar.configure({**base, "logging": {**base["logging"], "directory": str(tmp_path / "files")}})
    assert sidecar.get("/-/reload", method="POST", headers=ADMIN).status == 200
    [file] = until(lambda: list((tmp_path / "files").glob("audit-*.log")), 60, "the log goes to files")
    until(lambda: "configuration reloaded" in file.read_text(), 60, "what comes then is there")
    assert not sidecar.events("configuration reloaded")
