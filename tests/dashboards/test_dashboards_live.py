"""Every query of every panel, variable and annotation, asked of a real Prometheus that has the demo's history."""

from __future__ import annotations

import contextlib
import json
import re
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.dashboards import ANNOTATIONS, LOOKUPS, PANELS, QUERIES, Asked
from support.ports import free_port

from tools.dashboards import history

HOURS, STEP = 3, 60
#: What the demo has not, and so the panels that ask for it: by the beginning of the metric's name, or a threshold's,
#: with the reason.
NOT_IN_THE_DEMO = {
    "scheduling_connection_tls_expiry_": "the demo's PostgreSQL comes from a wheel without TLS",
    "scheduling_db_replication_lag_": "it is a primary",
    "scheduling_redis_": "it needs nothing but the package",
    "scheduling_kafka_": "the same",
    "scheduling_period_": "its scheduler has no API of its own",
    "scheduling_operations": "only a remote-execution scheduler has operations",
    "scheduling_job_next_run_": "the demo's scheduler does not keep when a job runs next",
    "scheduling_job_overdue_": "and so none is overdue",
    "scheduling_exporter_pack_": "it has no pack",
    "scheduling_exporter_remediations_": "it acts on no alert by itself",
    "scheduling_calendar_": "the pack scheduling-worker reads tables that the demo does not have",
    "scheduling_goals_": "the same",
    "scheduling_habit": "the same",
    "scheduling_emails_": "the same",
    "scheduling_user": "the same",
    "scheduling_ml_": "the same",
}


class Server:
    """A Prometheus, and what it answers."""

    def __init__(self, address: str, now: float) -> None:
        self.address = address
        self.now = now

    def api(self, path: str, **parameters: str | float) -> Any:
        query = urllib.parse.urlencode(parameters)
        with urllib.request.urlopen(f"{self.address}/api/v1/{path}?{query}", timeout=60) as answer:
            body = json.load(answer)
        assert body["status"] == "success", body
        assert not body.get("warnings"), body["warnings"]
        return body["data"]

    def series(self, asked: Asked, choices: dict[str, str] | None = None) -> list[dict[str, Any]]:
        """What the query gives over the history, or now."""
        query = asked.filled(choices)
        if asked.instant:
            return list(self.api("query", query=query, time=self.now)["result"])
        start = self.now - HOURS * 3600
        return list(self.api("query_range", query=query, start=start, end=self.now, step=STEP)["result"])


@contextlib.contextmanager
def serving(directory: Path, **options: bool) -> Iterator[Server]:
    """With the demo's history, which is made up to a moment after the one that is asked about."""
    now = time.time() // STEP * STEP - STEP
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(history, "free_port", free_port)
        with history.prometheus(directory, hours=HOURS, step=STEP, **options) as address:
            yield Server(address, now)


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """With the demo's history, and what is beside it."""
    with serving(tmp_path_factory.mktemp("full")) as server:
        yield server


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """With the demo's history alone."""
    with serving(tmp_path_factory.mktemp("demo"), beside=False) as server:
        yield server


def excuse(asked: Asked) -> str | None:
    """The entry of the list that says why the demo has nothing for it."""

    def lacks(what: str) -> bool:
        return f'name="{what}"' in asked.expr or any(s.name.startswith(what) for s in asked.selectors)

    return next(filter(lacks, NOT_IN_THE_DEMO), None)


def test_every_query_of_every_panel_gives_data(full: Server) -> None:
    empty = [str(asked) for asked in QUERIES if not full.series(asked)]
    assert empty == []


def test_values_are_numbers(full: Server) -> None:
    for asked in QUERIES:
        for series in full.series(asked):
            values = [text for _, text in series.get("values", [series.get("value", (0, "0"))])]
            assert not {"NaN", "+Inf", "-Inf"} & set(values), f"{asked}: {series['metric']}"


def test_the_demo_has_data_for_all_but_what_is_listed(demo: Server) -> None:
    empty = {asked for asked in QUERIES if not demo.series(asked)}
    assert [str(asked) for asked in empty if excuse(asked) is None] == []
    needed = {excuse(asked) for asked in empty}
    assert set(NOT_IN_THE_DEMO) - needed == set(), "no panel needs these excuses"


def test_annotations_give_data(full: Server) -> None:
    # The history has a restart in every so many rounds of the recording: not always one within these hours.
    for asked in ANNOTATIONS:
        assert asked.place == "Restarts" or full.series(asked), str(asked)


def test_variables_have_values(full: Server) -> None:
    for asked, label in LOOKUPS:
        selector = asked.filled()
        matching = {"match[]": selector, "start": full.now - HOURS * 3600, "end": full.now}
        assert full.api(f"label/{label}/values", **matching), f"{asked}: {selector}"


def test_a_choice_narrows_every_panel_down(full: Server) -> None:
    other = {
        "job": "another",
        "instance": "another",
        "store": "another",
        "task_type": "another",
        "connection": "another",
    }
    constants = re.compile(r"vector\(")
    for asked in QUERIES:
        if not constants.search(asked.expr):
            assert full.series(asked, other) == [], str(asked)


def test_the_recording_is_of_what_there_is_today(demo: Server) -> None:
    """A metric that a panel needs and that was renamed since would be missed above; this names it."""
    recorded = set(demo.api("label/__name__/values"))
    for asked in QUERIES:
        for selector in asked.selectors:
            assert selector.name in recorded or excuse(asked) is not None, f"{asked}: record the demo again"


def test_there_are_panels_enough() -> None:
    assert len(PANELS) > 150
