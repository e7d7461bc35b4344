"""Who may read: the refusal of production, as the operator meets it; what the audit trail keeps; a port for JSON."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.polling import until
from support.ports import free_port
from support.sidecar import HOST, StartSidecar, request, run_command, target

TOKEN = "the-token-of-this-test"
AUTH = {"tokens": [{"name": "ops", "role": "admin", "token": "${OPS_TOKEN:-}"}]}


def configuration(**sections: Any) -> dict[str, Any]:
    return {"connections": {"targets": [target("nobody", free_port())]}, **sections}


@pytest.mark.parametrize("arguments", [("serve",), ("serve", "--config.check")])
@pytest.mark.parametrize("auth", [{}, AUTH])
def test_production_with_json_open_does_not_start(tmp_path: Path, arguments: Any, auth: Any) -> None:
    file = tmp_path / "config.yaml"
    listen = {"listen_address": [f"{HOST}:{free_port()}"]}
    file.write_text(yaml.safe_dump(configuration(environment="production", auth=auth, web=listen)))
    done = run_command(*arguments, f"--config.file={file}", directory=tmp_path)
    assert done.returncode == 1
    assert "auth.anonymous_read: true" in done.stderr
    assert "auth.tokens" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("auth", [{"anonymous_read": True}, AUTH])
def test_production_with_a_decision_starts(tmp_path: Path, auth: Any) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump(configuration(environment="production", auth=auth)))
    done = run_command(
        "serve", "--config.check", f"--config.file={file}", environment={"OPS_TOKEN": TOKEN}, directory=tmp_path
    )
    assert done.returncode == 0, done.stderr


def test_tokens_and_the_audit_trail_from_outside(start_sidecar: StartSidecar, tmp_path: Path) -> None:
    api = free_port()
    sidecar = start_sidecar(
        configuration(environment="production", auth=AUTH, api={"listen_address": f"{HOST}:{api}"}),
        environment={"OPS_TOKEN": TOKEN},
    )
    path = "/api/scheduler-monitoring/status"
    admin = {"Authorization": f"Bearer {TOKEN}", "X-Request-Id": "my-request.1"}
    assert request(api, path, headers=admin).status == 200
    assert request(api, path).status == 401
    assert request(api, path, headers={"Authorization": "Bearer wrong", "X-Request-Id": "guess-1"}).status == 401
    assert sidecar.get(path, headers=admin).status == 404
    assert request(api, "/metrics", headers=admin).status == 404
    assert sidecar.get("/config").status == 401
    shown = sidecar.get("/config", headers=admin)
    assert shown.status == 200
    assert TOKEN not in shown.text
    sidecar.process.send_signal(signal.SIGHUP)
    until(lambda: len(sidecar.events("audit")) >= 2, 30, "the reload is in the audit trail")
    told = [(line["action"], line["actor"], line["result"], line["category"]) for line in sidecar.events("audit")]
    assert told == [("login", "anonymous", "refused", "audit"), ("reload", "SIGHUP", "success", "audit")]
    assert sidecar.events("audit")[0]["correlationId"] == "guess-1"
    assert any(line.get("correlationId") == "my-request.1" for line in sidecar.events("request"))
    assert sidecar.stop() == 0
    assert TOKEN not in sidecar.log
    kept = run_command("state", "export", f"--state.path={sidecar.directory / 'state'}", directory=tmp_path)
    rows = [json.loads(line) for line in kept.stdout.splitlines()]
    assert [row["action"] for row in rows if row["table"] == "audit"] == ["login", "reload"]
