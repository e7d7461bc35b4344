"""Alerts over HTTP, with a real Alertmanager that notifies the sidecar: what fires, what fired, silences."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from e2e.test_e2e_actions import ADMIN, VIEWER, audited, post, secured
from support.alerting import AlertmanagerServer, RuledPrometheus, iso, running
from support.polling import until
from support.ports import free_port
from support.sidecar import PATIENT, Response, Sidecar, StartSidecar, target

ALERTS = "/api/scheduler-monitoring/alerts"
SUPPRESS = f"{ALERTS}/suppress"
WEBHOOK = "/api/v1/alerts/webhook"
RECEIVER = {"Authorization": "Bearer receiver-token"}


def config(**alerting: Any) -> dict[str, Any]:
    """A sidecar that needs no store; the receiver's token is set."""
    receiver = {"token": "receiver-token"}
    targets = {"targets": [target("none", free_port(), id=1)]}
    return secured({"connections": targets, "alerting": {"receiver": receiver, **alerting}})


def listed(sidecar: Sidecar, query: str = "", headers: dict[str, str] | None = None) -> Response:
    return sidecar.get(f"{ALERTS}{query}", headers=VIEWER if headers is None else headers)


def names(answer: Response) -> list[str]:
    assert answer.status == 200, answer.text
    return [item["name"] for item in answer.json["items"]]


def firing(sidecar: Sidecar) -> int | None:
    found: int | None = sidecar.get("/api/scheduler-monitoring/status", headers=VIEWER).json["alertsFiring"]
    return found


def notification(*alerts: dict[str, Any]) -> dict[str, Any]:
    return {"version": "4", "status": "firing", "receiver": "x", "alerts": list(alerts)}


def alert(name: str, start: float, **more: Any) -> dict[str, Any]:
    return {
        "status": "firing",
        "labels": {"alertname": name},
        "annotations": {},
        "startsAt": iso(start),
        "endsAt": "0001-01-01T00:00:00Z",
        "fingerprint": f"f-{name}",
        **more,
    }


@pytest.fixture
def pair(tmp_path: Path, make_sidecar: StartSidecar) -> Iterator[tuple[Sidecar, AlertmanagerServer]]:
    """A sidecar and an Alertmanager that know of each other."""
    sidecar = make_sidecar({})
    webhook = (
        f"{{url: 'http://127.0.0.1:{sidecar.port}{WEBHOOK}', send_resolved: true,"
        " http_config: {authorization: {credentials: receiver-token}}}"
    )
    server = AlertmanagerServer(tmp_path / "alertmanager", webhook)
    sidecar.configure(config(alertmanager={"url": server.url, "timeout": PATIENT}))
    with running(server):
        sidecar.start()
        yield sidecar, server


def test_alerts_fire_are_silenced_and_become_history(pair: tuple[Sidecar, AlertmanagerServer]) -> None:
    sidecar, server = pair
    since = float(int(time.time())) - 120
    asyncio.run(server.fire("Failing", since=since, severity="critical", store="main"))
    until(lambda: names(listed(sidecar)) == ["Failing"], 60, "it is active")
    until(lambda: firing(sidecar) == 1, 60, "the status tells of it")
    [item] = listed(sidecar, "?active=true").json["items"]
    assert item.keys() == {
        "fingerprint", "name", "severity", "state", "startsAt", "endsAt", "labels", "annotations", "silencedBy",
        "inhibitedBy",
    }  # fmt: skip
    assert (item["severity"], item["state"], item["endsAt"]) == ("critical", "active", None)
    assert item["startsAt"] == time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(since))
    until(lambda: names(listed(sidecar, "?active=false")) == ["Failing"], 60, "Alertmanager told of it")
    [kept] = listed(sidecar, "?active=false").json["items"]
    assert kept == {**item, "state": "firing"}, "the same alert by the same fingerprint"

    wanted = {"fingerprint": item["fingerprint"], "durationMinutes": 5, "comment": "known"}
    answer = post(sidecar, SUPPRESS, wanted)
    assert answer.status == 201, answer.text
    silence = answer.json["silenceId"]
    until(lambda: listed(sidecar).json["items"][0]["silencedBy"] == [silence], 60, "it is silenced")
    assert listed(sidecar).json["items"][0]["state"] == "suppressed"
    [told] = asyncio.run(server.silences())
    assert told["endsAt"] == answer.json["endsAt"]
    assert {m["name"]: m["value"] for m in told["matchers"]} == item["labels"]
    assert (told["createdBy"], told["comment"]) == ("ops", "known")
    [row] = [row for row in audited(sidecar) if row["action"] == "silence"]
    assert (row["actor"], row["result"], row["data"]["target"]) == ("ops", "success", f"alert {item['fingerprint']}")

    asyncio.run(server.fire("Other", since=since, severity="info"))
    until(lambda: "Other" in names(listed(sidecar, "?active=false")), 60, "Alertmanager told of it")
    asyncio.run(server.fire("Other", since=since, until_=time.time() - 1, severity="info"))
    history = until(
        lambda: [i for i in listed(sidecar, "?active=false").json["items"] if i["name"] == "Other" and i["endsAt"]],
        60,
        "its end was told",
    )
    assert history[0]["state"] == "resolved"
    sidecar.restart()
    assert sorted(names(listed(sidecar, "?active=false"))) == ["Failing", "Other"], "kept across a restart"

    server.stop()
    away = listed(sidecar, headers=ADMIN)
    assert (away.status, away.json["error"].startswith("Alertmanager is away: no connection")) == (503, True)
    assert listed(sidecar).json == {"error": "Alertmanager is away"}, "a viewer reads no more than that"
    assert post(sidecar, SUPPRESS, wanted).status == 503
    assert sorted(names(listed(sidecar, "?active=false"))) == ["Failing", "Other"]


