"""The whole demo goes without a trace, however it ends. That it comes up complete is seen in docs/test_newcomer.py."""

from __future__ import annotations

import json
import signal
import urllib.request
from collections.abc import Iterator

import pytest
from support.demo import Demo, directory_of_a_demo
from support.polling import until


@pytest.fixture
def demo() -> Iterator[Demo]:
    with directory_of_a_demo() as temp:
        made = Demo(temp)
        made.start()
        try:
            yield made
        finally:
            made.cleanup()


def test_a_killed_demo_leaves_no_process_and_the_next_removes_its_directory(demo: Demo) -> None:
    demo.wait_for_banner()
    demo.end(signal.SIGKILL)
    until(lambda: demo.processes() == [], 60, "the processes end with it")
    [left] = demo.directories
    demo.start()
    until(lambda: not left.exists(), 60, "the next demo removes it")
    assert demo.end(signal.SIGTERM) == 0
    assert demo.directories == []


def fetch(address: str, body: bytes | None = None) -> str:
    request = urllib.request.Request(address, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        text: str = answer.read().decode()
        return text


def tell_alertmanager(demo: Demo) -> None:
    """What the rules would, which wait for minutes: Prometheus knows the address."""
    alertmanager = demo.address("Alertmanager")
    discovered = demo.address("Prometheus") + "api/v1/alertmanagers"

    def known() -> bool:
        found = json.loads(fetch(discovered))["data"]["activeAlertmanagers"]
        return [one["url"] for one in found] == [alertmanager + "api/v2/alerts"]

    until(known, 90, "Prometheus knows where Alertmanager is")
    labels = {"alertname": "SchedulerTried", "severity": "critical", "job": "scheduler-exporter", "store": "demo"}
    alert = {"labels": labels, "annotations": {"summary": "It is tried", "description": "Nothing is wrong"}}
    fetch(alertmanager + "api/v2/alerts", json.dumps([alert]).encode())


def test_it_ends_when_the_sidecar_does(demo: Demo) -> None:
    demo.wait_for_banner()
    alerts = json.loads(fetch(demo.address("Status page") + "api/scheduler-monitoring/alerts"))
    assert "items" in alerts, "the alerts that its Prometheus has firing"
    tell_alertmanager(demo)
    inbox = demo.address("Inbox")
    until(lambda: all(what in fetch(inbox) for what in ("Slack to", "Mail to")), 120, "Alertmanager's messages arrive")
    assert fetch(inbox).count("It is tried") >= 3, "two titles, and the mail's text"
    [sidecar] = [process for process in demo.processes() if "serve" in process.cmdline()]
    sidecar.kill()
    assert demo.process is not None
    assert demo.process.wait(90) == 1
    assert "sidecar ended" in demo.output
    assert demo.processes() == []
    assert demo.directories == []
