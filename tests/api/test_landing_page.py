"""The landing page: what it shows of a snapshot, and that names cannot become markup."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import replace

from support.serving import World, serving

from exporter.config.model import Config, Connections, Dsn, PostgresStore, Target, Web
from exporter.connections.results import CheckResult, ConnectionState, ServerFacts
from exporter.domain import (
    Counts,
    Exactness,
    Executions,
    JobCounts,
    OverdueJob,
    Queues,
    Running,
    RunningByType,
    StoreSettings,
    Workers,
)
from exporter.pages.landing import Landing, store_row, target_row
from exporter.snapshot import Hub, Part

EVIL = "<script>alert(1)</script></style>"


def part(collector: str, source: str, *, success: bool = True, age: float | None = 5, value: object = 1) -> Part:
    return Part(
        collector=collector,
        source=source,
        value=value,
        success=success,
        collected_at=None if age is None else time.time() - age,
        collected_mono=None if age is None else time.monotonic() - age,
        duration=0.1,
        interval=15,
        staleness=300,
    )


def state(result: str, failed_stage: str | None = None) -> ConnectionState:
    blank = ConnectionState(id=1, name="db", host="h", port=5432, database="d")
    check = CheckResult(
        result=result,  # type: ignore[arg-type]
        finished_at=time.time() - 7,
        response_seconds=0.1,
        stages={},
        failed_stage=failed_stage,  # type: ignore[arg-type]
        error_message="password authentication failed for user bob",
        facts=ServerFacts(server_version="18.1", role="replica"),
    )
    return blank.after(check)


def config(store: str = "main", target: str = "db") -> Config:
    return Config(
        web=Web(listen_address=("127.0.0.1:0",), telemetry_path="/m"),
        stores=(PostgresStore(name=store, dsn=Dsn("postgres://x")),),
        connections=Connections(targets=(Target(name=target, host="h"),)),
    )


def executions(*, reasons: tuple[str, ...] = (), caught_up: bool = True) -> Executions:
    counts = Counts(executions={"mail": (1200, 5, 0, 1), "bill": (34, 0, 2, 0)})
    exactness = Exactness(reasons=reasons)
    return Executions(counts=counts, exactness=exactness, caught_up=caught_up, cursor_time=None, oldest_open=None)


def test_a_store_is_up_when_its_own_part_says_so() -> None:
    hub = Hub()
    hub.publish(
        part("store", "good", value=True),
        replace(part("jobs", "good", success=False, age=9), error="jobs: longer than the timeout of 5 s"),
        part("store", "gone", value=False, success=False),
        replace(part("store", "silent", value=True), staleness=1),
        replace(part("executions", "wrong", success=False, age=None, value=None), error="profile 'x' does not fit"),
        part("settings", "new", value=StoreSettings(series_per_metric=500)),
    )
    rows = {name: store_row(name, hub.current, time.time()) for name in ("good", "gone", "silent", "wrong", "new")}
    assert {name: row.up for name, row in rows.items()} == {
        "good": True,
        "gone": False,
        "silent": False,
        "wrong": False,
        "new": None,
    }
    assert rows["good"].failing == ("jobs",)
    assert rows["good"].age is not None
    assert 8 < rows["good"].age < 11
    assert rows["new"].age is None


def test_a_store_shows_its_numbers_and_what_stands_against_exactness() -> None:
    hub = Hub()
    by_status = {("QUEUED", "ONE_TIME"): 9, ("COMPLETED", "ONE_TIME"): 70, ("SCHEDULED", "RECURRING"): 4}
    late = OverdueJob(job_id="1", job_name="a", task_type="a", due=1.0)
    kind = RunningByType(running=3, stuck=1, orphaned=None, oldest_start=1.0)
    hub.publish(
        part("store", "main", value=True),
        part("jobs", "main", value=JobCounts(by_status=by_status)),
        part("queues", "main", value=Queues(queues={}, by_status={("RUNNING", "ONE_TIME"): 3}, overdue=(late,),
                                             overdue_count=1)),
        part("running", "main", value=Running(by_task_type={"mail": kind}, by_worker={}, oldest=())),
        part("executions", "main", value=executions(reasons=("the server is a standby",), caught_up=False)),
    )  # fmt: skip
    row = store_row("main", hub.current, time.time())
    # Queued jobs as of the latest poll, which found none; finished ones as of the last full count.
    assert dict(row.jobs) == {
        "pending": 0, "scheduled": 4, "queued": 0, "running": 3, "completed": 70, "failed": 0, "cancelled": 0,
    }  # fmt: skip
    assert dict(row.running) == {"running": 3, "stuck": 1, "overdue": 1}  # no workers known: nothing is orphaned
    assert dict(row.executions) == {"success": 1234, "failed": 5, "timeout": 2, "cancelled": 1}
    assert (row.exact, row.reasons, row.caught_up) == (False, ("the server is a standby",), False)


def test_old_gauges_go_and_counts_stay() -> None:
    hub = Hub()
    hub.publish(
        part("jobs", "main", value=JobCounts(by_status={("QUEUED", "ONE_TIME"): 9}), age=301),
        part("running", "main", value=Running(by_task_type={}, by_worker={}, oldest=()), age=301),
        part("workers", "main", value=Workers(workers=()), age=301),
        part("executions", "main", value=executions(reasons=("a reason",)), age=301),
    )
    row = store_row("main", hub.current, time.time())
    assert (row.jobs, row.running, row.workers, row.exact, row.reasons) == ((), (), (), None, ())
    assert dict(row.executions)["success"] == 1234


def test_a_target_is_up_when_its_last_check_was_good_and_is_fresh() -> None:
    hub = Hub()
    hub.publish(
        part("connections", "good", value=state("ok")),
        part("connections", "bad", value=state("auth", "auth")),
        replace(part("connections", "old", value=state("ok")), staleness=1),
    )
    rows = [target_row(name, hub.current, time.time()) for name in ("good", "bad", "old", "absent")]
    assert [row.up for row in rows] == [True, False, False, None]
    assert [row.trouble for row in rows] == ["", "auth (auth)", "not checked lately", ""]
    assert rows[0].server == "18.1 replica"
    assert [row.response for row in rows] == [0.1, 0.1, None, None]


async def test_the_page_links_and_lists_and_escapes() -> None:
    world = World(config=config(EVIL, "db"))
    world.hub.publish(
        part("store", EVIL, value=True),
        part("executions", EVIL, value=executions(reasons=(EVIL,))),
        part("connections", "db", value=state("refused", "tcp")),
    )
    world.page = Landing(hub=world.hub, config=lambda: config(EVIL, "db"), version="1.2.3")()
    async with serving(world) as (_, client), client.get("/") as answer:
        html = await answer.text()
    assert html.startswith("<!DOCTYPE html>")
    assert "1.2.3" in html
    for path in ("/m", "/health", "/health/ready", "/health/live", "/config"):
        assert f'href="{path}"' in html
    assert "<script" not in html
    assert "&lt;script&gt;" in html
    assert html.count("</style>") == 1
    assert "style=" not in html  # the policy allows the one style element and nothing else
    assert "5 s ago" in html
    assert "<b>1,234</b> success" in html
    assert "not provably exact" in html
    assert '<span class="down">down</span></td><td>refused (tcp)</td>' in html
    assert "password authentication" not in html  # the driver's words are for the log
    assert "http" not in html.replace("http-", "")  # nothing from elsewhere


def test_what_is_down_comes_first() -> None:
    names = ("alpha", "beta", "gamma")
    targets = tuple(Target(name=name, host="h") for name in names)
    both = Config(connections=Connections(targets=targets))
    hub = Hub()
    hub.publish(
        part("connections", "alpha", value=state("ok")),
        part("connections", "gamma", value=state("timeout", "tcp")),
    )
    html = Landing(hub=hub, config=lambda: both, version="1")()
    assert sorted(names, key=lambda name: html.index(f"<td>{name}</td>")) == ["gamma", "alpha", "beta"]
    assert "not checked yet" in html


def test_the_template_engine_is_not_imported_before_the_first_visitor() -> None:
    code = "import sys, exporter.api, exporter.pages.landing; sys.exit(bool({'jinja2', 'bcrypt'} & {*sys.modules}))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
