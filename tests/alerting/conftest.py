"""Writes Alertmanager's configuration for an ``alerting`` section."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from exporter.cli import main

#: Every way to tell somebody; a test takes those that it wants.
TOKEN = {"receiver": {"token": "receiver-secret", "url": "http://exporter:9795"}}
SLACK = {"slack": {"webhook_url": "https://hooks.slack.com/services/slack-secret", "channel": "#alerts"}}
EMAIL = {
    "email": {
        "to": ["alerts@company.example", "more@company.example"],
        "from": "scheduler@company.example",
        "smarthost": "smtp.company.example:587",
        "username": "scheduler",
        "password": "mail-secret",
    }
}
WEBHOOK = {"webhook": {"url": "http://hooks.company.example/alerts", "token": "webhook-secret"}}
ON_CALL = {"on_call": {"pagerduty": {"routing_key": "pagerduty-secret"}, "webhook": {"url": "http://on.call/x"}}}
TEAMS = {
    "teams": [
        {"name": "billing", "matchers": ['task_type=~"bill.*"', 'store="main"'], "webhook": {"url": "http://billing/"}},
        {"name": "data", "webhook": {"url": "http://data/"}, "on_call": {"webhook": {"url": "http://data/on-call"}}},
    ]
}

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """``write(section, ..., environment="production")`` runs the command; the directory with what it wrote."""
    for name in ("ALERT_WEBHOOK_URL", "ALERT_EMAIL_TO", "SCHEDULER_EXPORTER_CONFIG_FILE"):
        monkeypatch.delenv(name, raising=False)

    def run(*sections: dict[str, Any], environment: str | None = "production", flags: tuple[str, ...] = ()) -> Path:
        alerting = {key: value for section in sections for key, value in section.items()}
        whole = {
            "environment": environment,
            "auth": {"anonymous_read": True},
            "stores": [{"name": "main", "dsn": "host=h"}],
            "alerting": alerting,
        }
        file = tmp_path / "config.yaml"
        file.write_text(yaml.safe_dump(whole))
        arguments = ("alertmanager-config", f"--config.file={file}", f"--output={tmp_path / 'out'}", *flags)
        status = main(arguments)
        assert status == 0, status
        return tmp_path / "out"

    return run


def written(directory: Path) -> dict[str, Any]:
    """``alertmanager.yml`` as data."""
    return dict(yaml.safe_load((directory / "alertmanager.yml").read_text()))


def receiver(directory: Path, name: str) -> dict[str, Any]:
    """One receiver."""
    return next(found for found in written(directory)["receivers"] if found["name"] == name)
