"""The status page in a real browser: healthy, failing, all down, signed in; hostile names; without scripts."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from selenium.common.exceptions import NoSuchElementException, StaleElementReferenceException
from selenium.webdriver import Chrome, Keys
from selenium.webdriver.common.by import By
from support.alerting import AlertmanagerServer
from support.browser import WIDE, chromium, look, prefer, resize, violations
from support.polling import until
from support.ports import free_port
from support.scheduler import PASSWORD, NativeStore
from support.sidecar import HOST, Sidecar, StartSidecar, one_store, target

from exporter.config.dsn import parse_dsn
from exporter.demo.postgres import PostgresServer

ADMIN = "admin-token-of-the-page"
SMALLEST = (320, 568)
#: A page is worth no more than this, everything in it.
HEAVIEST = 100_000
HOSTILE = (
    "<script>window.pwned = 1</script>",
    '"><img src=x onerror="window.pwned = 1">',
    "' onfocus='window.pwned = 1' autofocus='",
    "</style></script><svg onload=window.pwned=1>",
    "{{ 7 * 7 }} {% raw %} ${7*7}",
    "\u202egnp.evil\u202c \u0627\u0644\u0645\u0647\u0645\u0629 \u05de\u05e9\u05d9\u05de\u05d4",
    "x" * 10_000,
    "word " * 2_000,
    "\U0001f468\u200d\U0001f469\u200d\U0001f467 \U0001f6a8\U0001f525",
    "Z\u0351\u036b\u0343\u036a\u0302\u0312a" + "\u0301" * 60 + "lgo",
    "line\nbreak\ttab &amp; &lt;b&gt;",
    " ",
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Chrome]:
    with chromium() as driver:
        yield driver


@pytest.fixture
def alertmanager(tmp_path: Path) -> Iterator[AlertmanagerServer]:
    server = AlertmanagerServer(tmp_path / "alertmanager", "{url: http://127.0.0.1:1/}")
    server.start()
    yield server
    server.stop()


def login(native: NativeStore) -> dict[str, Any]:
    user = str(parse_dsn(native.dsn)["user"])
    return {"user": user, "password": PASSWORD, "database": native.database.name}


def readable(config: Mapping[str, Any]) -> dict[str, Any]:
    """Everybody may read, an admin's token acts."""
    auth = {"anonymous_read": True, "tokens": [{"name": "ops", "role": "admin", "token": ADMIN}]}
    free = {"rate_limit": {"per_second": 0}, "action_rate_limit": {"per_second": 0}}
    return {"environment": "production", "auth": auth, "api": free, "actions": {"enabled": True}, **config}


def url(sidecar: Sidecar, path: str = "/") -> str:
    return f"http://{HOST}:{sidecar.port}{path}"


def text(browser: Chrome, css: str = "main") -> str:
    """What is read there."""
    # Between two pages there may be no such element, or one that is gone already.
    try:
        return " ".join(browser.find_element(By.CSS_SELECTOR, css).text.split())
    except (NoSuchElementException, StaleElementReferenceException):
        return ""


def press(browser: Chrome, css: str) -> None:
    write(browser, css, Keys.ENTER)


def write(browser: Chrome, css: str, *keys: str) -> None:
    """Write into the first such element, which the page may put in another's place at any moment."""

    def written() -> bool:
        try:
            browser.find_element(By.CSS_SELECTOR, css).send_keys(*keys)
        except (NoSuchElementException, StaleElementReferenceException):
            return False
        return True

    until(written, 60, css)


def light(sidecar: Sidecar, path: str = "/") -> None:
    answer = sidecar.get(path)
    assert answer.status == 200 and len(answer.body) < HEAVIEST


