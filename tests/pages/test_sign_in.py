"""Signing in at the page, and acting there: no cookie before, a strict one after, nothing by another's form."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from http.cookies import Morsel, SimpleCookie
from typing import Any

import aiohttp
import msgspec
import pytest
from support.parts import part
from support.serving import World, serving
from support.status import Read, connection, world_of

from exporter.actions import Asker, Outcome
from exporter.config.model import Actions as ActionsSection
from exporter.config.model import Auth, Token
from exporter.config.secrets import Secret
from exporter.domain import OverdueJob, Queues
from exporter.httpd import sessions
from exporter.httpd.sessions import COOKIE, IDLE, LONGEST, MOST, SECURE_COOKIE, TRIES

VIEWER, ADMIN = "viewer-token-of-the-test", "admin-token-of-the-test"
AUTH = Auth(
    tokens=(
        Token(name="grafana", token=Secret(VIEWER), role="viewer"),
        Token(name="ops", token=Secret(ADMIN), role="admin"),
    )
)


def secured(*, actions: bool = True, auth: Auth = AUTH) -> World:
    """A world with a job that is late, a target that is down, an admin and a viewer."""
    world = world_of(
        "main", targets={"users": connection("users", "auth", "auth")}, auth=auth,
        actions=ActionsSection(enabled=actions),
    )  # fmt: skip
    late = OverdueJob(job_id="77", job_name="nightly", task_type="report", due=time.time() - 700)
    world.hub.publish(part("queues", Queues(queues={}, by_status={}, overdue=(late,), overdue_count=1)))
    state = connection("users")
    world.connections.states = {"users": state}
    world.connections.found = {"users": state.result} if state.result is not None else {}
    return world


class Browser:
    """As a browser does it: cookies are kept, forms are sent from the page they are on, redirects are followed."""

    def __init__(self, client: aiohttp.ClientSession, origin: str) -> None:
        self.client = client
        self.origin = origin
        self.cookies: dict[str, Morsel[str]] = {}

    async def get(self, path: str = "/", **headers: str) -> Read:
        async with self.client.get(path, headers=self._headers(headers)) as answer:
            self.status, text = answer.status, await answer.text()
        return Read(text)

    async def send(self, path: str, fields: Mapping[str, str], **headers: str) -> aiohttp.ClientResponse:
        """Send a form; the answer, before any redirect."""
        sent = {"Origin": self.origin, "Sec-Fetch-Site": "same-origin", **headers}
        async with self.client.post(
            path, data=dict(fields), headers=self._headers(sent), allow_redirects=False
        ) as answer:
            await answer.read()
            for text in answer.headers.getall("Set-Cookie", ()):
                for name, morsel in SimpleCookie(text).items():
                    self.cookies[name] = morsel
        return answer

    async def sign_in(self, token: str, **headers: str) -> aiohttp.ClientResponse:
        return await self.send("/sign-in", {"token": token, "back": "/?workers=2"}, **headers)

    def _headers(self, headers: Mapping[str, str]) -> dict[str, str]:
        shown = "; ".join(f"{name}={one.value}" for name, one in self.cookies.items() if one.value)
        return {**headers, **({"Cookie": shown} if shown else {})}


@asynccontextmanager
async def browsing(world: World) -> AsyncIterator[Browser]:
    async with (
        serving(world) as (server, _),
        aiohttp.ClientSession(server.urls[0], cookie_jar=aiohttp.DummyCookieJar()) as client,
    ):
        yield Browser(client, server.urls[0])


async def test_no_cookie_before_and_a_strict_one_after() -> None:
    async with browsing(secured()) as browser:
        page = await browser.get()
        assert "Sign in" in page.text() and "nightly" not in page.html and not browser.cookies
        assert "/sign-in?back=/" in page.links()
        await browser.get("/sign-in")
        assert not browser.cookies
        answer = await browser.sign_in(f" {ADMIN}\n")
        assert (answer.status, answer.headers["Location"]) == (303, "/?workers=2")
        cookie = browser.cookies[COOKIE]
        assert (cookie["samesite"], cookie["httponly"], cookie["secure"], cookie["path"]) == ("Strict", True, "", "/")
        assert len(cookie.value) >= 40 and ADMIN not in str(cookie)
        page = await browser.get()
        assert "nightly" in page.text() and "admin ops" in page.text() and "Sign out" in page.text()
        [out] = page.forms("/sign-out")
        answer = await browser.send("/sign-out", out)
        assert (answer.status, browser.cookies[COOKIE].value) == (303, "")
        assert "nightly" not in (await browser.get()).html


@pytest.mark.parametrize("origin", ["https://exporter.example", None])
async def test_over_tls_the_cookie_is_for_tls_alone(origin: str | None) -> None:
    async with browsing(secured()) as browser:
        headers = {"Origin": origin, "Host": "exporter.example"} if origin else {}
        assert (await browser.sign_in(ADMIN, **headers)).status == 303
        if origin is None:
            assert COOKIE in browser.cookies
        else:
            assert browser.cookies[SECURE_COOKIE]["secure"] and COOKIE not in browser.cookies


async def test_a_wrong_token_is_refused_written_down_and_tried_seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "TRY_EVERY", 3600.0)  # no try is given back while a slow machine is at it
    world = secured()
    async with browsing(world) as browser:
        answer = await browser.sign_in("wrong")
        assert (answer.status, browser.cookies) == (401, {})
        assert [(one.action, one.actor, one.result) for one in world.audit.entries] == [
            ("login", "anonymous", "refused")
        ]
        found = [(await browser.sign_in(f"wrong-{n}")).status for n in range(TRIES + 3)]
        assert found[: TRIES - 1] == [401] * (TRIES - 1) and found[-1] == 429
        assert (await browser.sign_in(ADMIN)).status == 429, "a right one among guesses is not told from them"


async def test_a_session_ends_by_time_and_with_its_token() -> None:
    world = secured()
    now = time.monotonic()
    world.clock = lambda: now
    async with browsing(world) as browser:
        await browser.sign_in(ADMIN)
        now += IDLE - 1
        assert "nightly" in (await browser.get()).text()
        now += IDLE - 1
        assert "nightly" in (await browser.get("/", **{"X-Page-Update": "1"})).text(), "a page that updates itself"
        now += 2
        assert "nightly" not in (await browser.get()).html, "nobody was there for it"
        await browser.sign_in(ADMIN)
        for _ in range(int(LONGEST / (IDLE - 1))):
            now += IDLE - 1
            assert "nightly" in (await browser.get()).text()
        now += IDLE - 1
        assert "nightly" not in (await browser.get()).html, "twelve hours are over"
        await browser.sign_in(VIEWER)
        assert "nightly" in (await browser.get()).text()
        world.config = msgspec.structs.replace(world.config or 0, auth=Auth(tokens=AUTH.tokens[1:]))
        assert "nightly" not in (await browser.get()).html, "its token is none any more"


async def test_sessions_are_few() -> None:
    world = secured()
    first = Browser.__new__(Browser)
    async with browsing(world) as browser:
        await browser.sign_in(ADMIN)
        first.__dict__.update(browser.__dict__)
        first.cookies = dict(browser.cookies)
        world.sessions._tries.pay = _free  # type: ignore[method-assign]
        for _ in range(MOST):
            browser.cookies = {}
            await browser.sign_in(ADMIN)
        assert "nightly" not in (await first.get()).html
        assert "nightly" in (await browser.get()).text()


async def _free(*_: Any, **__: Any) -> None:
    """As often as a test likes."""


async def test_json_knows_no_cookie() -> None:
    async with browsing(secured()) as browser:
        await browser.sign_in(ADMIN)
        for path in ("/api/scheduler-monitoring/status", "/config", "/api/jobs/1"):
            async with browser.client.get(path, headers=browser._headers({})) as answer:
                assert answer.status == 401, path
        for path in ("/api/scheduler-monitoring/jobs/trigger", "/api/v1/monitoring/connections/users/check"):
            async with browser.client.post(path, json={"jobId": 1}, headers=browser._headers({})) as answer:
                assert answer.status == 401, path


async def test_a_connection_is_checked_by_its_form_and_the_next_page_says_so() -> None:
    world = secured()
    async with browsing(world) as browser:
        await browser.sign_in(ADMIN)
        [form] = (await browser.get("/?workers=1")).forms("/act/check")
        answer = await browser.send("/act/check", form)
        assert (answer.status, answer.headers["Location"]) == (303, "/?workers=1")
        updated = await browser.get("/", **{"X-Page-Update": "1"})
        assert "Checked" not in updated.html, "an update by the page's script takes nothing away"
        assert "Checked users: it is up and answered in 100 ms" in (await browser.get()).text("notice")
        assert "Checked users" not in (await browser.get()).html, "once"
    entry = world.audit.entries[-1]
    assert (entry.action, entry.actor, entry.result, entry.target) == ("check", "ops", "success", "connection users")
    assert world.connections.checks == 1


async def test_a_job_is_triggered_once_however_often_the_form_is_sent() -> None:
    world = secured()
    done: list[tuple[str, str, str | None]] = []

    class Recorder:
        async def trigger(self, who: Asker, store: str, job_id: str) -> Outcome:
            done.append((store, job_id, who.key))
            return Outcome("x1", again=len(done) > 1)

    world.actions = Recorder()
    async with browsing(world) as browser:
        await browser.sign_in(ADMIN)
        [form] = (await browser.get()).forms("/act/trigger")
        for told in ("Job 77 was triggered as execution x1", "and not a second time"):
            assert (await browser.send("/act/trigger", form)).status == 303
            assert told in (await browser.get()).text("notice")
    assert [one[:2] for one in done] == [("main", "77")] * 2
    assert done[0][2] == done[1][2] and done[0][2]


@pytest.mark.parametrize(
    ("change", "headers", "status"),
    [
        ({"form": "0" * 64}, {}, 403),
        ({"form": ""}, {}, 403),
        ({}, {"Origin": "https://evil.example"}, 403),
        ({}, {"Origin": "null"}, 403),
        ({}, {"Sec-Fetch-Site": "cross-site"}, 403),
        ({}, {"Sec-Fetch-Site": "same-site"}, 403),
        ({"connection": ""}, {}, 400),
        ({"connection": "a\0b"}, {}, 400),
    ],
)
async def test_a_form_of_another_site_does_nothing(
    change: dict[str, str], headers: dict[str, str], status: int
) -> None:
    world = secured()
    async with browsing(world) as browser:
        await browser.sign_in(ADMIN)
        [form] = (await browser.get()).forms("/act/check")
        answer = await browser.send("/act/check", {**form, **change}, **headers)
        assert answer.status == status
        assert answer.content_type == "text/html"
        assert world.connections.checks == 0
        other = Browser(browser.client, browser.origin)
        await other.sign_in(ADMIN)
        assert (await other.send("/act/check", form)).status == 403, "another session's form"
        assert (await Browser(browser.client, browser.origin).send("/act/check", form)).status == 401, "no session"


@pytest.mark.parametrize(("asked_as", "status"), [("tools.example", 303), ("tools.example, inner", 303), ("x", 403)])
async def test_a_proxy_may_tell_what_it_was_asked_as(asked_as: str, status: int) -> None:
    async with browsing(secured()) as browser:
        headers = {"Host": "10.0.0.7:9795", "Origin": "http://tools.example", "X-Forwarded-Host": asked_as}
        assert (await browser.sign_in(ADMIN, **headers)).status == status


async def test_below_a_prefix_everything_leads_there() -> None:
    prefix = "/tools/sched"
    async with browsing(secured()) as browser:
        told = {"X-Forwarded-Prefix": f"{prefix}/"}
        answer = await browser.sign_in(ADMIN, **told)
        assert answer.headers["Location"] == f"{prefix}/?workers=2"
        for path in ("/", "/jobs/77?store=main", "/sign-in"):
            page = await browser.get(path, **told)
            assert page.links() and all(link.startswith((f"{prefix}/", "#", "?")) for link in page.links()), path
            assert all(
                (attrs["action"] or "").startswith(f"{prefix}/") for tag, attrs in page.elements if tag == "form"
            )
        [form] = (await browser.get(**told)).forms(f"{prefix}/act/check")
        assert (await browser.send("/act/check", form, **told)).headers["Location"] == f"{prefix}/"
        live = [attrs["data-live"] for _, attrs in (await browser.get(**told)).elements if "data-live" in attrs]
        assert live == [f"{prefix}/live"]


@pytest.mark.parametrize(
    "prefix", ["//evil.example", "https://evil.example", '/"><b>', "/a b", "/a//b", "/x" * 101, "x"]
)
async def test_a_prefix_is_a_path_or_none(prefix: str) -> None:
    async with browsing(secured()) as browser:
        assert "/health" in (await browser.get(**{"X-Forwarded-Prefix": prefix})).links()
        answer = await browser.sign_in(ADMIN, **{"X-Forwarded-Prefix": prefix})
        assert answer.headers["Location"] == "/?workers=2"


async def test_who_may_not_act_has_no_forms_and_is_refused() -> None:
    for world, token in ((secured(), VIEWER), (secured(actions=False), ADMIN)):
        async with browsing(world) as browser:
            await browser.sign_in(token)
            page = await browser.get()
            assert "nightly" in page.text()
            assert not page.forms("/act/check") and not page.forms("/act/trigger")
            form = {"form": page.forms("/sign-out")[0]["form"], "connection": "users", "back": "/"}
            answer = await browser.send("/act/check", form)
            if token == VIEWER:
                assert answer.status == 403
            else:
                assert "actions are off" in (await browser.get()).text("notice")
            assert world.connections.checks == 0


@pytest.mark.parametrize(
    "back", ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)", "", "/a b", "/\u202e"]
)
async def test_nobody_is_led_elsewhere(back: str) -> None:
    async with browsing(secured()) as browser:
        answer = await browser.send("/sign-in", {"token": ADMIN, "back": back})
        assert (answer.status, answer.headers["Location"]) == (303, "/")
        if back:
            page = Read(await (await browser.client.get("/sign-in", params={"back": back})).text())
            assert page.forms("/sign-in") == [{"back": "/"}]


async def test_a_page_that_needs_a_role_offers_to_sign_in() -> None:
    async with browsing(secured()) as browser:
        page = await browser.get("/jobs/77?store=main")
        assert browser.status == 401
        assert [link for link in page.links() if link.startswith("/sign-in?back=/jobs/77")]


async def test_what_is_typed_in_the_clear_is_said_to_be() -> None:
    async with browsing(secured()) as browser:
        assert "unencrypted" not in (await browser.get("/sign-in")).text()
        assert "unencrypted" in (await browser.get("/sign-in", Host="exporter.internal:9795")).text()
        proxied = {"Host": "exporter.internal", "X-Forwarded-Proto": "https"}
        assert "unencrypted" not in (await browser.get("/sign-in", **proxied)).text()


async def test_no_token_and_no_key_is_in_the_log(capfd: pytest.CaptureFixture[str]) -> None:
    async with browsing(secured()) as browser:
        await browser.sign_in(ADMIN)
        await browser.sign_in("wrong-token-of-the-test")
        await browser.get()
        key = browser.cookies[COOKIE].value
    said = "".join(capfd.readouterr())
    assert ADMIN not in said and "wrong-token" not in said and key not in said
