"""The status page: what is wrong first, everything with its age, nothing that the asker may not read."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace
from msgspec.structs import replace as replace_struct
from support.parts import figures, part, statistics
from support.serving import World, serving
from support.status import Read, connection, seconds_ago, visit, world_of

from exporter.alertmanager import ActiveAlerts
from exporter.config.model import Alerting, Alertmanager, Auth, Token
from exporter.config.secrets import Secret
from exporter.domain import (
    Alert,
    Backfill,
    Counts,
    Exactness,
    Executions,
    FailingJob,
    JobCounts,
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
from exporter.httpd.context import Check
from exporter.pages.remembered import PERIOD
from exporter.pages.servers import DependencyRow, connections
from exporter.pages.verdict import of_servers
from exporter.snapshot import Hub, Part

VIEWER = "viewer-token-of-the-test"
ADMIN = "admin-token-of-the-test"
AUTH = Auth(
    tokens=(
        Token(name="grafana", token=Secret(VIEWER), role="viewer"),
        Token(name="ops", token=Secret(ADMIN), role="admin"),
    )
)
HOUR = 3600


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def executions(*, reasons: tuple[str, ...] = (), caught_up: bool = True, **counts: Any) -> Executions:
    exactness = Exactness(reasons=reasons)
    return Executions(
        counts=Counts(**counts), exactness=exactness, caught_up=caught_up, cursor_time=None, oldest_open=None
    )


def running(count: int, *, seconds: float = 5.0, task_type: str = "mail", worker: str | None = "w1") -> Running:
    each = tuple(
        RunningExecution(
            id=f"e{n}", job_id=f"{n}", task_type=task_type, queue=None, attempt=0, started_at=time.time() - seconds - n,
            worker_id=worker, job_name=f"job {n}",
        )
        for n in range(count)
    )  # fmt: skip
    kind = RunningByType(running=count, stuck=0, orphaned=None, oldest_start=1.0)
    return Running(by_task_type={task_type: kind}, by_worker={worker or "": count}, oldest=each)


def failure(number: int, *, error: str = "SMTP timeout", status: str = "FAILED") -> RecentExecution:
    at = time.time() - number
    return RecentExecution(
        id=f"x{number}", job_id=f"{number}", job_name=f"mail {number}", task_type="mail", queue=None, status=status,
        attempt=number % 2, scheduled_at=at - 3, started_at=at - 2, completed_at=at, worker_id="w1",
        error_message=error, error_code="E1",
    )  # fmt: skip


def busy() -> World:
    """A store that does everything."""
    world = world_of("main", targets={"orders": connection("orders"), "users": connection("users", "auth", "auth")})
    now = time.time()
    hour = int(now // HOUR) * HOUR  # and the next one, which may have begun when the page is made
    late = OverdueJob(job_id="77", job_name="nightly", task_type="report", due=now - 661)
    worker = Worker(
        id="w1", host="host-1", last_seen=now - 181, connected_at=None, state="lost", is_paused=None, is_draining=None,
        can_accept_work=None, actions_completed=None,
    )  # fmt: skip
    failing = FailingJob(job_id="9", job_name="export", task_type="export", streak=8, last_failure=now - 60)
    world.hub.publish(
        part("store", True, source="main"),
        part("settings", StoreSettings(series_per_metric=500, profile="native"), source="main"),
        part("jobs", JobCounts(by_status={("COMPLETED", "ONE_TIME"): 70, ("FAILED", "ONE_TIME"): 10})),
        part(
            "queues",
            Queues(queues={}, by_status={("RUNNING", "ONE_TIME"): 3, ("SCHEDULED", "ONE_TIME"): 45}, overdue=(late,),
                   overdue_count=1),
        ),
        part("running", running(3, seconds=8000)),
        part("workers", Workers(workers=(worker,))),
        part("executions", executions(failing=(failing,), reasons=("the server is a standby",), caught_up=False)),
        part("backfill", Backfill(ratio=0.4, complete=False, executions=5, reached=now)),
    )  # fmt: skip
    whole = statistics(
        figures(198, 30, 2, 0, mean=1.2), {"mail": figures(100, 1, 0, 0), "export": figures(98, 29, 2, 0)},
        dict.fromkeys((hour, hour + HOUR), (198, 30, 2, 0)), start=now - PERIOD, end=now - 4,
        covered_since=now - PERIOD,
    )  # fmt: skip
    world.history.by_task_type["main", PERIOD] = whole
    world.history.by_worker["main", PERIOD] = replace(whole, by_label={"w1": figures(198, 30, 2, 0)})
    world.history.executions = [failure(n) for n in range(12)]
    return world


async def test_what_is_wrong_comes_first_and_leads_to_more() -> None:
    page = await visit(busy())
    verdict = page.html.partition('class="verdict')[2].partition("</section>")[0]
    lines = [part_.partition("</bdi>")[0] for part_ in verdict.split("<bdi>")[1:]]
    assert "is-bad" in verdict
    assert lines == [
        "1 of 2 connections is down: users (auth)",
        "1 job is overdue: nightly by 11 min",
        "1 worker is lost: w1",
        "1 job keeps failing; export has failed 8 times in a row",
        "Store main: counting is not provably exact",
        "Store main is catching up with what finished meanwhile",
    ]
    ids = {attrs["id"] for _, attrs in page.elements if "id" in attrs}
    assert {link[1:] for link in page.links() if link.startswith("#")} <= ids


async def test_everything_is_shown_with_its_age() -> None:
    page = await visit(busy())
    whole = page.text()
    for told in ("Running 3", "Scheduled 45", "Failed 10", "Ended 230", "Success 86%", "Average 1.2 s", "Lost 1"):
        assert told in whole, told
    assert seconds_ago(page.text("trend"), "as of", 4)
    assert f"{198:,} 32" in page.text("trend"), "the numbers of the newest hour"
    assert page.text("running").count("✗ stuck") == 3
    assert "nightly" in page.text("overdue") and "11 min" in page.text("overdue")
    assert "✗ lost" in page.text("workers") and "3 min ago" in page.text("workers")
    assert page.text("types").index("export") < page.text("types").index("mail"), "most failures first"
    assert "SMTP timeout" in page.text("failures") and "1 to 10 of 12" in page.text("failures")
    assert "main native" in page.text("stores") and "40%" in page.text("stores")
    assert seconds_ago(page.text("stores"), "queues", 5)
    users = page.text("connections")
    assert users.index("users") < users.index("orders"), "what is down comes first"
    assert "✗ down auth" in users and "dns 10 ms · tcp 20 ms" in users and "18.1 replica" in users
    assert "/jobs/77?store=main" in page.links()


async def test_the_worst_of_many_are_named() -> None:
    world = busy()
    long = running(5, seconds=7201, worker="gone")
    stuck = RunningByType(running=5, stuck=5, orphaned=5, oldest_start=1.0)
    gone = tuple(
        Worker(
            id=name, host=name, last_seen=1.0, connected_at=None, state="lost", is_paused=None, is_draining=None,
            can_accept_work=None, actions_completed=None,
        )
        for name in ("gone", "lost")
    )  # fmt: skip
    world.hub.publish(
        part("running", replace(long, by_task_type={"mail": stuck})), part("workers", Workers(workers=gone))
    )
    lines = (await visit(world)).text("page")
    assert "5 executions are stuck: job 4 for 2 h, job 3 for 2 h, job 2 for 2 h, and 2 more" in lines
    assert "5 executions have lost their worker: job 4, job 3, job 2, and 2 more" in lines
    assert "2 workers are lost: gone, lost" in lines
    world.hub.publish(part("running", replace(long, by_task_type={"mail": replace(stuck, stuck=1)})))
    assert "1 execution is stuck: job 4 for 2 h ✗ 5 executions have" in (await visit(world)).text("page")


def test_dependencies_that_are_down_share_a_line() -> None:
    def row(name: str, *, required: bool = False) -> DependencyRow:
        return DependencyRow(
            name=name, kind="tcp", required=required, up=False, age=None, trouble="refused", message=None, response=None
        )

    def told(*rows: DependencyRow) -> list[str]:
        return [problem.text for problem in of_servers([], [], connections([], Hub().current), rows)]

    assert told(row("mail")) == ["Dependency mail is down: refused"]
    assert told(*map(row, "abcde"), row("x", required=True), row("y", required=True)) == [
        "2 dependencies are down: x (refused), y (refused)",
        "5 dependencies are down: a (refused), b (refused), c (refused), and 2 more",
    ]


async def test_every_line_leads_somewhere() -> None:
    world = busy()
    world.live = [Check("event_loop", ok=False, detail="blocked")]
    page = await visit(world)
    assert "The exporter itself: event loop blocked" in page.text()
    ids = {attrs["id"] for _, attrs in page.elements if "id" in attrs}
    assert {link[1:] for link in page.links() if link.startswith("#")} <= ids


async def test_a_connection_that_fails_otherwise_than_its_stage_says_both() -> None:
    page = await visit(world_of(targets={"users": connection("users", "refused", "tcp")}))
    assert "✗ down refused at tcp" in page.text("connections")
    assert "1 of 1 connection is down: users (refused at tcp)" in page.text()


async def test_what_no_store_lists_is_told_from_what_is_not_known() -> None:
    world = world_of("main")
    assert page_says(await visit(world)) == "Not known."
    world.hub.publish(part("workers", None))
    assert page_says(await visit(world)) == "Not known: no store lists workers."


def page_says(page: Read) -> str:
    """What stands where workers would."""
    return page.text("workers").partition("executions of 24 h ")[2]


async def test_a_list_has_pages() -> None:
    world = world_of(
        targets={f"db-{n:04}": connection(f"db-{n:04}", *(() if n else ("dns", "dns"))) for n in range(40)}
    )
    first = await visit(world)
    assert "db-0000" in first.text("connections") and "1 to 15 of 40" in first.text("connections")
    assert "?connections=2#connections" in first.links()
    last = await visit(world, "/?connections=3&workers=1")
    assert "31 to 40 of 40" in last.text("connections")
    assert "?connections=2#connections" in last.links() and "?connections=4#connections" not in last.links()
    for odd in ("99", "0", "-1", "x", "9" * 30, "\u0665", "%00", ""):
        assert "of 40" in (await visit(world, f"/?connections={odd}")).text("connections")


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        # Made in the test: what is collected at the beginning of a long run would be old by then.
        (lambda: [part("store", True)], "✓ up"),
        (lambda: [replace(part("store", True), success=False, value=False)], "✗ down"),
        (lambda: [part("store", True, age=301)], "✗ down"),
        (list, "? not asked yet"),
    ],
)
async def test_a_store_is_up_when_its_own_part_says_so(told: Callable[[], list[Part]], expected: str) -> None:
    world = world_of("main")
    world.hub.publish(part("settings", StoreSettings(series_per_metric=5)), *told())
    assert expected in (await visit(world)).text("stores")


async def test_old_gauges_go_and_are_not_zero() -> None:
    world = world_of("main")
    world.hub.publish(
        part("jobs", JobCounts(by_status={("QUEUED", "ONE_TIME"): 9}), age=301),
        part("running", running(4), age=301),
        part("workers", Workers(workers=()), age=301),
    )
    page = await visit(world)
    for told in ("Running –", "Waiting –", "Stuck –", "Overdue –", "Active –", "Ended –", "Success –"):  # noqa: RUF001
        assert told in page.text(), told
    assert page.text("running") == "Running and stuck Not known."
    assert "too old to be shown" in page.text("stores")


async def test_nothing_configured_and_nothing_known() -> None:
    assert "All is well" in (await visit(World())).text()
    assert "Nothing is known yet" in (await visit(world_of("main", targets={"db": None}))).text()


async def test_a_state_file_that_hangs_or_fails_leaves_the_page_with_what_was_told_last() -> None:
    world = busy()
    async with serving(world) as (_, client):
        await (await client.get("/")).text()
        for trouble in ("usable", "hangs"):
            setattr(world.history, trouble, trouble == "hangs")
            began = time.monotonic()
            page = Read(await (await client.get(f"/?{trouble}")).text())
            assert time.monotonic() - began < 30
            assert "Ended 230" in page.text() and "SMTP timeout" in page.text("failures")
            world.history.usable = True


async def test_who_may_not_read_sees_what_the_probes_tell() -> None:
    world = busy()
    assert world.config is not None
    world.config = replace_section(world, auth=AUTH)
    page = await visit(world)
    for told in ("main", "users", "orders", "✗ down auth", "1 of 2 connections is down: users (auth)"):
        assert told in page.text(), told
    for hidden in ("nightly", "SMTP", "mail", "failing", "w1", "db.internal", "password", "18.1", "Ended", "230"):
        assert hidden not in page.html.partition("</style>")[2].partition("</script>")[2], hidden
    viewer = await visit(world, headers=bearer(VIEWER))
    assert "SMTP timeout" in viewer.text("failures") and "nightly" in viewer.text("overdue")
    assert not viewer.forms("/act/trigger")


async def test_errors_in_their_own_words_are_for_admins_in_production() -> None:
    world = busy()
    world.config = replace_section(world, auth=AUTH, environment="production")
    world.hub.publish(replace(part("jobs", None, error="relation secret_table does not exist"), value=None))
    world.history.executions = [failure(1, error="Traceback (most recent call last):\n  File x\nKeyError: 'k'")]
    viewer = await visit(world, headers=bearer(VIEWER))
    assert "jobs" in viewer.text("stores") and "secret_table" not in viewer.html
    assert "Authentication failed" in viewer.text("connections") and "bob" not in viewer.html
    assert "KeyError" in viewer.text("failures") and "Traceback" not in viewer.html
    admin = await visit(world, headers=bearer(ADMIN))
    assert "secret_table" in admin.text("stores")
    assert "user bob" in admin.text("connections")
    assert "Traceback" in admin.text("failures")


async def test_the_page_is_for_browsers_that_ask_for_the_dashboard_too() -> None:
    page = await visit(busy(), "/api/scheduler-monitoring/dashboard", {"Accept": "text/html"})
    assert "nightly" in page.text("overdue")


async def test_nothing_may_load_and_nothing_run_but_the_pages_own() -> None:
    async with serving(busy()) as (_, client), client.get("/") as answer:
        policy = answer.headers["Content-Security-Policy"]
        html = await answer.text()
        assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
        assert "Set-Cookie" not in answer.headers
    assert "default-src 'none'" in policy and "form-action 'self'" in policy and "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert html.count("<script") == html.count("<style") == 1
    assert " style=" not in html and " onclick" not in html
    assert "http://" not in html and "https://" not in html


def test_the_template_engine_is_not_imported_before_the_first_visitor() -> None:
    code = "import sys, exporter.app; sys.exit(bool({'jinja2', 'bcrypt'} & {*sys.modules}))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def replace_section(world: World, **sections: Any) -> Any:
    """The world's configuration with other sections."""
    import msgspec  # noqa: PLC0415

    return msgspec.structs.replace(world.config, **sections)


