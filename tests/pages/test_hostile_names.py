"""Names that anybody may have written into a scheduler's tables: escaped, cut, in one line, in every field shown."""

from __future__ import annotations

import time

import pytest
from msgspec.structs import replace
from support.parts import figures, part, statistics
from support.serving import serving
from support.status import connection, visit, world_of

from exporter.alertmanager import ActiveAlerts
from exporter.config.model import Alerting, Auth
from exporter.config.model import Alertmanager as AlertmanagerSection
from exporter.domain import (
    Alert,
    Counts,
    Exactness,
    Executions,
    FailingJob,
    OverdueJob,
    Queues,
    RecentExecution,
    Running,
    RunningByType,
    RunningExecution,
    StoreSettings,
    Worker,
    Workers,
)
from exporter.pages.remembered import PERIOD
from exporter.pages.words import NAME, TEXT, age, clip, clock, job_address, share, span

NAMES = (
    "<script>alert(1)</script>",
    "\"'><img src=x onerror=alert(1)>",
    "</style></title></script><svg/onload=alert(1)>",
    "\u202egnp.exe\u202c\u2066\u200f",
    "a" * 10_000,
    "w " * 5_000,
    "\U0001f468\u200d\U0001f469\u200d\U0001f467" * 50,
    "line\nbreak\r\t\x00\x1b[31m",
    "half \ud83d of a character",
    "{{ 7 * 7 }}{% include 'x' %}",
    "",
    ".",
    "../../config",
    "a/b?c=d&e#f",
)


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
async def test_every_field_holds_every_name(name: str) -> None:
    now = time.time()
    stores = (name[:200] or "-",)
    alerting = Alerting(alertmanager=AlertmanagerSection(url="http://127.0.0.1:1"))
    world = world_of(*stores, targets={name: connection(name, "auth", "auth")}, alerting=alerting,
                     auth=Auth(anonymous_read=True))  # fmt: skip
    state = world.hub.current.parts["connections", name].value
    assert state.result is not None
    bad = replace(state, result=replace(state.result, error_message=name), host=name, database=name)
    kind = RunningByType(running=1, stuck=0, orphaned=None, oldest_start=1.0)
    running = RunningExecution(
        id=name, job_id=name, task_type=name, queue=name, attempt=1, started_at=now - 9, worker_id=name, job_name=name
    )
    worker = Worker(
        id=name, host=name + "h", last_seen=now, connected_at=now, state=name, is_paused=None, is_draining=None,
        can_accept_work=None, actions_completed=None,
    )  # fmt: skip
    failed = RecentExecution(
        id=name, job_id=name, job_name=name, task_type=name, queue=name, status="FAILED", attempt=3, scheduled_at=None,
        started_at=now - 2, completed_at=now, worker_id=name, error_message=name, error_code=name,
    )  # fmt: skip
    failing = FailingJob(job_id=name, job_name=name, task_type=name, streak=9, last_failure=now)
    counted = Executions(
        counts=Counts(failing=(failing,)), exactness=Exactness(reasons=(name,)), caught_up=True, cursor_time=None,
        oldest_open=None,
    )  # fmt: skip
    late = OverdueJob(job_id=name, job_name=name, task_type=name, due=now - 99)
    alert = Alert(
        fingerprint=name, labels={"alertname": name, "severity": name}, annotations={"summary": name}, state="active",
        starts_at=now - 5,
    )  # fmt: skip
    store = stores[0]
    world.hub.publish(
        part("connections", bad, source=name),
        part("store", True, source=store),
        part("settings", StoreSettings(series_per_metric=5, profile=name), source=store),
        part("running", Running(by_task_type={name: kind}, by_worker={name: 1}, oldest=(running,)), source=store),
        part("workers", Workers(workers=(worker,)), source=store),
        part("queues", Queues(queues={}, by_status={}, overdue=(late,), overdue_count=1), source=store),
        part("executions", counted, source=store),
        replace(part("jobs", None, source=store, error=name or "x"), value=None),
        part("alerts", ActiveAlerts((alert,), 1, 0), source="alertmanager"),
    )
    figure = statistics(
        figures(1, 5, 0, 0), {name: figures(1, 5, 0, 0)}, start=now - PERIOD, end=now, covered_since=1.0
    )
    world.history.by_task_type[store, PERIOD] = figure
    world.history.by_worker[store, PERIOD] = figure
    world.history.executions = [failed]
    page = await visit(world)
    assert not {tag for tag, _ in page.elements} & {"img", "iframe", "object"}
    assert [tag for tag, _ in page.elements].count("script") == 1
    assert not [attrs for _, attrs in page.elements if any(key.startswith("on") or key == "style" for key in attrs)]
    assert len(page.html.encode("utf-8", "replace")) < 60_000
    shown = page.html.partition("</script>")[2]
    assert not [one for one in shown if one in "\x00\x1b\u202e\u202c\u2066\u200f"]
    assert "49" not in page.text("types"), "no template of somebody else's"
    for section in ("alerts", "running", "overdue", "failing", "failures", "workers", "types", "connections", "stores"):
        assert page.text(section), section
    for link in page.links():
        assert link.startswith(("/", "#", "?")) and not link.startswith("//")


def test_names_are_cut_to_one_line() -> None:
    assert clip("a\n\tb") == "a b"
    assert clip("x" * 10_000) == "x" * (NAME - 1) + "…"
    assert len(clip("x" * 10_000, TEXT)) == TEXT
    assert clip("x" * NAME) == "x" * NAME
    assert clip("") == clip("\u202e ") == clip("\u3164") == clip("\u200b\u2060" * 500) == "(empty)"
    assert clip("\U0001f468\u200d\U0001f469") == "\U0001f468\u200d\U0001f469"


@pytest.mark.parametrize(
    ("given", "address"),
    [
        ("17", "/jobs/17?store=main"),
        ("a/b?c#d", "/jobs/a%2Fb%3Fc%23d?store=main"),
        ("\u05de", "/jobs/%D7%9E?store=main"),
        ("", None),
        (None, None),
        (".", None),
        ("..", None),
        ("a\nb", None),
        ("\ud83d", None),
        ("x" * 1_000, None),
    ],
)
def test_a_job_has_an_address_or_none(given: str | None, address: str | None) -> None:
    assert job_address("main", given) == address


@pytest.mark.parametrize("path", ["/jobs/%7B%7B7*7%7D%7D?store=main", "/jobs/%7Bid%7D", "/jobs/..%2F..%2Fconfig"])
async def test_every_address_of_a_job_is_one_here(path: str) -> None:
    async with serving(world_of("main")) as (_, client), client.get(path) as answer:
        # The world's store cannot be asked, which the job's page says.
        assert (answer.status, answer.content_type) == (503, "text/html")


def test_values_in_words() -> None:
    ages = (None, 0.4, 59.4, 61, 3600, 7800, 90_000, 86_400 * 400)
    assert [age(one) for one in ages] == ["never", "0 s", "59 s", "1 min", "1 h", "2 h 10 min", "1 d 1 h", "400 d"]
    spans = (0.0004, 0.035, 0.9994, 1.2, 59.9, 243, 7200)
    assert [span(one) for one in spans] == ["0.4 ms", "35 ms", "999 ms", "1.2 s", "59.9 s", "4 min 3 s", "2 h"]
    assert [share(*one) for one in ((0, 0), (9999, 10_000), (1, 1), (869, 1000))] == [None, "99.9%", "100%", "86.9%"]
    assert clock(1e300) == "unknown"
    assert clock(0.0, 86_400.0) == "01 Jan 00:00"