def test_healthy(native: NativeStore, start_sidecar: StartSidecar, browser: Chrome, tmp_path: Path) -> None:
    targets = [target("orders", native.database.server.port, id=1, **login(native))]
    sidecar = start_sidecar(readable({**one_store(native.dsn), "connections": {"targets": targets}}))
    since = native.finish(300)
    sidecar.settled(since)
    until(lambda: "✓ up" in sidecar.get("/").text.partition('id="connections"')[2], 60, "the connection is checked")
    look(browser, url(sidecar), tmp_path / "healthy")
    assert text(browser, ".verdict p") == "✓ All is well"
    assert "Ended 300" in text(browser) and "Success 100%" in text(browser)
    light(sidecar)
    # It is brought up to date without being loaded again: what one has opened and where one is stays.
    browser.execute_script("window.here = true; document.querySelector('#trend details').open = true")
    browser.execute_script("document.querySelector('#trend summary').focus()")
    native.finish(4, status="FAILED")
    until(lambda: "Ended 304" in text(browser), 60, "the page shows what has ended meanwhile")
    assert browser.execute_script(
        "return window.here && document.querySelector('#trend details').open"
        " && document.activeElement.matches('#trend summary')"
    )
    assert len(browser.find_elements(By.CSS_SELECTOR, "#failures tbody tr")) == 4
    looks_live_no_longer_than_it_is(browser, sidecar)
    sidecar.stop()
    until(lambda: "Not live" in text(browser, "#live"), 60, "a page that is not brought up to date any more says so")


def looks_live_no_longer_than_it_is(browser: Chrome, sidecar: Sidecar) -> None:
    """A server that hangs, a minute later; and a reader who has something selected."""
    later = "const now = Date.now; Date.now = () => now() + 60000"
    sidecar.process.send_signal(signal.SIGSTOP)
    try:
        browser.execute_script(later)
        until(lambda: "Not live" in text(browser, "#live"), 60, "a page that hears nothing says so")
    finally:
        sidecar.process.send_signal(signal.SIGCONT)
    until(lambda: text(browser, "#live") == "", 60, "it is live again")
    browser.execute_script("getSelection().selectAllChildren(document.querySelector('h1'))")
    browser.execute_script(later)
    until(lambda: "Paused since" in text(browser, "#live"), 60, "a page that waits for its reader says so")
    browser.execute_script("getSelection().removeAllRanges()")
    until(lambda: text(browser, "#live") == "", 60, "it goes on")


def test_the_reference_of_the_api(start_sidecar: StartSidecar, browser: Chrome) -> None:
    sidecar = start_sidecar({"connections": {"targets": [target("one", 1)]}})
    prefer(browser, "dark")
    resize(browser, *SMALLEST)
    browser.get(url(sidecar, "/docs"))
    assert violations(browser) == []
    browser.execute_script("document.querySelectorAll('details').forEach((one) => { one.open = true })")
    assert browser.execute_script("return document.documentElement.scrollWidth") <= SMALLEST[0]
    resize(browser, *WIDE)


def test_all_down(own_native: NativeStore, own_server: PostgresServer, start_sidecar: StartSidecar, browser: Chrome,
                  tmp_path: Path) -> None:  # fmt: skip
    targets = [target("orders", own_server.port, id=1, **login(own_native)), target("users", free_port(), id=2)]
    nobody = {"alertmanager": {"url": f"http://{HOST}:{free_port()}"}}
    queue = {"name": "queue", "kind": "tcp", "host": HOST, "port": free_port(), "required": True, "interval": "1s"}
    sidecar = start_sidecar(
        readable(
            {
                **one_store(own_native.dsn),
                "connections": {"interval": "1s", "targets": targets},
                "alerting": nobody,
                "dependencies": [queue],
            }
        )
    )
    sidecar.settled(own_native.finish(20, status="FAILED"))
    own_server.stop("immediate")

    def told() -> str:
        return " ".join(sidecar.get("/").text.partition('class="verdict')[2].partition("</section>")[0].split())

    until(lambda: "Store main is down" in told() and "2 of 2 connections are down" in told(), 60, "everything is down")
    look(browser, url(sidecar), tmp_path / "all-down")
    verdict = text(browser, ".verdict")
    for line in ("Store main is down", "2 of 2", "Dependency queue is down: refused", "Alerts cannot be read"):
        assert line in verdict, line
    assert "Ended 20" in text(browser), "what was counted stays"
    assert "not known" in text(browser, "#alerts").lower()
    # A job's page is made of what is remembered.
    look(browser, url(sidecar, "/jobs/1?store=main"), tmp_path / "all-down-job")
    assert "the store could not be asked" in text(browser).lower() and "FAILED" in text(browser, "#attempts")
    browser.get(url(sidecar, "/jobs/999?store=main"))
    assert "503" in text(browser) and "nothing is remembered" in text(browser)


