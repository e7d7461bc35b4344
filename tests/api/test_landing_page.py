"""The landing page: what it shows of a snapshot, and that names cannot become markup."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import replace

from support.serving import World, serving

from exporter.config.model import Config, Connections, Dsn, PostgresStore, Target, Web
from exporter.connections.results import CheckResult, ConnectionState
from exporter.pages.landing import Landing, store_row, target_row
from exporter.snapshot import Hub, Part

EVIL = "<script>alert(1)</script></style>"


def part(
    collector: str, source: str, *, success: bool = True, age: float | None = 5, value: object = 1
) -> Part:
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


def state(result: str) -> ConnectionState:
    blank = ConnectionState(id=1, name="db", host="h", port=5432, database="d")
    check = CheckResult(result=result, finished_at=time.time() - 7, response_seconds=0.1, stages={})  # type: ignore[arg-type]
    return blank.after(check)


def config(store: str = "main", target: str = "db") -> Config:
    return Config(
        web=Web(listen_address=("127.0.0.1:0",), telemetry_path="/m"),
        stores=(PostgresStore(name=store, dsn=Dsn("postgres://x")),),
        connections=Connections(targets=(Target(name=target, host="h"),)),
    )


def test_rows_say_what_is_known() -> None:
    hub = Hub()
    hub.publish(part("executions", "main", age=5), part("jobs", "main", age=9), part("connections", "main"))
    hub.publish(part("executions", "other", success=False, age=None))
    now = time.time()
    up = store_row("main", hub.current, now)
    assert up.up is True
    assert up.age is not None
    assert 4 < up.age < 7
    assert store_row("other", hub.current, now).up is False
    assert store_row("other", hub.current, now).age is None
    assert store_row("absent", hub.current, now).up is None


def test_a_target_is_up_when_its_last_check_was_good_and_is_fresh() -> None:
    hub = Hub()
    hub.publish(
        part("connections", "good", value=state("ok")),
        part("connections", "bad", value=state("auth")),
        replace(part("connections", "old", value=state("ok")), staleness=1),
    )
    now = time.time()
    assert [target_row(name, hub.current, now).up for name in ("good", "bad", "old", "absent")] == [
        True,
        False,
        False,
        None,
    ]


async def test_the_page_links_and_lists_and_escapes() -> None:
    world = World(config=config(EVIL, "db"))
    world.hub.publish(part("executions", EVIL), part("connections", "db", value=state("refused")))
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
    assert "5 s ago" in html
    assert '<td class="down">down</td>' in html
    assert "http" not in html.replace("http-", "")  # nothing from elsewhere


def test_the_template_engine_is_not_imported_before_the_first_visitor() -> None:
    code = "import sys, exporter.api, exporter.pages.landing; sys.exit(bool({'jinja2', 'bcrypt'} & {*sys.modules}))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
