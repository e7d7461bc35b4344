"""The section ``alerting.remediation``: what it needs of others, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from exporter.config.load import load_text
from exporter.config.model import Config
from exporter.config.remediation import CheckRemedy, HttpRemedy, TriggerRemedy
from exporter.errors import ConfigError

TEXT = """
stores: [{name: main, dsn: host=h}]
actions: {enabled: %(actions)s}
alerting:
  receiver: {token: %(token)s}
  remediation:
    enabled: true
    rules: [%(rules)s]
"""
TRIGGER = "{name: a, alert: Down, do: {kind: trigger}}"


def load(rules: str = TRIGGER, actions: str = "true", token: str = "t0ken") -> Config:
    text = TEXT % {"rules": rules, "actions": actions, "token": token}
    return load_text(text, filename="c.yaml", environ={}, base_dir=Path())


def test_the_three_kinds_are_told_apart() -> None:
    config = load(
        TRIGGER
        + ", {name: b, alert: Down, do: {kind: check, connection: x}, cooldown: 1h, per_hour: 1}"
        + ", {name: c, alert: 'Down*', match: {store: main}, do: {kind: http, url: 'http://h/a?b=1', token: s3cret}}"
    )
    rules = config.alerting.remediation.rules
    assert [type(rule.do) for rule in rules] == [TriggerRemedy, CheckRemedy, HttpRemedy]
    assert (rules[0].cooldown, rules[0].per_hour, rules[1].cooldown) == (900, 4, 3600)
    assert "s3cret" not in repr(rules[2])


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"actions": "false"}, "alerting.remediation.enabled: needs actions.enabled: true"),
        ({"token": "null"}, "alerting.remediation.enabled: needs alerting.receiver.token"),
        ({"rules": f"{TRIGGER}, {TRIGGER}"}, 'alerting.remediation.rules[1].name: duplicate name "a"'),
        (
            {"rules": "{name: a, alert: Down, do: {kind: trigger, store: mian}}"},
            'alerting.remediation.rules[0].do.store: no store is named "mian"; did you mean "main"?',
        ),
        ({"rules": "{name: a, alert: Down, do: {kind: shell}}"}, "alerting.remediation.rules[0].do.kind: "),
        ({"rules": "{name: a, alert: Down}"}, "alerting.remediation.rules[0].do: required"),
        (
            {"rules": "{name: a, alert: Down, do: {kind: check}, per_hour: 0}"},
            "alerting.remediation.rules[0].per_hour: ",
        ),
        (
            {"rules": "{name: a, alert: Down, do: {kind: http, url: 'http://h/', username: me}}"},
            "alerting.remediation.rules[0].do.password: required with username",
        ),
    ],
)
def test_what_cannot_be_done_is_refused_with_its_key(options: dict[str, str], expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(**options)
    [problem] = caught.value.problems
    assert expected in problem


def test_rules_may_wait_for_being_turned_on() -> None:
    text = TEXT.replace("enabled: true", "enabled: false") % {"rules": TRIGGER, "actions": "false", "token": "null"}
    assert load_text(text, filename="c.yaml", environ={}, base_dir=Path()).alerting.remediation.enabled is False