async def test_alerts_say_when_they_were_asked_for() -> None:
    world = busy()
    remote = Alertmanager(url="http://alertmanager.invalid")
    world.config = replace_struct(world.config, alerting=Alerting(alertmanager=remote))
    alert = Alert(
        fingerprint="f", labels={"alertname": "Down"}, annotations={}, state="active", starts_at=time.time() - 500
    )
    told = part("alerts", ActiveAlerts((alert,), 1, 0), source="alertmanager")
    world.hub.publish(replace(told, collected_at=time.time() - 7))
    page = await visit(world)
    assert seconds_ago(page.text("alerts"), "as of", 7)
    assert "1 alert fires: Down" in page.text()
    told = {"runbook_url": "runbooks/Down.md", "dashboard_url": "https://grafana.example/d/x?a=1&b=2"}
    alert = replace(alert, annotations=told)
    world.hub.publish(part("alerts", ActiveAlerts((alert,), 1, 0), source="alertmanager"))
    assert leads(await visit(world)) == ["https://grafana.example/d/x?a=1&b=2"], "a path alone leads nowhere"
    based = Alerting(alertmanager=remote, runbook_base="https://wiki.example/x/", dashboard_base="https://g.example")
    world.config = replace_struct(world.config, alerting=based)
    assert leads(await visit(world)) == ["https://wiki.example/x/runbooks/Down.md", told["dashboard_url"]]
    odd = replace(alert, annotations={"runbook_url": "javascript:alert(1)", "dashboard_url": "//evil.example"})
    world.hub.publish(part("alerts", ActiveAlerts((odd,), 1, 0), source="alertmanager"))
    assert leads(await visit(world)) == ["https://wiki.example/x/javascript:alert(1)", "https://g.example/evil.example"]
    many = tuple(
        replace(alert, fingerprint=f"{n}", labels={"alertname": name, "severity": "critical"})
        for n, name in enumerate(["Down", "Slow", "Down", "Full", "Lost", "Late"])
    )
    world.hub.publish(part("alerts", ActiveAlerts(many, 9, 0), source="alertmanager"))
    page = await visit(world)
    assert "6 critical alerts fire: Down (2), Slow, Full, and 2 more" in page.text()
    assert "3 alerts fire" in page.text()


def leads(page: Read) -> list[str]:
    """Where the page leads away from here."""
    return [link for link in page.links() if not link.startswith(("/", "#", "?"))]
