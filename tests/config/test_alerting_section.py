"""The keys about notifications: what is refused, and that no secret is shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from exporter.config.load import load_text
from exporter.config.model import Config
from exporter.config.redact import redacted
from exporter.errors import ConfigError

SLACK = "slack: {webhook_url: 'https://hooks.slack.com/pass-word'}"
EMAIL = "email: {from: a@b, smarthost: 'c:25'}"


def load(alerting: str) -> Config:
    text = f"stores: [{{name: main, dsn: host=h}}]\nalerting: {{{alerting}}}\n"
    return load_text(text, filename="c.yaml", environ={}, base_dir=Path())


@pytest.mark.parametrize(
    ("alerting", "told"),
    [
        ("slack: {channel: a}", "alerting.slack: expected webhook_url or webhook_url_file"),
        ("slack: {webhook_url: 'pass-word'}", "alerting.slack.webhook_url: expected an address such as https://hooks"),
        ("slack: {webhook_url: 'http://h/pass-word', webhook_url_file: x}", "keep one of the two"),
        ("webhook: {channel: a}", "alerting.webhook.channel: unknown key"),
        ("webhook: {token: pass-word}", "alerting.webhook.url: required, or url_file"),
        ("webhook: {url: 'http://h', token: pass-word, token_file: x}", "either token or token_file"),
        ("email: {from: a@b}", "alerting.email.smarthost: required"),
        ("email: {smarthost: 'c:25'}", "alerting.email.from: required"),
        ("email: {from: a@b, smarthost: c}", "alerting.email.smarthost: expected host:port, such as smtp.example.com"),
        ("email: {from: a@b, smarthost: 'c:25', username: u}", "alerting.email.password: required with username"),
        ("email: {from: a@b, smarthost: 'c:25', password: pass-word}", "alerting.email.username: required with a"),
        ("on_call: {}", "alerting.on_call.slack: expected one of slack, email, webhook, pagerduty: nobody"),
        ("on_call: {pagerduty: {routing_key: null}}", "alerting.on_call.pagerduty.routing_key: required"),
        ("on_call: {slack: {channel: a}}", "alerting.on_call.slack.webhook_url: required, unless alerting.slack"),
        ("on_call: {email: {to: [a@b]}}", "alerting.on_call.email: needs alerting.email"),
        (f"{SLACK}, teams: [{{name: A, slack: {{channel: a}}}}]", "alerting.teams[0].name: expected small letters"),
        (f"{SLACK}, teams: [{{name: a}}]", "alerting.teams[0].slack: expected one of slack, email, webhook"),
        (
            f"{SLACK}, teams: [{{name: a, slack: {{channel: a}}}}, {{name: a, slack: {{channel: b}}}}]",
            'alerting.teams[1].name: duplicate name "a"; first at alerting.teams[0].name',
        ),
        (
            f"{SLACK}, teams: [{{name: a, slack: {{channel: a}}, matchers: ['store main']}}]",
            'alerting.teams[0].matchers[0]: expected a matcher such as store="main"',
        ),
        (
            f"{SLACK}, teams: [{{name: a, slack: {{channel: a}}, matchers: ['task_type=~\"(a\"']}}]",
            "alerting.teams[0].matchers[0]: expected a regular expression, but missing ), unterminated subpattern",
        ),
        (
            f"{SLACK}, teams: [{{name: a, slack: {{channel: a}}, matchers: ['store!~*a']}}]",
            "alerting.teams[0].matchers[0]: expected a regular expression, but nothing to repeat",
        ),
        (
            f"{SLACK}, teams: [{{name: a-on-call, slack: {{channel: a}}}}]",
            "alerting.teams[0].name: expected another end than on-call",
        ),
        ("teams: [{name: a, slack: {channel: a}}]", "alerting.teams[0].slack.webhook_url: required, unless"),
        (
            f"{SLACK}, teams: [{{name: a, slack: {{channel: a}}, on_call: {{email: {{to: [a@b]}}}}}}]",
            "alerting.teams[0].on_call.email: needs alerting.email",
        ),
        ("group_by: []", "alerting.group_by: expected something that is not empty"),
        ("group_by: [a-b]", "alerting.group_by[0]: expected the name of a label"),
        ("escalate_after: 0s", "alerting.escalate_after: expected"),
        ("runbook_base: 'ftp://h'", "alerting.runbook_base: expected a URL"),
        ("receiver: {token: pass-word, token_file: x}", "alerting.receiver.token_file: either token or token_file"),
    ],
)
def test_what_cannot_work_is_refused(alerting: str, told: str) -> None:
    with pytest.raises(ConfigError) as error:
        load(alerting)
    assert told in str(error.value)
    assert "pass-word" not in str(error.value)


def test_what_is_secret_is_hidden_and_keys_have_their_names() -> None:
    config = load(f"{SLACK}, {EMAIL}, webhook: {{url: 'http://h/pass-word'}}")
    text = redacted(config)
    assert "pass-word" not in text
    assert "    from: a@b" in text, "as the file has it"


def test_matchers_are_alertmanagers() -> None:
    for matcher in (
        'store="main"',
        'store=~"[[:alpha:]]+\\\\z"',
        'store=~"a(?i)b|\\\\Q(\\\\E"',
        'store="("',
        'task_type=~"a|b.*"',
        "team != data",
        'name!~"a \\"b\\""',
    ):
        team = f"name: a, slack: {{channel: a}}, matchers: ['{matcher}']"
        assert load(f"{SLACK}, teams: [{{{team}}}]").alerting.teams[0].matchers == (matcher,)
