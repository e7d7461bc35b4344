"""Every query parses, asks for metrics and labels that exist, follows the variables, and treats counters as such."""

from __future__ import annotations

import re

import promql_parser as promql
import pytest
from rules.test_rules_metrics import VALUES, labels_of
from support.dashboards import ANNOTATIONS, LOOKUPS, QUERIES, Asked
from support.rules import grouped, walk

EVERY = (*QUERIES, *ANNOTATIONS, *(asked for asked, _ in LOOKUPS))
FOLLOWED = ("store", "task_type", "connection")
OF_COUNTERS = {"rate", "increase"}
#: Which labels a query makes itself.
MADE = {"label_replace": {"class"}}


@pytest.mark.parametrize("asked", EVERY, ids=str)
def test_metrics_labels_and_values_exist(asked: Asked) -> None:
    known: set[str] = set()
    for selector in asked.selectors:
        labels = labels_of(selector.name) if selector.name != "ALERTS" else OF_ALERTS
        known |= labels
        for matcher in selector.matchers.matchers:
            assert matcher.name in labels, f"{selector.name} has no {matcher.name}"
            allowed = VALUES.get((selector.name, matcher.name))
            if allowed is not None:
                assert any(re.fullmatch(matcher.value, value) for value in allowed), matcher
    made = {label for name, labels in MADE.items() if name in asked.expr for label in labels}
    assert grouped(promql.parse(asked.filled())) <= known | made


OF_ALERTS = {
    *("alertname", "alertstate", "severity", "job", "instance"),
    *("store", "task_type", "connection", "name", "job_name"),
}


@pytest.mark.parametrize("asked", (*QUERIES, *ANNOTATIONS), ids=str)
def test_every_selector_follows_the_variables(asked: Asked) -> None:
    braces = re.findall(r"(\w+)\{([^}]*)\}", asked.expr)
    assert len(braces) == len(asked.selectors), "a selector without variables"
    for name, inside in braces:
        assert 'job=~"$job"' in inside
        # Alerts have no instance: a pod that is replaced is the same alert.
        assert ('instance=~"$instance|"' if name == "ALERTS" else 'instance=~"$instance"') in inside
        if name == "ALERTS":
            continue
        for label in FOLLOWED:
            if label in labels_of(name):
                assert re.search(rf'\b{label}(=~|=|!=)"', inside), f"{name} has a {label}"


@pytest.mark.parametrize("asked", (*QUERIES, *ANNOTATIONS), ids=str)
def test_counters_are_asked_for_their_growth_and_nothing_else_is(asked: Asked) -> None:
    inside: set[int] = set()
    for node in walk(promql.parse(asked.filled())):
        if isinstance(node, promql.Call) and node.func.name in OF_COUNTERS:
            for selector in (found for argument in node.args for found in walk(argument)):
                if isinstance(selector, promql.VectorSelector):
                    assert re.search(r"_(total|bucket|sum|count)$", selector.name), selector.name
                    inside.add(id(selector))
    counters = [s for s in asked.selectors if re.search(r"_(total|bucket|sum|count)$", s.name)]
    grown = len(re.findall(r"\b(?:rate|increase)\(", asked.expr))
    assert len(counters) == grown == len(inside), "a counter outside of rate() and increase()"


@pytest.mark.parametrize("asked", QUERIES, ids=str)
def test_rates_are_over_the_rate_interval(asked: Asked) -> None:
    for window in re.findall(r"\brate\(\w+\{[^}]*\}\[([^\]]+)\]", asked.expr):
        assert window == "$__rate_interval"
    assert "irate(" not in asked.expr
    assert "$__interval" not in asked.expr
