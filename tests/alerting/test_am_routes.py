"""Who is told, by environment and by what is configured: each combination loads in Alertmanager, and routes."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from alerting.conftest import EMAIL, ON_CALL, SLACK, TEAMS, TOKEN, WEBHOOK, Write, receiver, written
from support.amtool import check, told

WAYS = {"slack": SLACK, "email": EMAIL, "webhook": WEBHOOK, "on_call": ON_CALL, "teams": TEAMS, "receiver": TOKEN}
#: All on and off.
CHOICES = [chosen for count in range(len(WAYS) + 1) for chosen in itertools.combinations(WAYS, count)]


@pytest.mark.parametrize("chosen", CHOICES, ids="+".join)
def test_every_combination_of_receivers_loads_in_production(write: Write, chosen: tuple[str, ...]) -> None:
    sections = [WAYS[name] for name in chosen]
    found = write(*sections)
    assert "SUCCESS" in check(found)
    keeps = ["history"] if "receiver" in chosen else []
    on_call = ["on-call"] if "on_call" in chosen else []
    assert told(found, severity="critical") == [
        *keeps,
        *(on_call or (["nobody"] if "teams" in chosen else [])),
        "everybody",
    ]
    assert told(found, severity="warning") == [*keeps, "everybody"]
    assert told(found, severity="info") == [*keeps, "nobody"]


@pytest.mark.parametrize("chosen", [("receiver",), ("receiver", "slack", "on_call"), tuple(WAYS)], ids="+".join)
def test_in_development_the_console_alone_is_told(write: Write, chosen: tuple[str, ...]) -> None:
    found = write(*(WAYS[name] for name in chosen), environment="development")
    check(found)
    assert told(found, severity="critical", task_type="billing", store="main") == ["history", "on-call", "everybody"]
    for name in ("everybody", "on-call"):
        made = receiver(found, name)
        assert made.keys() == {"name", "webhook_configs"}
        [console] = made["webhook_configs"]
        assert console["url"] == "http://exporter:9795/api/v1/alerts/webhook?console=true"
        assert console["send_resolved"] is True
        assert console["http_config"]["authorization"]["credentials_file"].endswith("/secrets/receiver_token")


def test_in_development_people_are_told_if_that_is_wanted(write: Write) -> None:
    found = write(*WAYS.values(), {"notify": True}, environment="development")
    check(found)
    assert receiver(found, "everybody").keys() == {"name", "slack_configs", "email_configs", "webhook_configs"}
    assert len(receiver(found, "everybody")["webhook_configs"]) == 2


def test_in_a_test_nobody_is_told(write: Write) -> None:
    found = write(*WAYS.values(), environment="test")
    check(found)
    assert [made for made in written(found)["receivers"] if len(made) > 1] == []
    assert told(found, severity="critical") == ["everybody"]


def test_without_an_environment_production_holds(write: Write) -> None:
    found = write(SLACK, ON_CALL, environment=None)
    assert told(found, severity="critical") == ["on-call", "everybody"]


def test_teams_are_told_of_their_own(write: Write) -> None:
    found = write(SLACK, ON_CALL, TEAMS)
    bill = {"task_type": "billing", "store": "main"}
    assert told(found, severity="warning", **bill) == ["team-billing"]
    assert told(found, severity="warning", task_type="billing", store="other") == ["everybody"]
    assert told(found, severity="critical", **bill) == ["on-call", "team-billing"]
    assert told(found, severity="critical", team="data") == ["team-data-on-call", "team-data"], "their own"
    assert told(found, severity="info", team="data") == ["nobody"]


def pace_of(found: dict[str, Any]) -> tuple[str, str, str]:
    return found["group_wait"], found["group_interval"], found["repeat_interval"]


def routes(directory: Any) -> dict[str, tuple[str, str, str]]:
    """By the first matcher: how soon and how often; "" is the root's."""
    root = written(directory)["route"]
    return {"": pace_of(root)} | {
        f"{'on-call ' if made.get('continue') else ''}{made['matchers'][0]}": pace_of(made)
        for made in root["routes"]
        if "matchers" in made and "group_wait" in made
    }


def test_how_soon_and_how_often_is_the_environments(write: Write) -> None:
    assert routes(write(SLACK, ON_CALL)) == {
        "": ("1m", "5m", "12h"),
        'on-call severity="critical"': ("40s", "40s", "1h"),
        'critical="true"': ("1s", "15s", "1h"),
        'severity="critical"': ("15s", "1m", "1h"),
    }
    assert routes(write(TOKEN, environment="development")) == {
        "": ("10s", "1m", "4h"),
        'on-call severity="critical"': ("10s", "10s", "1h"),
        'critical="true"': ("1s", "15s", "1h"),
        'severity="critical"': ("5s", "30s", "1h"),
    }


@pytest.mark.parametrize(("environment", "promised"), [("production", 60), ("development", 30)])
def test_what_stays_critical_escalates_in_time_evaluation_included(
    write: Write, environment: str, promised: int
) -> None:
    found = written(write(SLACK, ON_CALL, TOKEN, environment=environment))
    [escalation] = [made for made in found["route"]["routes"] if made["receiver"] == "on-call"]
    assert escalation["continue"] is True
    waits = {int(escalation[name].removesuffix("s")) for name in ("group_wait", "group_interval")}
    assert max(waits) + 15 < promised, "an evaluation each 15 s, as in rules/prometheus.yml"


def test_the_pace_can_be_set(write: Write) -> None:
    found = write(
        SLACK,
        ON_CALL,
        {"critical": {"group_wait": "2s", "group_interval": "3s"}, "warning": {"repeat_interval": "1d"}},
        {"escalate_after": "20s", "evaluation_interval": "5s", "group_by": ["..."]},
    )
    check(found)
    assert written(found)["route"]["group_by"] == ["..."]
    assert routes(found) == {
        "": ("1m", "5m", "1d"),
        'on-call severity="critical"': ("10s", "10s", "1h"),
        'critical="true"': ("1s", "15s", "1h"),
        'severity="critical"': ("2s", "3s", "1h"),
    }


def test_alerts_of_one_kind_are_one_message(write: Write) -> None:
    assert written(write(SLACK))["route"]["group_by"] == ["cluster", "namespace", "job", "store", "alertname"]