def test_failing_and_hostile(native: NativeStore, start_sidecar: StartSidecar, alertmanager: AlertmanagerServer,
                             browser: Chrome, tmp_path: Path) -> None:  # fmt: skip
    with native.database.connect() as connection:
        connection.execute("DELETE FROM executions")
        connection.execute("DELETE FROM jobs")
        for n, name in enumerate(HOSTILE, 1000):
            values = {"id": n, "name": name, "short": name[:200]}
            connection.execute(
                "INSERT INTO jobs (id, name, task_type, queue, status, next_run_at)"
                " VALUES (%(id)s, %(name)s, %(name)s, 'q', 'QUEUED', now() - interval '2 hours')", values,
            )  # fmt: skip
            connection.execute("INSERT INTO workers (id, host) VALUES (%(name)s, %(name)s)", values)
            connection.execute(
                "INSERT INTO executions (job_id, task_type, started_at, worker_id)"
                " VALUES (%(id)s, %(name)s, now() - interval '3 hours', %(name)s)", values,
            )  # fmt: skip
    config = {
        **one_store(native.dsn),
        "connections": {
            "targets": [target(name[:200].replace("$", "$$"), free_port(), id=n) for n, name in enumerate(HOSTILE[:7])]
        },
        "alerting": {"alertmanager": {"url": alertmanager.url}},
    }
    for n, name in enumerate(HOSTILE):
        asyncio.run(alertmanager.fire(f"{name[:300]}{n}", severity="critical" if n % 2 else name[:100]))
    sidecar = start_sidecar(readable(config))
    with native.database.connect() as connection:
        connection.execute(
            "INSERT INTO executions (job_id, task_type, status, attempt, started_at, completed_at, worker_id,"
            " error_message, error_code) SELECT id, task_type, 'FAILED', a, clock_timestamp() - interval '2 s',"
            " clock_timestamp(), name, name, left(name, 50) FROM jobs, generate_series(0, 3) a"
        )
    pages = ("/", "/?failures=2&running=2&workers=2&types=2&overdue=2&failing=2&alerts=2&connections=2", "/jobs/1006")
    until(lambda: "1 to 10 of 48" in sidecar.get("/").text, 60, "the failures have been read")
    until(lambda: "alerts?" not in sidecar.get("/").text and "Alerts firing" in sidecar.get("/").text, 60, "alerts")
    for number, path in enumerate(pages):
        light(sidecar, path)
        look(browser, url(sidecar, path), tmp_path / f"failing-{number}")
        assert browser.execute_script("return window.pwned") is None
        assert len(browser.find_elements(By.CSS_SELECTOR, "#page script, #page img, #page [onload], [onfocus]")) == 0
        assert not browser.find_elements(By.CSS_SELECTOR, "svg:not([role=img], [aria-hidden])")
    families = text_string_to_metric_families(sidecar.get("/metrics").text)
    labels = [value for family in families for sample in family.samples for value in sample.labels.values()]
    assert HOSTILE[0] in labels and max(map(len, labels)) == 256, "no store's name makes a scrape too long"
    browser.get(url(sidecar))
    assert "12 jobs are overdue" in text(browser, ".verdict") and "12 jobs keep failing" in text(browser, ".verdict")
    assert "<script>window.pwned = 1</script>" in text(browser, "#overdue")
    # Every job's name leads to its page, where it is told in full.
    press(browser, "#overdue tbody a")
    until(lambda: "Timeline of attempts" in text(browser), 60, "the job's page")
    assert text(browser, "#attempts").count("FAILED") == 4 and "(retry 3)" in text(browser, "#attempts")
    without_scripts(browser, sidecar)


