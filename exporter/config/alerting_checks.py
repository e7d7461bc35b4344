"""What the keys about notifications have to keep to, of those that one key alone does not show."""

from __future__ import annotations

import re
import warnings
from typing import Any, Final

from exporter.config.problems import BROKEN, Where, quote
from exporter.config.secrets import Secret
from exporter.config.urls import broker_place, check_page_url

_LABEL: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_MATCHER: Final = re.compile(r"\s*[a-zA-Z_][a-zA-Z0-9_]*\s*(=~|!~|!=|=)\s*(\"(?:[^\"\\\n]|\\.)*\"|[^\s\"{},]+)\s*")
#: Faults of an expression that Go's and Python's have in common; what is only Python's to refuse is let through.
_FAULTS: Final = ("parenthesis", "unterminated", "nothing to repeat", "multiple repeat", "bad character range")
_TEAM: Final = re.compile(r"[a-z0-9][a-z0-9_-]*")
#: All alerts in a group of their own, as Alertmanager has it.
ALL_LABELS: Final = "..."


def check_slack(slack: Where) -> None:
    """One address at most, and one of HTTP."""
    _one_of(slack, "webhook_url", "webhook_url_file")
    _check_address(slack, "webhook_url")


def check_webhook(webhook: Where) -> None:
    """One address, one token at most."""
    _one_of(webhook, "url", "url_file")
    if webhook.value.url is None and webhook.value.url_file is None:
        webhook.problem("url", "required, or url_file: where notifications are posted to")
    _one_of(webhook, "token", "token_file")
    _check_address(webhook, "url")


def check_email(email: Where) -> None:
    """A server with its port, and all of a login."""
    smarthost = email.get("smarthost")
    if smarthost is not None:
        try:
            broker_place(smarthost)
        except ValueError:
            email.problem("smarthost", f"expected host:port, such as smtp.example.com:587; got {quote(smarthost)}")
    _one_of(email, "password", "password_file")
    given = email.value.password is not None or email.value.password_file is not None
    if given and email.value.username is None:
        email.problem("username", "required with a password")
    if email.value.username is not None and not given:
        email.problem("password", "required with username, or password_file")


def check_pagerduty(pagerduty: Where) -> None:
    """One key."""
    _one_of(pagerduty, "routing_key", "routing_key_file")
    if pagerduty.value.routing_key is None and pagerduty.value.routing_key_file is None:
        pagerduty.problem("routing_key", "required, or routing_key_file: the integration key of the service")


def check_receiver(receiver: Where) -> None:
    """The token, or where it is."""
    _one_of(receiver, "token", "token_file")


def check_on_call(on_call: Where) -> None:
    """Somebody."""
    _somebody(on_call, "slack", "email", "webhook", "pagerduty")


def check_team(team: Where) -> None:
    """Somebody, by a name that routes can have, for alerts that can be told apart."""
    name = team.get("name")
    if name is not None and not _TEAM.fullmatch(name):
        team.problem("name", f"expected small letters, digits, - and _; got {quote(name)}")
    elif name is not None and name.endswith("on-call"):
        team.problem("name", f"expected another end than on-call, which receivers of on_call have; got {quote(name)}")
    _somebody(team, "slack", "email", "webhook")
    for index, matcher in enumerate(team.get("matchers") or ()):
        if matcher is BROKEN:
            continue
        if (found := _MATCHER.fullmatch(matcher)) is None:
            text = f"""expected a matcher such as store="main" or task_type=~"billing.*"; got {quote(matcher)}"""
            team.problem("matchers", text, index)
        elif (fault := _fault(found[1], found[2])) is not None:
            team.problem("matchers", f"expected a regular expression, but {fault}; got {quote(matcher)}", index)


def _fault(operator: str, value: str) -> str | None:
    """Why Alertmanager would not load the whole file because of this expression."""
    if not operator.endswith("~") or r"\Q" in value:
        return None
    text = re.sub(r"\\([\"\\])", r"\1", value[1:-1]) if value.startswith('"') else value
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # [[:alpha:]] is Go's
            re.compile(text)
    except re.error as error:
        return error.msg if any(fault in error.msg for fault in _FAULTS) else None
    return None


def check_alerting(alerting: Where) -> None:
    """What teams and whoever is on call leave to the sections above them is there."""
    for index, label in enumerate(alerting.get("group_by") or ()):
        if label is not BROKEN and label != ALL_LABELS and not _LABEL.fullmatch(label):
            alerting.problem("group_by", f"expected the name of a label, or {ALL_LABELS}; got {quote(label)}", index)
    if (slack := alerting.get("slack")) is not None and not _has_address(slack):
        alerting.problem("slack", "expected webhook_url or webhook_url_file: the address of Slack's incoming webhook")
    first: dict[str, Where] = {}
    for team in alerting.items("teams"):
        name = team.get("name")
        if name is not None and first.setdefault(name, team) is not team:
            team.problem("name", f"duplicate name {quote(name)}; first at {first[name].place('name')}")
        _check_inherited(alerting, team.value, team)
        if (on_call := team.get("on_call")) is not None:
            _check_inherited(alerting, on_call, team, "on_call")
    if (on_call := alerting.get("on_call")) is not None:
        _check_inherited(alerting, on_call, alerting, "on_call")


def _check_inherited(alerting: Where, told: Any, at: Where, *path: str) -> None:
    """``told`` stands below ``path`` of ``at``."""
    if told.slack not in (None, BROKEN) and not _has_address(told.slack) and alerting.value.slack is None:
        keys = (*path, "slack", "webhook_url")
        at.problem(keys[0], "required, unless alerting.slack has one", *keys[1:])
    if told.email not in (None, BROKEN) and alerting.value.email is None:
        keys = (*path, "email")
        at.problem(keys[0], "needs alerting.email, which says by which server", *keys[1:])


def _somebody(told: Where, *channels: str) -> None:
    if all(getattr(told.value, channel) is None for channel in channels):
        told.problem(channels[0], f"expected one of {', '.join(channels)}: nobody would be told")


def _has_address(slack: Any) -> bool:
    return slack is BROKEN or slack.webhook_url is not None or slack.webhook_url_file is not None


def _one_of(section: Where, name: str, other: str) -> None:
    if getattr(section.value, name) is not None and getattr(section.value, other) is not None:
        section.problem(other, f"either {name} or {other}; keep one of the two")


def _check_address(section: Where, name: str) -> None:
    secret = section.get(name)
    if isinstance(secret, Secret) and secret.template is None:
        try:
            check_page_url(secret.reveal())
        except ValueError:  # the text stays out of it: whoever knows the address can post
            section.problem(name, "expected an address such as https://hooks.example.com/alerts")
