"""The whole demo goes without a trace, however it ends. That it comes up complete is seen in docs/test_newcomer.py."""

from __future__ import annotations

import json
import signal
import urllib.request
from collections.abc import Iterator

import pytest
from support.demo import Demo, directory_of_a_demo
from support.polling import until


@pytest.fixture
def demo() -> Iterator[Demo]:
    with directory_of_a_demo() as temp:
        made = Demo(temp)
        made.start()
        try:
            yield made
        finally:
            made.cleanup()


def test_a_killed_demo_leaves_no_process_and_the_next_removes_its_directory(demo: Demo) -> None:
    demo.wait_for_banner()
    demo.end(signal.SIGKILL)
    until(lambda: demo.processes() == [], 20, "the processes end with it")
    [left] = demo.directories
    demo.start()
    until(lambda: not left.exists(), 20, "the next demo removes it")
    assert demo.end(signal.SIGTERM) == 0
    assert demo.directories == []


def test_it_ends_when_the_sidecar_does(demo: Demo) -> None:
    demo.wait_for_banner()
    with urllib.request.urlopen(demo.address("Status page") + "api/scheduler-monitoring/alerts", timeout=20) as answer:
        assert "items" in json.load(answer), "the alerts that its Prometheus has firing"
    [sidecar] = [process for process in demo.processes() if "serve" in process.cmdline()]
    sidecar.kill()
    assert demo.process is not None
    assert demo.process.wait(20) == 1
    assert "sidecar ended" in demo.output
    assert demo.processes() == []
    assert demo.directories == []