def test_matchers_are_silenced_and_what_is_none_is_refused(pair: tuple[Sidecar, AlertmanagerServer]) -> None:
    sidecar, server = pair
    matchers = [{"name": "alertname", "value": "Fail.*", "isRegex": True}, {"name": "store", "value": "main"}]
    answer = post(sidecar, SUPPRESS, {"matchers": matchers, "durationMinutes": 1, "comment": "c"})
    assert answer.status == 201
    [told] = asyncio.run(server.silences())
    assert [(m["name"], m["value"], m["isRegex"], m["isEqual"]) for m in told["matchers"]] == [
        ("alertname", "Fail.*", True, True),
        ("store", "main", False, True),
    ]
    good = {"matchers": matchers, "durationMinutes": 1, "comment": "c"}
    refused = (
        {},
        {**good, "matchers": []},
        {**good, "fingerprint": "f"},
        {**good, "durationMinutes": 0},
        {**good, "durationMinutes": 525_601},
        {**good, "durationMinutes": "5"},
        {**good, "comment": ""},
        {**good, "matchers": [{"name": "a b", "value": "x"}]},
        {**good, "fingerprint": None},
    )
    for matcher in ({"name": "a", "value": "(", "isRegex": True}, {"name": "a", "value": ""}):
        answer = post(sidecar, SUPPRESS, {**good, "matchers": [matcher]})
        assert (answer.status, answer.json["error"][:28]) == (409, "Alertmanager does not take i")
    for body in refused:
        answer = post(sidecar, SUPPRESS, body)
        assert answer.status == 400, (body, answer.text)
    unknown = post(sidecar, SUPPRESS, {"fingerprint": "nope", "durationMinutes": 1, "comment": "c"})
    assert (unknown.status, unknown.json) == (404, {"error": "no active alert has the fingerprint nope"})
    assert post(sidecar, SUPPRESS, good, headers=VIEWER).status == 403
    assert len(asyncio.run(server.silences())) == 1


def test_history_pages_and_is_deduplicated(start_sidecar: StartSidecar) -> None:
    sidecar = start_sidecar(config())
    now = float(int(time.time()))
    told = [alert(f"a{n}", now - 100 + n) for n in range(5)]
    assert post(sidecar, WEBHOOK, notification(*told), headers=RECEIVER).json == {"received": 5, "new": 5}
    again = [*told[:2], alert("a0", now), {**told[4], "status": "resolved", "endsAt": iso(now)}]
    assert post(sidecar, WEBHOOK, notification(*again), headers=ADMIN).json == {"received": 4, "new": 1}
    page = listed(sidecar, "?active=false&limit=2&offset=1")
    assert page.json["pagination"] == {"total": 6, "limit": 2, "offset": 1, "hasMore": True}
    assert [(item["name"], item["state"]) for item in page.json["items"]] == [("a4", "resolved"), ("a3", "firing")]
    assert listed(sidecar, "?active=false&limit=9999").json["pagination"]["limit"] == 100
    for query in ("?active=maybe", "?limit=0", "?offset=-1"):
        assert listed(sidecar, query).status == 400, query


