"""The section about what is done by itself when an alert fires: which alert, what, how often at most."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from exporter.config.base import Duration, Name, PageUrl, Positive, Remote, Section, Text
from exporter.config.problems import BROKEN, Where, nearest, quote


class TriggerRemedy(Section, frozen=True, kw_only=True):
    """A job is triggered, as its store says how: the one that the alert's labels name, unless one is given here."""

    kind: Literal["trigger"]
    store: Name | None = None
    job: Text | None = None


class CheckRemedy(Section, frozen=True, kw_only=True):
    """A connection is checked at once: the one that the alert's label names, unless one is given here."""

    kind: Literal["check"]
    connection: Name | None = None


class HttpRemedy(Remote, frozen=True, kw_only=True):
    """The alert is posted to ``url``: whoever is there knows what to do."""

    url: PageUrl
    kind: Literal["http"]


AnyRemedy = TriggerRemedy | CheckRemedy | HttpRemedy


class RemediationRule(Section, frozen=True, kw_only=True):
    """What is done when ``alert`` fires with labels that ``match`` (``*`` and ``?`` stand for anything).

    Not again for the same target within ``cooldown``, and at most ``per_hour`` times an hour for all targets.
    """

    name: Name
    alert: Text
    do: AnyRemedy
    match: dict[str, str] = {}
    cooldown: Positive = Duration(900)
    per_hour: Annotated[int, Meta(ge=1, le=1000)] = 4


class Remediation(Section, frozen=True, kw_only=True):
    """Whether anything is done by itself, and what."""

    enabled: bool = False
    rules: tuple[RemediationRule, ...] = ()


def check_remediation(config: Where) -> None:
    """What remediation needs of other sections, and that the stores that its rules name are there."""
    rules = config.items("alerting", "remediation", "rules")
    stores = config.get("stores")
    known = None if stores is None or any(s is BROKEN or s.name is BROKEN for s in stores) else [s.name for s in stores]
    for rule in rules:
        store = getattr(rule.get("do"), "store", None)
        if known is not None and store is not None and store is not BROKEN and store not in known:
            rule.problem("do", f"no store is named {quote(store)}{nearest(store, known)}", "store")
    alerting = config.get("alerting")
    remediation = BROKEN if alerting is None else alerting.remediation
    if remediation is BROKEN or remediation.enabled is not True:
        return
    here = ("remediation", "enabled")
    actions = config.get("actions")
    if actions is not None and actions.enabled is False:
        config.problem("alerting", "needs actions.enabled: true, for it acts", *here)
    if alerting.receiver is not BROKEN and alerting.receiver.token is None:
        config.problem("alerting", "needs alerting.receiver.token, with which Alertmanager tells of alerts", *here)
