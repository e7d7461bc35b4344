"""What repeats is shown a few times, then counted and summed up; nothing else is held back."""

from __future__ import annotations

import io
import json
import logging
from dataclasses import dataclass, field
from typing import Any

import pytest
import structlog
from structlog.contextvars import bound_contextvars

from exporter import logs
from exporter.logs import LogSettings
from exporter.logs.repetition import ALIKE, LONGEST, MOST, SAME, SHORTEST


@dataclass
class World:
    now: float = 1000.0
    stream: io.StringIO = field(default_factory=io.StringIO)

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.stream.getvalue().splitlines()]

    def pass_by(self, seconds: float) -> None:
        self.now += seconds
        logs.tend()


@pytest.fixture
def world() -> World:
    world = World()
    logs.configure(LogSettings(level="debug"), world.stream, monotonic=lambda: world.now)
    return world


def test_the_same_error_is_summed_up(world: World) -> None:
    log = structlog.get_logger(component="store")
    for number in range(1000):
        with bound_contextvars(request_id=f"r{number}"):
            log.error("store is away", store="main", error=f"timeout after {number} ms")
    assert [line["error"] for line in world.lines()] == [f"timeout after {n} ms" for n in range(SAME)]
    world.pass_by(SHORTEST)
    summary = world.lines()[-1]
    assert (summary["message"], summary["level"], summary["category"]) == ("store is away", "ERROR", "errors")
    assert (summary["repeated"], summary["window"], summary["store"]) == (1000 - SAME, SHORTEST, "main")
    assert len(world.lines()) == SAME + 1


def test_an_error_that_goes_on_is_said_ever_more_seldom(world: World) -> None:
    log = structlog.get_logger(component="store")
    for _ in range(3600):
        log.error("store is away", store="main")
        world.pass_by(1)
    summaries = [line for line in world.lines() if "repeated" in line]
    assert [line["window"] for line in summaries] == [60, 120, 240, 480, LONGEST, LONGEST]
    assert len(world.lines()) == SAME + len(summaries)
    assert sum(line["repeated"] for line in summaries) <= 3600 - SAME


def test_one_that_has_ended_is_news_when_it_comes_back(world: World) -> None:
    log = structlog.get_logger(component="store")
    for _ in range(10):
        log.error("store is away")
    world.pass_by(SHORTEST)
    world.pass_by(2 * SHORTEST)
    before = len(world.lines())
    log.error("store is away")
    assert len(world.lines()) == before + 1


def test_others_are_not_held_back(world: World) -> None:
    log = structlog.get_logger(component="connections")
    for number in range(ALIKE):
        log.warning("target is down", target=f"db-{number}")
    for _ in range(10):
        log.info("not counted")
    assert len(world.lines()) == ALIKE + 10


def test_a_flood_of_different_ones_is_summed_up_too(world: World) -> None:
    log = structlog.get_logger(component="connections")
    for number in range(5 * MOST):
        log.warning("target is down", target=f"db-{number}")
    assert len(world.lines()) == ALIKE
    world.pass_by(SHORTEST)
    assert world.lines()[-1]["repeated"] == 5 * MOST - ALIKE
    assert world.lines()[-1]["target"] == f"db-{5 * MOST - 1}"


def test_it_holds_for_every_logger(world: World) -> None:
    for number in range(50):
        logging.getLogger("asyncio").error("socket %d broke", number)
    assert len(world.lines()) == SAME
    logs.tend(everything=True)
    assert world.lines()[-1]["repeated"] == 50 - SAME
    assert world.lines()[-1]["component"] == "asyncio"


def test_error_trackers_are_told_of_the_summary(world: World) -> None:
    told: list[logs.ErrorEvent] = []
    end = logs.on_error(told.append)
    for _ in range(100):
        structlog.get_logger(component="store").error("store is away")
    world.pass_by(SHORTEST)
    end()
    assert [event.fields.get("repeated") for event in told] == [None] * SAME + [100 - SAME]


def test_a_new_configuration_and_the_end_lose_nothing(world: World) -> None:
    for _ in range(10):
        structlog.get_logger(component="store").error("store is away")
    logs.configure(LogSettings(level="debug"), world.stream)
    assert world.lines()[-1]["repeated"] == 10 - SAME
