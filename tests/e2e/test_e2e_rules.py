"""The shipped rules in a real Prometheus beside a sidecar: each can be evaluated, and the right ones fire."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.polling import until
from support.prometheus_server import Prometheus
from support.scheduler import NativeStore
from support.sidecar import StartSidecar, one_store, target

RULES = Path(__file__).parents[2] / "rules"
pytestmark = pytest.mark.skipif(shutil.which("prometheus") is None, reason="Prometheus is not installed")


@pytest.fixture
def prometheus(tmp_path: Path, native: NativeStore, start_sidecar: StartSidecar) -> Iterator[Prometheus]:
    """A Prometheus with the rules, and a sidecar that one server refuses. A critical task has failed once."""
    targets = [target("shop", native.database.server.port, user="nobody", password="wrong"), target("off", 1)]
    config = one_store(native.dsn, critical_jobs=["bill"]) | {"connections": {"interval": "1s", "targets": targets}}
    sidecar = start_sidecar(config)
    until(lambda: sidecar.read_upto() > 0, 60)
    files = [*sorted((RULES / "alerts").glob("*.yaml")), *sorted((RULES / "recording").glob("*.yaml"))]
    server = Prometheus(tmp_path / "prometheus", sidecar.port, files)
    try:
        server.start()
        native.finish(20)
        native.finish(1, status="FAILED", task_type="bill")
        yield server
    finally:
        server.stop()


def rules(prometheus: Prometheus) -> list[dict[str, Any]]:
    return [rule for group in prometheus.api("rules")["groups"] for rule in group["rules"]]


def alerts(prometheus: Prometheus) -> dict[str, list[dict[str, Any]]]:
    """What is firing or waiting to, by the alert's name."""
    found: dict[str, list[dict[str, Any]]] = {}
    for alert in prometheus.api("alerts")["alerts"]:
        found.setdefault(alert["labels"]["alertname"], []).append(alert)
    return found


def test_every_rule_is_evaluated_and_the_right_alerts_arise(prometheus: Prometheus) -> None:
    wanted = {"SchedulingCriticalJobFailed", "SchedulingConnectionAuthRefused", "SchedulingConnectionDown"}
    until(lambda: wanted <= alerts(prometheus).keys(), 60, "the alerts arise")
    until(lambda: "shop" not in connections(alerts(prometheus), "SchedulingConnectionDown"), 60, "one cause, one alert")
    until(lambda: all(rule["health"] == "ok" for rule in rules(prometheus)), 60, "every rule was evaluated")

    assert len(rules(prometheus)) > 70
    assert not [rule["lastError"] for rule in rules(prometheus) if rule.get("lastError")]
    # What waited for the first scrape goes with it.
    until(lambda: alerts(prometheus).keys() == wanted, 60, "nothing else is wrong")
    # A scrape that took longer than its second takes the alerts away until the next one.
    until(lambda: told_right(alerts(prometheus)), 60, "they tell of what has happened")


def told_right(found: dict[str, list[dict[str, Any]]]) -> bool:
    critical = found["SchedulingCriticalJobFailed"]
    assert [alert["state"] for alert in critical] == ["firing"], "at once"
    assert critical[0]["annotations"]["summary"] == "Critical job job 1 on main failed"
    assert critical[0]["labels"].items() >= {"severity": "critical", "store": "main", "task_type": "bill"}.items()
    assert connections(found, "SchedulingConnectionAuthRefused") == ["shop"]
    assert connections(found, "SchedulingConnectionDown") == ["off"]
    return True


def connections(found: dict[str, list[dict[str, Any]]], alert: str) -> list[str]:
    return [one["labels"]["connection"] for one in found.get(alert, [])]


def test_recorded_series_are_there(prometheus: Prometheus) -> None:
    until(lambda: prometheus.query("executions_success_rate"), 60, "a rate: two scrapes of what was counted")
    total = until(lambda: prometheus.query("sum(scheduling_jobs)"), 60, "the jobs are counted")
    until(lambda: prometheus.query("jobs_total") == total, 60, "their number under its old name")
    until(lambda: prometheus.query("store_task_type:scheduling_executions:rate5m"), 60, "what objectives need")
