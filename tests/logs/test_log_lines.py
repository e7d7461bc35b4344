"""A line of the log: the specification's keys, its category, who is told, and what other loggers say."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog
from structlog.contextvars import bound_contextvars

from exporter import logs
from exporter.logs import LogSettings
from exporter.logs.naming import CATEGORIES, OF_COMPONENT

NOON = 1_795_600_800.25  # 2026-11-25T10:00:00.250Z
Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def lines() -> Iterator[Lines]:
    stream = io.StringIO()
    logs.configure(LogSettings(level="debug"), stream, clock=lambda: NOON)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]


def test_the_keys_of_the_specification_in_their_order(lines: Lines) -> None:
    log = structlog.get_logger(component="reader")
    with bound_contextvars(request_id="r-1", trace_id="0af7651916cd43dd8448eb211c80319c", span_id="b7ad6b7169203331"):
        log.info("done", operation="poll", duration=1500, user_id="user123", events_processed=25, unknown=None)
    [line] = lines()
    assert list(line)[:8] == [
        "timestamp", "level", "service", "category", "component", "operation", "duration", "message",
    ]  # fmt: skip
    assert line == {
        "timestamp": "2026-11-25T10:00:00.250Z",
        "level": "INFO",
        "service": "scheduler-exporter",
        "category": "jobs",
        "component": "reader",
        "operation": "poll",
        "duration": 1500,
        "message": "done",
        "userId": "user123",
        "eventsProcessed": 25,
        "correlationId": "r-1",
        "traceId": "0af7651916cd43dd8448eb211c80319c",
        "spanId": "b7ad6b7169203331",
    }


@pytest.mark.parametrize(
    ("method", "level"),
    [("debug", "DEBUG"), ("info", "INFO"), ("warning", "WARN"), ("error", "ERROR"), ("critical", "ERROR")],
)
def test_levels_are_those_of_the_specification(method: str, level: str, lines: Lines) -> None:
    getattr(structlog.get_logger(component="store"), method)("said")
    assert [line["level"] for line in lines()] == [level]


def test_each_line_has_a_category(lines: Lines) -> None:
    for component in OF_COMPONENT:
        structlog.get_logger(component=component).info("said")
        structlog.get_logger(component=component).warning("said")
    structlog.get_logger(component="nobody").info("said")
    for category in CATEGORIES:
        structlog.get_logger(component="store").error("said", category=category)
    found = [line["category"] for line in lines()]
    ours = len(OF_COMPONENT)
    assert found[: 2 * ours : 2] == list(OF_COMPONENT.values())
    assert set(found[1 : 2 * ours : 2]) == {"errors"}
    assert found[2 * ours :] == ["jobs", *CATEGORIES]


def test_a_stack_trace_without_local_variables(lines: Lines) -> None:
    def fail() -> None:
        hidden = "a-local-password"
        raise ValueError("password=hunter2 " + hidden[:0])

    try:
        fail()
    except ValueError:
        structlog.get_logger(component="poller").exception("it failed")
    [line] = lines()
    assert line["exception"].startswith("Traceback (most recent call last):")
    assert line["exception"].endswith("ValueError: password=<secret>")
    assert "in fail" in line["exception"] and "hunter2" not in line["exception"]


def test_other_loggers_end_in_the_same_pipeline(lines: Lines) -> None:
    logging.getLogger("asyncio").error("task %s failed: password=%s", 7, "hunter2")
    [ours] = [handler for handler in logging.root.handlers if type(handler).__module__.startswith("exporter.")]
    ours.handle(logging.LogRecord("asyncio", logging.ERROR, "f.py", 1, "wrong %d", ("no number",), None))
    logging.getLogger("aiohttp.server").info("not shown: libraries are asked for warnings")
    logging.getLogger("somebody").log(45, "a level between")
    found = lines()
    assert [(line["component"], line["level"], line["category"]) for line in found] == [
        ("asyncio", "ERROR", "errors"), ("asyncio", "ERROR", "errors"), ("somebody", "ERROR", "errors"),
    ]  # fmt: skip
    assert found[0]["message"] == "task 7 failed: password=<secret>"


def test_error_trackers_are_told_what_is_written(lines: Lines) -> None:
    told: list[logs.ErrorEvent] = []

    def broken(event: logs.ErrorEvent) -> None:
        raise RuntimeError("the tracker is broken")

    ends = [logs.on_error(broken), logs.on_error(told.append)]
    log = structlog.get_logger(component="store")
    error = ValueError("mail to alice@example.com")
    log.info("not told")
    log.warning("first", request_id="r")
    log.error("second alice@example.com", exc_info=error)
    log.critical("third")
    for end in ends:
        end()
        end()
    log.error("nobody is told any more")
    assert [event.severity for event in told] == ["warning", "error", "critical"]
    assert [dict(event.fields) for event in told] == lines()[1:4]
    assert told[0].fields["correlationId"] == "r"
    assert told[1].fields["message"] == "second <email>"
    assert told[1].exception is error
    assert "alice" not in json.dumps(dict(told[1].fields))


def test_what_is_no_json_is_written_all_the_same(lines: Lines) -> None:
    structlog.get_logger(component="store").info(
        "odd", a={1: {2}}, b=object, c=float("nan"), d=b"x", e="\ud800", f=(1, 2)
    )
    [line] = lines()
    assert line["e"] == "\\ud800"
    assert line["a"] == {"1": [2]}
    assert (line["c"], line["f"]) == (None, [1, 2])


def test_people_read_the_console() -> None:
    stream = io.StringIO()
    logs.configure(LogSettings(format="console"), stream, clock=lambda: NOON)
    structlog.get_logger(component="store").warning("store is away", store="main", duration=12.5)
    text = stream.getvalue()
    assert text.startswith("2026-11-25T10:00:00.250Z [warning")
    assert "store is away" in text and "component=store" in text and "duration=12.5" in text
    assert "service=" not in text


def test_standard_output_that_cannot_be_written_ends_nothing() -> None:
    class Broken(io.StringIO):
        full = True

        def write(self, text: str) -> int:
            if self.full:
                raise OSError(28, "No space left on device")
            return super().write(text)

    stream = Broken()
    logs.configure(LogSettings(), stream)
    log = structlog.get_logger(component="store")
    for _ in range(3):
        log.info("lost")
    stream.full = False
    log.info("written")
    log.info("written, too")
    found = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line["message"] for line in found] == ["written", "standard output is written again", "written, too"]
    assert found[1]["linesLost"] == 3
    stream.close()
    log.info("a closed one is no error either")


def test_what_nobody_catches_is_masked_too() -> None:
    code = (
        "import threading\n"
        "from exporter import logs\n"
        "logs.configure(logs.LogSettings())\n"
        "logs.catch_all()\n"
        "def fail(): raise ValueError('password=hunter2')\n"
        "thread = threading.Thread(target=fail, name='t1'); thread.start(); thread.join()\n"
        "fail()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "hunter2" not in done.stdout + done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["message"] for line in found] == ["a thread ended by an error", "ended by an error"]
    assert all(line["exception"].endswith("ValueError: password=<secret>") for line in found)
