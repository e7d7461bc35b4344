"""Log files by category and day: rotation, retention, modes, and what becomes of lines when files cannot be written."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import structlog

from exporter import logs
from exporter.logs import LogSettings
from exporter.logs.naming import CATEGORIES
from exporter.logs.sink import RETRY

DAY = 86_400.0
MIDNIGHT = datetime(2026, 11, 26, tzinfo=UTC).timestamp()


@dataclass
class World:
    """A directory, standard output, and a clock that is set by hand."""

    directory: Path
    now: float = MIDNIGHT - 1
    stream: io.StringIO = field(default_factory=io.StringIO)

    def configure(self, **options: Any) -> None:
        settings = LogSettings(**{"directory": str(self.directory), "retention": DAY, **options})
        logs.configure(settings, self.stream, clock=lambda: self.now, monotonic=lambda: self.now)

    def say(self, message: str, category: str = "jobs") -> None:
        structlog.get_logger(component="store", category=category).info(message)

    def files(self) -> dict[str, list[str]]:
        """Each file's messages."""
        return {
            file.name: [json.loads(line)["message"] for line in file.read_text().splitlines() if line]
            for file in sorted(self.directory.glob("*.log"))
        }

    def shown(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.stream.getvalue().splitlines()]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "logs")


def test_each_category_has_a_file_that_its_owner_alone_reads(world: World) -> None:
    old = os.umask(0)
    try:
        world.configure()
        for category in CATEGORIES:
            world.say(f"of {category}", category)
    finally:
        os.umask(old)
    assert world.files() == {f"{category}-2026-11-25.log": [f"of {category}"] for category in sorted(CATEGORIES)}
    assert {file.stat().st_mode & 0o777 for file in world.directory.iterdir()} == {0o600}
    assert world.directory.stat().st_mode & 0o777 == 0o700
    assert [line["message"] for line in world.shown()] == ["the log goes to files"]


def test_a_file_that_others_could_read_is_closed_to_them(world: World) -> None:
    world.directory.mkdir()
    file = world.directory / "jobs-2026-11-25.log"
    file.write_text("")
    file.chmod(0o644)
    world.configure()
    world.say("hidden")
    assert file.stat().st_mode & 0o777 == 0o600


def test_the_day_changes_at_midnight_utc(world: World) -> None:
    world.configure()
    world.say("before")
    world.now += 0.999
    world.say("just before")
    world.now = MIDNIGHT
    world.say("after")
    world.now -= 5  # the clock was set back
    world.say("before again")
    assert world.files() == {
        "jobs-2026-11-25.log": ["before", "just before", "before again"],
        "jobs-2026-11-26.log": ["after"],
    }
    lines = (world.directory / "jobs-2026-11-26.log").read_text().splitlines()
    assert json.loads(lines[0])["timestamp"] == "2026-11-26T00:00:00.000Z"


@pytest.mark.parametrize(("retention", "left"), [(1, ["25"]), (2, ["24", "25"]), (4, ["22", "23", "24", "25"])])
def test_files_are_kept_for_the_retention_after_their_day(world: World, retention: int, left: list[str]) -> None:
    world.directory.mkdir()
    for day in range(20, 26):
        world.directory.joinpath(f"jobs-2026-11-{day}.log").write_text("")
        world.directory.joinpath(f"audit-2026-11-{day}.log").write_text("")
    others = ["jobs-2020-01-01.log.gz", "other-2020-01-01.log", "jobs-2020-13-01.log", "notes.txt"]
    for name in others:
        world.directory.joinpath(name).write_text("not ours")
    world.now = MIDNIGHT + 60
    world.configure(retention=retention * DAY)
    world.say("today")
    expected = {f"{name}-2026-11-{day}.log" for name in ("jobs", "audit") for day in left}
    assert {file.name for file in world.directory.iterdir()} == {*expected, "jobs-2026-11-26.log", *others}