def test_who_may_tell_of_alerts(start_sidecar: StartSidecar) -> None:
    sidecar = start_sidecar(config())
    body = notification(alert("a", time.time()))
    for headers, status in (({}, 401), ({"Authorization": "Bearer no"}, 401), (VIEWER, 403), (RECEIVER, 200)):
        assert post(sidecar, WEBHOOK, body, headers=headers).status == status, headers
    assert listed(sidecar, headers=RECEIVER).status == 401, "its token opens nothing else"
    assert post(sidecar, SUPPRESS, {"fingerprint": "a"}, headers=RECEIVER).status == 401
    many = notification(*(alert(f"a{n}", 1e9 + n, annotations={"text": "x" * 200}) for n in range(1000)))
    assert post(sidecar, WEBHOOK, many, headers=RECEIVER).json == {"received": 1000, "new": 1000}
    large = notification(alert("a", time.time(), annotations={"text": "x" * 5_000_000}))
    assert post(sidecar, WEBHOOK, large, headers={}).status == 401, "is not read before it is known who sends it"
    assert post(sidecar, WEBHOOK, large, headers=RECEIVER).status == 413
    for broken in (
        {},
        {"version": "3", "alerts": []},
        notification({"status": "firing"}),
        notification(alert("a", 0, startsAt="yesterday")),
        notification(alert("a", 0, labels={"a": 1})),
    ):
        assert post(sidecar, WEBHOOK, broken, headers=RECEIVER).status == 400, broken


def test_without_alertmanager_prometheus_is_asked(tmp_path: Path, start_sidecar: StartSidecar) -> None:
    server = RuledPrometheus(tmp_path / "prometheus")
    with running(server):
        sidecar = start_sidecar(config(prometheus={"url": server.url, "timeout": PATIENT}))
        assert names(listed(sidecar)) == ["AlwaysFiring"]
        body = {"fingerprint": "a", "durationMinutes": 1, "comment": "c"}
        answer = post(sidecar, SUPPRESS, body)
        assert (answer.status, "set alerting.alertmanager.url" in answer.json["error"]) == (503, True)


def test_nobody_to_ask_is_said(start_sidecar: StartSidecar) -> None:
    sidecar = start_sidecar(config())
    answer = listed(sidecar)
    assert (answer.status, answer.headers["retry-after"]) == (503, "5")
    assert json.loads(answer.body)["error"].startswith("there is nobody to ask: set alerting.alertmanager.url")
    assert names(listed(sidecar, "?active=false")) == []


def test_what_the_console_is_told_is_printed(start_sidecar: StartSidecar) -> None:
    sidecar = start_sidecar(config())
    start = 1_700_000_000.0
    texts = {"summary": "It\nbroke", "description": "All of it.", "runbook_url": "runbooks/A.md"}
    fires = alert("A", start, labels={"alertname": "A", "severity": "critical"}, annotations=texts)
    over = {**fires, "status": "resolved", "endsAt": iso(start + 60)}
    told = [alert(f"many{n}", start) for n in range(25)]
    for body in (notification(fires), notification(over), notification(*told)):
        assert post(sidecar, WEBHOOK, body, headers=RECEIVER).status == 200
    assert sidecar.events("alert fires") == [], "unless it is asked for"
    for body in (notification(fires), notification(over), notification(*told)):
        assert post(sidecar, f"{WEBHOOK}?console=true", body, headers=RECEIVER).status == 200
    until(lambda: sidecar.events("more alerts than are printed"), 30, "all of it is printed")
    first, *others = sidecar.events("alert fires")
    assert (
        first.items()
        >= {
            "level": "ERROR",
            "component": "alerts",
            "alert": "A",
            "severity": "critical",
            "summary": "It\nbroke",
            "runbook": "runbooks/A.md",
            "since": "2023-11-14T22:13:20.000Z",
            "receiver": "x",
        }.items()
    )
    assert {line["level"] for line in others} == {"WARN"}
    [line] = sidecar.events("alert is over")
    assert (line["level"], line["until"]) == ("INFO", "2023-11-14T22:14:20.000Z")
    [line] = sidecar.events("more alerts than are printed")
    assert (len(others), line["alerts"], line["printed"]) == (20, 25, 20)
    assert post(sidecar, f"{WEBHOOK}?console=maybe", notification(fires), headers=RECEIVER).status == 400
