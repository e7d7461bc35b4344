"""What reviewers of rules look for, asked of every rule."""

from __future__ import annotations

import re
from pathlib import Path

import promql_parser as promql
import pytest
from support.rules import (
    ALERTS,
    COMPARISONS,
    IDENTITY,
    NAMES,
    RECORDS,
    RULES,
    Rule,
    operators,
    seconds,
    selectors,
    walk,
)

EVERY = (*ALERTS, *RECORDS)
TEXTS = {"summary", "description", "runbook_url", "dashboard_url"}
README = (RULES / "README.md").read_text(encoding="utf-8")
#: Functions that take counters, and nothing else.
OF_COUNTERS = {"rate", "increase"}
COUNTER = re.compile(r"_(total|bucket|count|sum)$")


@pytest.mark.parametrize("rule", ALERTS, ids=str)
def test_it_says_how_bad_it_is_and_what_to_do(rule: Rule) -> None:
    assert rule.labels["severity"] in {"critical", "warning", "info"}
    assert rule.labels["component"] == rule.file.stem
    assert set(rule.annotations) == TEXTS
    assert all(rule.annotations.values())
    assert rule.annotations["runbook_url"] == f"runbooks/{rule.alert}.md"
    assert (RULES / rule.annotations["runbook_url"]).is_file()


@pytest.mark.parametrize("rule", ALERTS, ids=str)
def test_its_dashboard_is_one_that_the_readme_names(rule: Rule) -> None:
    uid = re.fullmatch(r"d/([a-z-]+)(\?.*)?", rule.annotations["dashboard_url"])
    assert uid is not None
    assert re.search(rf"^\| `{rule.labels['component']}` \| `{uid[1]}` \|", README, re.MULTILINE)
    for variable in re.findall(r"\$labels\.\w+[^}]*", uid[2] or ""):
        assert variable.endswith("| urlquery "), "names have spaces in them"


@pytest.mark.parametrize("rule", ALERTS, ids=str)
def test_it_compares(rule: Rule) -> None:
    assert any(str(operation.op).split()[0] in COMPARISONS for operation in operators(rule.ast))


@pytest.mark.parametrize("rule", ALERTS, ids=str)
def test_values_stand_in_texts_for_people_and_never_in_labels(rule: Rule) -> None:
    assert not any("$value" in text for text in rule.labels.values())
    for action in re.findall(r"\{\{(.*?)\}\}", " ".join(rule.annotations.values())):
        if "$value" in action:
            assert "humanize" in action or action.strip().startswith("if "), action


@pytest.mark.parametrize("rule", ALERTS, ids=str)
def test_texts_name_labels_that_the_expression_has(rule: Rule) -> None:
    """Those that the rule itself adds are not there yet when its texts are made: they would read as nothing."""
    named = set(re.findall(r"\$labels\.(\w+)", " ".join(rule.annotations.values())))
    assert not named & rule.labels.keys()


@pytest.mark.parametrize("rule", EVERY, ids=str)
def test_it_keeps_whose_it_is(rule: Rule) -> None:
    """Two releases with a store of the same name are two stores: in aggregations and between their results."""
    for node in walk(rule.ast):
        if isinstance(node, promql.AggregateExpr):
            assert node.modifier is not None
            assert str(node.modifier.type).endswith("By")
            assert set(node.modifier.labels) >= set(IDENTITY), node.prettify()
        if isinstance(node, promql.BinaryExpr) and node.modifier is not None and node.modifier.matching is not None:
            assert str(node.modifier.matching.type).lower().endswith(("on", "include"))
            assert set(node.modifier.matching.labels) >= set(IDENTITY), "a match across different jobs"


@pytest.mark.parametrize("rule", EVERY, ids=str)
def test_a_regular_expression_is_needed(rule: Rule) -> None:
    for selector in selectors(rule.ast):
        for matcher in selector.matchers.matchers:
            if "Re" in str(matcher.op):
                assert re.search(r"[.|*+\[(]", matcher.value), f"{matcher} is equality"


@pytest.mark.parametrize("rule", EVERY, ids=str)
def test_counters_are_asked_for_their_increase_and_nothing_else_is(rule: Rule) -> None:
    inside = set()
    for node in walk(rule.ast):
        if isinstance(node, promql.Call) and node.func.name in OF_COUNTERS:
            names = {s.name for s in selectors(node)}
            inside |= names
            assert all(COUNTER.search(name) for name in names), names
        if isinstance(node, promql.AggregateExpr) and str(node.op) == "group":
            inside |= {s.name for s in selectors(node)}  # which label sets there are, whatever their value
    counters = {s.name for s in selectors(rule.ast) if s.name.endswith("_total") and ":" not in s.name}
    assert counters <= inside


@pytest.mark.parametrize("rule", EVERY, ids=str)
def test_it_uses_nothing_that_jumps(rule: Rule) -> None:
    """topk changes its mind about who is in it; irate sees two samples; changes of both page people."""
    for node in walk(rule.ast):
        if isinstance(node, promql.AggregateExpr):
            assert str(node.op) not in {"topk", "bottomk", "count_values"}
        if isinstance(node, promql.Call):
            assert node.func.name != "irate"


@pytest.mark.parametrize("rule", ALERTS, ids=str)
def test_absence_is_waited_for(rule: Rule) -> None:
    calls = {node.func.name for node in walk(rule.ast) if isinstance(node, promql.Call)}
    if calls & {"absent", "absent_over_time"}:
        assert seconds(rule.wait) >= 2 * 60, "two scrapes of the slowest usual interval"


@pytest.mark.parametrize("rule", RECORDS, ids=str)
def test_a_recorded_name_says_its_level(rule: Rule) -> None:
    """level:metric:operation, but for the names that somebody else chose."""
    if rule.file.stem != "compat-chronos":
        assert re.fullmatch(r"[a-z_]+:scheduling_[a-z_]+:[a-z0-9_]+", rule.record)


def test_one_recorded_name_has_one_definition() -> None:
    keys = [(rule.record, *sorted(rule.labels.items())) for rule in RECORDS]
    assert len(keys) == len(set(keys))


@pytest.mark.parametrize("alert", NAMES)
def test_the_readme_lists_it(alert: str) -> None:
    (severity,) = {rule.labels["severity"] for rule in ALERTS if rule.alert == alert}
    assert re.search(rf"^\| \[{alert}\]\(runbooks/{alert}\.md\) \| {severity} \|", README, re.MULTILINE)


@pytest.mark.parametrize(
    "file", [RULES / "README.md", *sorted((RULES / "runbooks").glob("*.md"))], ids=lambda f: f.stem
)
def test_alerts_that_a_document_names_exist(file: Path) -> None:
    named = set(re.findall(r"\bScheduling[A-Z]\w+", file.read_text(encoding="utf-8")))
    assert named <= set(NAMES)