def test_a_directory_that_cannot_be_written_costs_one_line_and_no_lines(world: World) -> None:
    world.directory.write_text("a file is in the way")
    world.configure()
    for number in range(3):
        world.say(f"line {number}")
    messages = [line["message"] for line in world.shown()]
    assert messages.count("log files cannot be written; lines go to standard output until they can") == 1
    assert [m for m in messages if m.startswith("line ")] == ["line 0", "line 1", "line 2"]
    [told] = [line for line in world.shown() if line["level"] == "ERROR"]
    assert (told["directory"], told["reason"]) == (str(world.directory), "File exists")
    world.directory.unlink()
    world.now += RETRY
    world.say("written")
    assert world.files()["jobs-2026-11-26.log"] == ["written"]
    assert world.files()["audit-2026-11-26.log"] == ["log files are written again"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")
def test_a_full_disk_costs_one_line_and_no_lines(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.configure()
    world.say("before")
    write, room = os.write, [10]

    def full(descriptor: int, data: bytes) -> int:
        """As a disk with a few bytes left does it: a part, then nothing."""
        if not room:
            raise OSError(28, "No space left on device")
        return write(descriptor, data[: room.pop()])

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        world.say("torn")
        world.now += RETRY
        world.say("refused")
    world.now += RETRY
    world.say("after")
    shown = [line["message"] for line in world.shown()]
    assert [m for m in shown if m in ("torn", "refused")] == ["torn", "refused"]
    assert shown.count("log files cannot be written; lines go to standard output until they can") == 1
    whole = (world.directory / "jobs-2026-11-26.log").read_text().splitlines()
    assert [json.loads(line)["message"] for line in whole] == ["after"]
    torn = (world.directory / "jobs-2026-11-25.log").read_text().splitlines()
    assert json.loads(torn[0])["message"] == "before"


def test_a_torn_line_does_not_tear_the_next(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.now = MIDNIGHT
    world.configure()
    world.say("before")
    write = os.write
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:10]))
        world.say("torn")
    world.now += RETRY
    world.say("after")
    lines = (world.directory / "jobs-2026-11-26.log").read_text().splitlines()
    assert [len(lines), json.loads(lines[0])["message"], json.loads(lines[-1])["message"]] == [3, "before", "after"]


def test_a_file_that_was_moved_away_is_made_anew(world: World) -> None:
    world.now = MIDNIGHT - 7200
    world.configure()
    world.say("before")
    file = world.directory / "jobs-2026-11-25.log"
    file.rename(world.directory / "jobs-2026-11-25.log.1")
    world.say("in the moved one or the new one")
    world.now += 60
    world.say("after")
    assert "after" in world.files()["jobs-2026-11-25.log"]
    for other in world.directory.iterdir():
        other.unlink()
    world.directory.rmdir()
    world.now += 60
    world.say("in a directory made anew")
    assert world.files() == {"jobs-2026-11-25.log": ["in a directory made anew"]}


def test_no_link_and_no_pipe_is_followed(world: World, tmp_path: Path) -> None:
    world.directory.mkdir()
    target = tmp_path / "target"
    (world.directory / "jobs-2026-11-25.log").symlink_to(target)
    os.mkfifo(world.directory / "audit-2026-11-25.log")
    world.configure()
    world.say("a line")
    world.now += RETRY / 100
    assert not target.exists()
    assert "a line" in [line["message"] for line in world.shown()]


@pytest.mark.parametrize("log_format", ["json", "logfmt", "console"])
def test_files_are_for_programs_whatever_people_see(world: World, log_format: Any) -> None:
    world.configure(format=log_format, console=True)
    world.say("seen twice")
    text = (world.directory / "jobs-2026-11-25.log").read_text()
    assert "seen twice" in world.stream.getvalue()
    if log_format == "logfmt":
        assert 'message="seen twice"' in text
    else:
        assert json.loads(text)["message"] == "seen twice"


def test_another_configuration_closes_the_files_of_the_last(world: World, tmp_path: Path) -> None:
    def open_files() -> int:
        return sum(str(tmp_path) in os.readlink(link) for link in Path("/proc/self/fd").iterdir() if link.is_symlink())

    world.configure()
    world.say("first")
    assert open_files() == 1
    logs.configure(LogSettings(), world.stream)
    assert open_files() == 0
    world.say("to standard output")
    assert world.shown()[-1]["message"] == "to standard output"


def test_two_processes_write_into_one_directory(tmp_path: Path) -> None:
    code = (
        "import sys, structlog\n"
        "from exporter import logs\n"
        "logs.configure(logs.LogSettings(directory=sys.argv[1]))\n"
        "log = structlog.get_logger(component='store')\n"
        "for n in range(2000): log.info('line', who=sys.argv[2], number=n, filler='x' * (n % 700))\n"
    )
    command: Callable[[str], list[str]] = lambda who: [sys.executable, "-c", code, str(tmp_path), who]  # noqa: E731
    processes = [subprocess.Popen(command(who), stdout=subprocess.DEVNULL) for who in ("a", "b")]
    assert [process.wait(300) for process in processes] == [0, 0]
    found: dict[str, list[int]] = {"a": [], "b": []}
    for file in sorted(tmp_path.glob("jobs-*.log")):
        for text in file.read_text().splitlines():
            line = json.loads(text)
            found[line["who"]].append(line["number"])
    assert found == {"a": list(range(2000)), "b": list(range(2000))}
