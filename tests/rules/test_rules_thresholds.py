"""Thresholds: the rules ask for those that the configuration has, and fall back to the same defaults."""

from __future__ import annotations

import re

import promql_parser as promql
import pytest
from support.rules import ALERTS, Rule, selectors, walk

from exporter.config.alerting import ThresholdOverride, Thresholds

DEFAULTS = {name: getattr(Thresholds(), name) for name in Thresholds.__struct_fields__}
USERS = tuple(
    {
        (str(rule), name): (rule, name)
        for rule in ALERTS
        for name in re.findall(r'scheduling_alert_threshold\{name="(\w+)"', rule.expr)
    }.values()
)
#: Thresholds that a store or task type may have its own of. The others are about servers, the exporter, the API.
OVERRIDABLE = {name for name in DEFAULTS if name in ThresholdOverride.__struct_fields__}


def test_every_threshold_is_used_and_every_one_that_is_used_exists() -> None:
    assert {name for _, name in USERS} == set(DEFAULTS)


@pytest.mark.parametrize(("rule", "name"), USERS, ids=str)
def test_without_the_series_the_rule_has_the_default(rule: Rule, name: str) -> None:
    """A branch of ``or``: a number (or the 1 that group() gives) times the label sets that there are."""
    fallbacks = []
    for node in walk(rule.ast):
        if isinstance(node, promql.BinaryExpr) and str(node.op).startswith("or"):
            right = node.rhs
            if isinstance(right, promql.BinaryExpr) and isinstance(right.lhs, promql.NumberLiteral):
                fallbacks.append(right.lhs.val)
    assert float(DEFAULTS[name]) in fallbacks


@pytest.mark.parametrize(("rule", "name"), USERS, ids=str)
def test_what_a_store_or_task_type_may_override_is_looked_up_there(rule: Rule, name: str) -> None:
    matchers = [
        {(m.name, str(m.op).rpartition(".")[2], m.value) for m in selector.matchers.matchers}
        for selector in selectors(rule.ast)
        if selector.name == "scheduling_alert_threshold"
    ]
    has_default = any(("task_type", "Equal", "") in found for found in matchers)
    assert has_default == (name in OVERRIDABLE)
    by_task_type = any(("task_type", "NotEqual", "") in found for found in matchers)
    if by_task_type:
        assert name in OVERRIDABLE


@pytest.mark.parametrize("name", DEFAULTS)
def test_the_runbook_tells_the_default(name: str) -> None:
    for rule, used in USERS:
        if used == name:
            text = (rule.file.parents[1] / rule.annotations["runbook_url"]).read_text(encoding="utf-8")
            assert f"`{name}` (default " in re.sub(r"\s+", " ", text), rule.alert