def without_scripts(browser: Chrome, sidecar: Sidecar) -> None:
    """The page is the same where no script runs, and its lists' pages can be reached."""
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.get(url(sidecar))
        assert "12 jobs are overdue" in browser.page_source
        press(browser, "#overdue nav a")
        until(lambda: "11 to 12 of 12" in browser.page_source, 60, "the second page of the overdue jobs")
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def test_signed_in(native: NativeStore, start_sidecar: StartSidecar, alertmanager: AlertmanagerServer,
                   browser: Chrome, tmp_path: Path) -> None:  # fmt: skip
    role = str(parse_dsn(native.dsn)["user"])
    with native.database.connect() as connection:
        connection.execute("UPDATE jobs SET next_run_at = now() - interval '1 hour' WHERE status = 'QUEUED'")
        connection.execute(f'GRANT UPDATE (status, next_run_at, updated_at) ON jobs TO "{role}"')
    asyncio.run(alertmanager.fire("SchedulerJobOverdue", severity="warning", job="scheduler"))
    config = {
        **one_store(native.dsn),
        "connections": {"interval": "1h", "staleness": "2h", "targets": [
            target("orders", native.database.server.port, id=1, **login(native)),
        ]},
        "alerting": {"alertmanager": {"url": alertmanager.url}},
    }  # fmt: skip
    sidecar = start_sidecar(readable(config))
    until(lambda: "SchedulerJobOverdue" in sidecar.get("/").text, 60, "the alert is told")
    until(lambda: "3 jobs are overdue" in sidecar.get("/").text, 60, "jobs are overdue")
    browser.get(url(sidecar))
    assert browser.get_cookies() == [] and not browser.find_elements(By.CSS_SELECTOR, "form")
    # By keyboard alone: the first stop leads past the header, then comes signing in.
    browser.switch_to.active_element.send_keys(Keys.TAB)
    assert browser.switch_to.active_element.text == "To the content"
    browser.switch_to.active_element.send_keys(Keys.TAB)
    browser.switch_to.active_element.send_keys(Keys.ENTER)
    until(lambda: browser.current_url.endswith("/sign-in?back=/"), 60, "the form")
    look(browser, url(sidecar, "/sign-in?back=/"), tmp_path / "sign-in")
    write(browser, "#token", "a wrong one", Keys.ENTER)
    until(lambda: "No token of this exporter" in text(browser), 60, "it is refused")
    assert browser.get_cookies() == []
    write(browser, "#token", ADMIN, Keys.ENTER)
    until(lambda: "Sign out" in text(browser, "header"), 60, "signed in")
    [cookie] = browser.get_cookies()
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
    assert browser.execute_script("return document.cookie") == ""
    look(browser, url(sidecar), tmp_path / "signed-in")
    press(browser, "#connections form button")
    until(lambda: "Checked orders: it is up" in text(browser, "#notice"), 60, "the connection was checked")
    press(browser, "#overdue form button")
    until(lambda: "was triggered" in text(browser, "#notice"), 60, "the job was triggered")
    press(browser, "#alerts form button")
    until(lambda: "Silenced until" in text(browser, "#notice"), 60, "the alert was silenced")
    look(browser, url(sidecar, "/jobs/1?store=main"), tmp_path / "signed-in-job")
    [silence] = asyncio.run(alertmanager.silences())
    assert silence["createdBy"] == "ops"
    browser.get(url(sidecar))
    until(lambda: "1 silenced or inhibited" in text(browser, "#alerts"), 60, "the page shows it by itself")
    press(browser, "header form button")
    until(lambda: "Sign in" in text(browser, "header"), 60, "signed out")
    assert browser.get_cookies() == []
