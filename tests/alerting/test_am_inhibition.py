"""What follows from what: the table in rules/README.md, with alerts and labels that the rules have."""

from __future__ import annotations

import re

from support.rules import CHECKS, ROOT

from exporter.alerting.inhibition import FOLLOWS, OWN_CAUSES, inhibit_rules

README = (ROOT / "rules" / "README.md").read_text()
TABLE = README.partition("## What follows from what")[2].partition("\n## ")[0]
ALERTS = set(
    re.findall(r"- alert: (\w+)", "".join(file.read_text() for file in (ROOT / "rules/alerts").glob("*.yaml")))
)
COMPONENTS = set(
    re.findall(r"component: (\w+)", "".join(f.read_text() for f in (ROOT / "rules/alerts").glob("*.yaml")))
)


def documented() -> set[tuple[str, str, str]]:
    """(cause, what it explains, labels in common): one row for each pair."""
    found = set()
    for causes, explained, equal in re.findall(r"^\| (Scheduling[^|]*) \| ([^|]*) \| ([^|]*) \|", TABLE, re.MULTILINE):
        head = explained.partition(":")[0]
        names = re.findall(r"Scheduling\w+", head)
        if "components" in head:
            names += [f"component {name}" for name in head.partition("components ")[2].partition(";")[0].split(", ")]
        if "warnings of component" in head:
            names.append(f"warnings of {head.rpartition(' ')[2]}")
        found |= {(cause, name, equal.strip()) for cause in causes.split(", ") for name in names}
    return found


def configured() -> set[tuple[str, str, str]]:
    found = set()
    for causes, matchers, equal in FOLLOWS:
        text = " ".join(matchers)
        names = re.findall(r"Scheduling\w+", text)
        if match := re.search(r'component=~"([^"]*)"', text):
            names += [f"component {name}" for name in match[1].split("|")]
        if match := re.search(r'component="([^"]*)"', text):
            assert 'severity="warning"' in text
            names.append(f"warnings of {match[1]}")
        found |= {(cause, name, ", ".join(equal)) for cause in causes for name in names}
    return found


def test_it_is_what_the_rules_readme_says() -> None:
    assert len(documented()) > 30
    assert configured() == documented()


def test_it_names_alerts_and_components_that_there_are() -> None:
    named = {name for cause, explained, _ in configured() for name in (cause, explained)}
    assert {name for name in named if name.startswith("Scheduling")} <= ALERTS
    assert {name.rpartition(" ")[2] for name in named if " " in name} <= COMPONENTS


def test_both_sides_have_the_labels_in_which_they_have_to_agree() -> None:
    """One that only one side can have never agrees. ``cluster`` and ``namespace`` are there for both, or for none."""
    fired: dict[str, set[str]] = {}
    for check in CHECKS:
        for one in check.fires:
            fired.setdefault(check.alert, {"cluster", "namespace"}).update(one["exp_labels"])
    fired["SchedulingExporterAbsent"].discard("namespace")  # of no series nobody knows whose it would be
    for causes, matchers, equal in FOLLOWS:
        explained = re.findall(r"Scheduling\w+", " ".join(matchers))
        assert len({frozenset(fired[alert] & set(equal)) for alert in (*causes, *explained)}) == 1, causes


def test_what_is_critical_silences_warnings_about_the_same_thing() -> None:
    last = inhibit_rules()[-1]
    # KubePodCrashLooping of one pod says nothing of another one: its labels are not those that our alerts differ in.
    ours = 'alertname=~"Scheduling.+"'
    assert last["source_matchers"] == [ours, 'severity="critical"']
    # Many of a task's executions fail, and one is stuck: two causes, though store, task type and component agree.
    own = 'alertname!~"SchedulingExecutionsOrphaned|SchedulingExecutionsStuck"'
    assert last["target_matchers"] == [ours, own, 'severity="warning"']
    assert set(OWN_CAUSES) <= ALERTS
    # Alertmanager takes labels that both lack as equal: every one that tells things apart has to be there.
    by = {label for labels in re.findall(r"by \(([\w, ]+)\)", rules_text()) for label in labels.split(", ")}
    told_apart = by - {"job_name", "critical", "le"}
    assert told_apart <= set(last["equal"])


def rules_text() -> str:
    return "".join(file.read_text() for file in (ROOT / "rules/alerts").glob("*.yaml"))
