"""What rules and runbooks ask for exists: the metrics, their labels, and the labels' values."""

from __future__ import annotations

import re
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import promql_parser as promql
import pytest
import yaml
from support.polling import until
from support.ports import free_port
from support.rules import ALERTS, RECORDS, ROOT, Rule, grouped, promtool, selectors

#: The label sets that Prometheus and the target's address give to everything.
OF_TARGETS = {"cluster", "namespace", "job", "instance"}
#: Made by Prometheus itself.
OF_PROMETHEUS = {
    "up": set[str](),
    "scrape_samples_scraped": set[str](),
    "scrape_duration_seconds": set[str](),
    "ALERTS": {"alertname", "alertstate"},
}
OF_ALERTMANAGER = {
    "alertmanager_notifications_failed_total": {"integration"},
    "alertmanager_notifications_total": {"integration"},
}
#: The client library's, on every page; tests/metrics/test_process.py has them.
OF_PROCESSES = {
    name: set[str]()
    for name in (
        *("process_start_time_seconds", "process_resident_memory_bytes", "process_cpu_seconds_total"),
        *("process_open_fds", "process_max_fds"),
    )
}


def catalogue() -> dict[str, set[str]]:
    """Metric -> labels, from docs/metrics.md, which a test holds to the code."""
    text = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (?:gauge|counter|histogram)[^|]*\| ([^|]*) \|", text, re.MULTILINE)
    found: dict[str, set[str]] = {}
    for name, labels in rows:  # a name that the pack gives too has the labels of both
        found.setdefault(name, set()).update(() if labels == "(none)" else labels.split(", "))
    return found


def values() -> dict[tuple[str, str], set[str]]:
    """(metric, label) -> the values that the label can have, where they are known."""
    text = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8").partition("## Label values")[2]
    found: dict[tuple[str, str], set[str]] = {}
    for metrics, label, names in re.findall(r"^\| (`[^|]+) \| (\w+) \| (`[^|]+) \|", text, re.MULTILINE):
        for metric in re.findall(r"`(\w+)`", metrics):
            found.setdefault((metric, label), set()).update(re.findall(r"`([^`]+)`", names))
    return found


RECORDED = {
    rule.record: {*grouped(rule.ast), *rule.labels, *(("weeks_ago",) if "weeks_ago" in rule.record else ())}
    for rule in RECORDS
}
KNOWN = catalogue() | OF_PROMETHEUS | OF_ALERTMANAGER | OF_PROCESSES
VALUES = values()


def labels_of(name: str) -> set[str]:
    """The labels that a series of this name can have."""
    if name in RECORDED:
        # A record that only divides or adds others has their labels.
        below = {s.name for rule in RECORDS if rule.record == name for s in selectors(rule.ast)} - {name}
        return RECORDED[name] | {label for other in below if other in RECORDED for label in labels_of(other)}
    plain = re.sub(r"_(bucket|sum|count)$", "", name)
    extra = {"le"} if name.endswith("_bucket") else set()
    assert name in KNOWN or plain in KNOWN, f"no such metric: {name}"
    return KNOWN.get(name, KNOWN.get(plain, set())) | extra | OF_TARGETS


@pytest.mark.parametrize("rule", (*ALERTS, *RECORDS), ids=str)
def test_metrics_labels_and_values_exist(rule: Rule) -> None:
    known = set()
    for selector in selectors(rule.ast):
        labels = labels_of(selector.name)
        known |= labels
        for matcher in selector.matchers.matchers:
            assert matcher.name in labels, f"{selector.name} has no {matcher.name}"
            allowed = VALUES.get((selector.name, matcher.name))
            if allowed is not None:
                assert any(re.fullmatch(matcher.value, value) for value in allowed), matcher
    made = {"source", "store"} if "label_replace" in rule.expr else set()
    assert grouped(rule.ast) <= known | made


def queries() -> Iterator[tuple[str, str]]:
    """(runbook, PromQL) of every query that a runbook shows."""
    for file in sorted((ROOT / "rules" / "runbooks").glob("*.md")):
        for block in re.findall(r"^ *```promql\n(.*?)^ *```", file.read_text(encoding="utf-8"), re.M | re.S):
            yield file.stem, block


def test_queries_of_runbooks_are_taken_by_prometheus(tmp_path: Path) -> None:
    found = list(queries())
    assert len(found) > 100
    rules = [{"record": f"query:{number}", "expr": query} for number, (_, query) in enumerate(found)]
    file = tmp_path / "queries.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "runbooks", "rules": rules}]}))
    done = promtool("check", "rules", file)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(("runbook", "query"), list(queries()))
def test_metrics_and_labels_of_runbooks_exist(runbook: str, query: str) -> None:
    ast = promql.parse(query)
    known = set()
    for selector in selectors(ast):
        labels = labels_of(selector.name)
        known |= labels
        assert {m.name for m in selector.matchers.matchers} <= labels
    assert grouped(ast) <= known


@pytest.mark.skipif(shutil.which("prometheus-alertmanager") is None, reason="Alertmanager is not installed")
def test_a_live_alertmanager_has_its_metrics(tmp_path: Path) -> None:
    config = tmp_path / "alertmanager.yml"
    config.write_text("route: {receiver: none}\nreceivers: [{name: none}]\n")
    port = free_port()
    command = [
        "prometheus-alertmanager",
        f"--config.file={config}",
        f"--storage.path={tmp_path / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
    ]

    def page() -> str:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
                return str(answer.read().decode())
        except OSError:
            return ""

    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            text = until(page, 120, "Alertmanager's page")
        finally:
            process.terminate()
    for name, labels in OF_ALERTMANAGER.items():
        line = re.search(rf"^{name}\{{(.*?)\}}", text, re.MULTILINE)
        assert line is not None, name
        assert labels <= set(re.findall(r"(\w+)=", line[1]))
