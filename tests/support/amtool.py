"""amtool over a directory that alertmanager-config wrote: does it load, who is told, how does it read."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any


def amtool(*arguments: str | Path) -> str:
    """What it printed; AssertionError with all of it where it failed."""
    done = subprocess.run(["amtool", *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def check(directory: Path) -> str:
    """``amtool check-config``."""
    return amtool("check-config", directory / "alertmanager.yml")


def told(directory: Path, **labels: str) -> list[str]:
    """The receivers of an alert with these labels, in the order of the routes."""
    texts = [f"{name}={value}" for name, value in labels.items()]
    found = amtool("config", "routes", "test", f"--config.file={directory / 'alertmanager.yml'}", *texts)
    return found.strip().split(",")


def render(directory: Path, text: str, data: dict[str, Any], kind: str = "text") -> str:
    """``text``, a template, as Alertmanager would send it for ``data``."""
    file = directory / "data.json"
    file.write_text(json.dumps(data))
    return amtool(
        "template",
        "render",
        f"--template.glob={directory / 'templates' / '*.tmpl'}",
        f"--template.type={kind}",
        f"--template.text={text}",
        f"--template.data={file}",
    ).removesuffix("\n")


def alert(name: str = "SchedulingCriticalJobFailed", *, over: bool = False, **labels: str) -> dict[str, Any]:
    """An alert as templates get it, from 15:00:03 on, for 12m42s if it is over. ``summary`` is its text."""
    summary = labels.pop("summary", f"{name} fires")
    return {
        "status": "resolved" if over else "firing",
        "labels": {"alertname": name, "job": "scheduler-exporter", "severity": "critical", "store": "main", **labels},
        "annotations": {
            "summary": summary,
            "description": f"What it means: {summary}.",
            "runbook_url": f"runbooks/{name}.md",
            "dashboard_url": "d/scheduling-jobs?var-job=a&var-store=main",
        },
        "startsAt": "2026-01-28T15:00:03.123Z",
        "endsAt": "2026-01-28T15:12:44.9Z" if over else "0001-01-01T00:00:00Z",
        "generatorURL": "",
        "fingerprint": "f",
    }


def message(*alerts: dict[str, Any]) -> dict[str, Any]:
    """A notification about a group of alerts."""
    first = alerts[0]["labels"]
    common = {name: value for name, value in first.items() if all(a["labels"].get(name) == value for a in alerts)}
    return {
        "receiver": "everybody",
        "status": "firing" if any(a["status"] == "firing" for a in alerts) else "resolved",
        "alerts": list(alerts),
        "groupLabels": {},
        "commonLabels": common,
        "commonAnnotations": {},
        "externalURL": "http://alertmanager.internal:9093",
    }
