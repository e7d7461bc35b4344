"""What the chart's AlertmanagerConfig is made from: ``exporter.alerting``'s data, for Helm's templates to put together.

``files/alerting.yaml`` of the chart is this, written by ``tools/helm_docs.py``: the environments' pace, the inhibition
rules as the custom resource has them, and the messages. A custom resource has no files of templates: each field carries
the definitions that it needs, and they are here one by one.
"""

from __future__ import annotations

import re
from typing import Any, Final

import yaml
from msgspec.structs import asdict

from exporter.alerting.files import templates
from exporter.alerting.inhibition import inhibit_rules
from exporter.alerting.pace import HANDING_ON, SETTINGS, Pace
from exporter.config.alerting import Alerting
from exporter.config.durations import format_duration
from exporter.config.model import Config

#: Put in place of the configured addresses, for Helm to replace.
BASES: Final = {"runbook_base": "https://runbook-base.invalid", "dashboard_base": "https://dashboard-base.invalid"}
#: The custom resource's fields, and the definition that each shows.
FIELDS: Final = {
    "slack": {
        "color": "scheduling.slack.color",
        "title": "scheduling.slack.title",
        "titleLink": "scheduling.slack.title_link",
        "text": "scheduling.slack.text",
        "fallback": "scheduling.slack.fallback",
        "footer": "scheduling.slack.footer",
    },
    "email": {
        "subject": "scheduling.email.subject",
        "html": "scheduling.email.html",
        "text": "scheduling.email.text",
    },
    "pagerduty": {
        "description": "scheduling.title",
        "severity": "scheduling.pagerduty.severity",
        "alerts": "scheduling.text",
    },
}
_DEFINE: Final = re.compile(r'^\{\{ define "(?P<name>[^"]+)" (?:-)?\}\}', re.MULTILINE)
#: After a definition, and never shown: blank lines, a comment about the next one.
_BETWEEN: Final = re.compile(r"\s*(?:\{\{/\*.*?\*/\}\}\s*)*\Z", re.DOTALL)
_USES: Final = re.compile(r'\{\{-? ?template "([^"]+)"')
_MATCHER: Final = re.compile(r'(?P<name>\w+)(?P<type>=~|!~|!=|=)"(?P<value>.*)"')
_HEADER: Final = "# Written by tools/helm_docs.py from exporter/alerting: change that, then `make helm`.\n"


def text() -> str:
    """The file."""
    return _HEADER + yaml.safe_dump(data(), sort_keys=False, allow_unicode=True, width=110)


def data() -> dict[str, Any]:
    """All of it."""
    alerting = Alerting()
    return {
        "settings": {
            environment: {
                **{key: value for key, value in asdict(setting).items() if isinstance(value, bool)},
                "critical": _pace(setting.critical),
                "warning": _pace(setting.warning),
                "escalate_after": format_duration(setting.escalate_after),
            }
            for environment, setting in SETTINGS.items()
        },
        "group_by": list(alerting.group_by),
        "evaluation_interval": format_duration(alerting.evaluation_interval),
        "handing_on": format_duration(HANDING_ON),
        "inhibitRules": [_inhibition(rule) for rule in inhibit_rules()],
        "bases": BASES,
        "fields": FIELDS,
        **_messages(),
    }


def _pace(pace: Pace) -> dict[str, str]:
    return {key: format_duration(value) for key, value in asdict(pace).items()}


def _inhibition(rule: dict[str, Any]) -> dict[str, Any]:
    return {
        "sourceMatch": [matcher(each) for each in rule["source_matchers"]],
        "targetMatch": [matcher(each) for each in rule["target_matchers"]],
        "equal": rule["equal"],
    }


def matcher(text: str) -> dict[str, str]:
    """A matcher of ours, as the custom resource has it."""
    found = _MATCHER.fullmatch(text)
    if found is None:
        raise ValueError(f"not a matcher: {text}")
    return {"name": found["name"], "value": found["value"], "matchType": found["type"]}


def _messages() -> dict[str, Any]:
    """``needs``: for each shown definition those that it takes, itself included; ``definitions``: their text.

    A definition that shows a link has four, by whether runbooks and dashboards have an address: "true,false".
    """
    variants = {
        f"{str(runbook).lower()},{str(dashboard).lower()}": definitions(runbook=runbook, dashboard=dashboard)
        for runbook in (True, False)
        for dashboard in (True, False)
    }
    names = next(iter(variants.values()))
    texts: dict[str, Any] = {}
    for name in names:
        found = {key: each[name] for key, each in variants.items()}
        texts[name] = found if len(set(found.values())) > 1 else names[name]
    shown = sorted({name for fields in FIELDS.values() for name in fields.values()})
    needs = {name: _needed(name, names) for name in shown}
    used = {name for each in needs.values() for name in each}
    return {"needs": needs, "definitions": {name: each for name, each in texts.items() if name in used}}


def definitions(*, runbook: bool, dashboard: bool) -> dict[str, str]:
    """The templates' definitions by name, in their order."""
    alerting = Alerting(
        runbook_base=BASES["runbook_base"] if runbook else None,
        dashboard_base=BASES["dashboard_base"] if dashboard else None,
    )
    found = {}
    for content in templates(Config(alerting=alerting)).values():
        starts = list(_DEFINE.finditer(content))
        for here, after in zip(starts, [*starts[1:], None], strict=True):
            piece = content[here.start() : after.start() if after else len(content)]
            found[here["name"]] = _BETWEEN.sub("", piece)
    return found


def _needed(name: str, texts: dict[str, str]) -> list[str]:
    needed: list[str] = []
    queue = [name]
    while queue:
        one = queue.pop()
        if one not in needed:
            needed.append(one)
            queue += _USES.findall(texts[one])
    return [each for each in texts if each in needed]
