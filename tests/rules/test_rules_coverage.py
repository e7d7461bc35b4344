"""Every alert is tried: it fires at its minute, stays quiet on healthy and on missing data, ends, and can be read."""

from __future__ import annotations

import re
from collections import defaultdict
from itertools import pairwise

import pytest
from support.rules import ALERTS, CHECKS, NAMES, RECORDS, Check, Rule, selectors

#: It says that there is no data.
ABSENT = {"SchedulingExporterAbsent"}
#: Compared with past weeks, so tried in steps of half an hour. The others in steps of a minute.
COARSE = {"SchedulingExecutionRateUnusual": 1800}

#: What they read is there only when something is wrong.
SILENT = {"SchedulingRunMissed"}


def runs(alert: str) -> list[list[Check]]:
    """The checks of an alert, one list for each test, by time."""
    found: dict[tuple[str, str], list[Check]] = defaultdict(list)
    for check in CHECKS:
        if check.alert == alert:
            found[check.file, check.test].append(check)
    return [sorted(checks, key=lambda check: check.seconds) for checks in found.values()]


def test_tests_name_alerts_that_exist() -> None:
    assert {check.alert for check in CHECKS} <= set(NAMES)


@pytest.mark.parametrize("alert", NAMES)
def test_it_fires_at_its_minute(alert: str) -> None:
    step = COARSE.get(alert, 60)
    borders = [(b, a) for run in runs(alert) for b, a in pairwise(run) if len(b.fires) < len(a.fires)]
    assert any(0 < after.seconds - before.seconds <= step for before, after in borders)


@pytest.mark.parametrize("alert", NAMES)
def test_it_ends(alert: str) -> None:
    assert any(len(before.fires) > len(after.fires) for run in runs(alert) for before, after in pairwise(run))


@pytest.mark.parametrize("alert", NAMES)
def test_it_is_quiet_on_healthy_data(alert: str) -> None:
    """Data that has something to say: at least one of the metrics that the alert reads."""
    recorded = {rule.record: {s.name for s in selectors(rule.ast)} for rule in RECORDS}
    asked = {s.name for rule in ALERTS if rule.alert == alert for s in selectors(rule.ast)}
    for _ in range(2):  # recorded series may be made of recorded series
        asked |= {name for record in asked & recorded.keys() for name in recorded[record]}
    healthy = [c for c in CHECKS if c.alert == alert and c.test.startswith("healthy")]
    assert healthy
    assert alert in SILENT or any(c.metrics & asked for c in healthy)
    assert all(not c.fires for c in healthy)


@pytest.mark.parametrize("alert", [name for name in NAMES if name not in ABSENT])
def test_it_is_quiet_without_data(alert: str) -> None:
    missing = [
        check for check in CHECKS if check.alert == alert and check.test.startswith(("no data", "there is none"))
    ]
    assert missing
    assert all(not check.fires for check in missing)


@pytest.mark.parametrize("alert", NAMES)
def test_its_texts_can_be_read(alert: str) -> None:
    fired = [one for check in CHECKS if check.alert == alert for one in check.fires]
    assert fired
    for one in fired:
        for name, text in one["exp_annotations"].items():
            assert text.strip() == text, name
            assert not re.search(r"\{\{|\}\}|<no value>|%!|NaN|\s{2}", text), f"{name}: {text}"
        assert len(one["exp_annotations"]["summary"]) <= 100, "a phone shows one line or two"


@pytest.mark.parametrize("rule", ALERTS, ids=str)
def test_a_text_names_labels_that_the_alert_has(rule: Rule) -> None:
    texts = " ".join(rule.annotations.values())
    guarded = set(re.findall(r"(?:if|or) \$labels\.(\w+)", texts))
    named = set(re.findall(r"\$labels\.(\w+)", texts)) - guarded
    for check in CHECKS:
        if check.alert == rule.alert:
            for one in check.fires:
                assert named <= one["exp_labels"].keys(), check.test
                assert not {"instance", "pod"} & one["exp_labels"].keys(), "a replaced pod would be another alert"
