"""What Alertmanager and Prometheus say is active, silences, and every way in which they cannot be asked."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from aiohttp import web
from support.alerting import AlertmanagerServer, RuledPrometheus, receiver, revealed, running
from support.ports import free_port
from support.serving import eventually

from exporter.alertmanager import AlertSource, AlertsUnavailable, Matcher, SilenceRefused, fingerprint
from exporter.config.model import Alerting, Alertmanager, Duration, Remote
from exporter.config.secrets import Secret
from exporter.domain import Alert

#: A slow machine is no server that does not answer.
PATIENT = Duration(60)


@pytest.fixture(scope="module")
def alertmanager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AlertmanagerServer]:
    server = AlertmanagerServer(tmp_path_factory.mktemp("alertmanager"), "{url: http://127.0.0.1:1/}")
    with running(server):
        yield server


def source(url: str, **options: Any) -> AlertSource:
    return AlertSource(
        lambda: Alerting(alertmanager=Alertmanager(url=url, **{"timeout": PATIENT, **options})), revealed
    )


async def found(source: AlertSource, name: str) -> list[Alert]:
    return [alert for alert in await source.active() if alert.labels["alertname"] == name]


async def test_active_alerts_are_told_with_what_holds_them_back(alertmanager: AlertmanagerServer) -> None:
    since = float(int(time.time())) - 300
    await alertmanager.fire("Down", since=since, severity="critical", job="a")
    await alertmanager.fire("Slow", since=since - 60, severity="warning", job="a")
    asked = source(alertmanager.url)
    [down] = await found(asked, "Down")
    labels = {"alertname": "Down", "severity": "critical", "job": "a"}
    assert down == Alert(
        fingerprint=fingerprint(labels), labels=labels, annotations={"summary": "Down fired"}, state="active",
        starts_at=since,
    )  # fmt: skip

    async def inhibited() -> bool:
        [slow] = await found(asked, "Slow")
        return (slow.state, slow.inhibited_by) == ("suppressed", (down.fingerprint,))

    await eventually(inhibited, seconds=60)
    assert [alert.labels["alertname"] for alert in await asked.active()] == ["Down", "Slow"], "the latest first"
    filtered = source(alertmanager.url, filter=('severity="warning"', 'job=~"a|b"'))
    assert [alert.labels["alertname"] for alert in await filtered.active()] == ["Slow"]


async def test_a_silence_suppresses_and_expires(alertmanager: AlertmanagerServer) -> None:
    await alertmanager.fire("Noisy", instance="i-1")
    asked = source(alertmanager.url)
    matchers = [Matcher("alertname", "Noi.*", is_regex=True), Matcher("instance", "i-1")]

    async def silence(seconds: float) -> str:
        now = time.time()
        return await asked.silence(matchers, starts_at=now, ends_at=now + seconds, author="ops", comment="known")

    async def state(wanted: str, by: tuple[str, ...]) -> bool:
        [noisy] = await found(asked, "Noisy")
        return (noisy.state, noisy.silenced_by) == (wanted, by)

    for seconds in (4, 60):  # the longer one where the machine stood still while the other one was at work
        made = await silence(seconds)
        try:
            await eventually(lambda made=made: state("suppressed", (made,)), seconds=seconds)  # type: ignore[misc]
        except TimeoutError:
            continue
        [told] = [one for one in await alertmanager.silences() if one["id"] == made]
        if told["status"]["state"] == "active":
            break
    assert (told["createdBy"], told["comment"], told["status"]["state"]) == ("ops", "known", "active")
    await eventually(lambda: state("active", ()), seconds=120)


async def test_a_silence_that_is_none_is_refused(alertmanager: AlertmanagerServer) -> None:
    asked, now = source(alertmanager.url), time.time()
    for matcher, told in (
        (Matcher("alertname", "(", is_regex=True), "missing closing"),
        (Matcher("alertname", ".*", is_regex=True), "at least one matcher"),
    ):
        with pytest.raises(SilenceRefused, match=told):
            await asked.silence([matcher], starts_at=now, ends_at=now + 60, author="ops", comment="x")


async def test_prometheus_is_asked_where_there_is_no_alertmanager(tmp_path: Path) -> None:
    server = RuledPrometheus(tmp_path)
    with running(server):
        asked = AlertSource(lambda: Alerting(prometheus=Remote(url=server.url, timeout=PATIENT)), revealed)
        [alert] = await asked.active()
        assert (alert.labels, alert.state) == ({"alertname": "AlwaysFiring", "severity": "warning"}, "active")
        assert alert.annotations == {"summary": "1"}
        assert 0 <= time.time() - alert.starts_at < 600
        with pytest.raises(AlertsUnavailable, match=r"set alerting\.alertmanager\.url"):
            await asked.silence([], starts_at=0, ends_at=1, author="", comment="")


async def test_nobody_to_ask() -> None:
    asked = AlertSource(Alerting, revealed)
    assert not asked.configured
    with pytest.raises(AlertsUnavailable, match=r"set alerting\.alertmanager\.url or alerting\.prometheus\.url"):
        await asked.active()


async def test_one_that_is_away() -> None:
    port = free_port()
    with pytest.raises(AlertsUnavailable, match=rf"Alertmanager is away: no connection to http://127\.0\.0\.1:{port}"):
        await source(f"http://127.0.0.1:{port}").active()


@pytest.mark.parametrize(
    ("status", "body", "told"),
    [
        (200, "<html>a proxy</html>", "no Alertmanager: is the path right"),
        (200, "[{}]", "no Alertmanager: is the path right"),
        (200, b'["\xff"]', "no Alertmanager: is the path right"),
        (401, "", "refuses us"),
        (500, "no\nleader", "answers with status 500: no leader"),
        (302, "", "answers with status 302"),
    ],
)
async def test_an_answer_that_is_none(status: int, body: str | bytes, told: str) -> None:
    data = body if isinstance(body, bytes) else body.encode()
    headers = {"Location": "http://127.0.0.1:1/"}
    async with receiver(lambda _: web.Response(status=status, body=data, headers=headers)) as server:
        with pytest.raises(AlertsUnavailable, match=told):
            await source(server.url).active()


async def test_an_answer_that_never_comes_or_never_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    async with receiver(lambda _: web.Response(text="[]")) as server:
        server.delay = 60
        with pytest.raises(AlertsUnavailable, match=r"did not answer within 0\.2 s"):
            await source(server.url, timeout=Duration(0.2)).active()
        server.delay = 0
        monkeypatch.setattr("exporter.outbound.LARGEST", 1)
        with pytest.raises(AlertsUnavailable, match="gave no answer: it is too long, more than 1 bytes"):
            await source(server.url).active()


async def test_equal_questions_at_the_same_time_are_asked_once() -> None:
    async with receiver(lambda _: web.Response(text="[]")) as server:
        server.delay = 0.2
        asked = source(server.url)
        assert await asyncio.gather(*(asked.active() for _ in range(10))) == [[]] * 10
        assert len(server.requests) == 1
        await asked.active()
        assert len(server.requests) == 2


async def test_who_we_are_is_told_and_whom_we_trust_is_checked(tmp_path: Path) -> None:
    authority = trustme.CA()
    context = web_context(authority)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    ca_file = str(tmp_path / "ca.pem")
    async with receiver(lambda _: web.Response(text="[]"), ssl_context=context) as server:
        await source(server.url, ca_file=ca_file, token=Secret("t0ken")).active()
        await source(server.url, ca_file=ca_file, username="me", password=Secret("pw")).active()
        sent = [asked.headers.get("authorization") for asked in server.requests]
        assert sent == ["Bearer t0ken", "Basic bWU6cHc="]
        with pytest.raises(AlertsUnavailable, match="certificate verify failed"):
            await source(server.url).active()
        with pytest.raises(AlertsUnavailable, match=r"ca_file .* cannot be used: No such file"):
            await source(server.url, ca_file=str(tmp_path / "none.pem")).active()


def web_context(authority: trustme.CA) -> Any:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    return context
