"""A reload that is going on when the process is told to end: nothing is opened that nobody would end."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
import yaml

from exporter import app as running
from exporter import logs
from exporter.app import App
from exporter.config.logs import LogSettings
from exporter.options import Options

#: Seconds that a reload stands still for here, and that a question takes that cannot be given up at once.
A_WHILE = 0.2


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """A process sets its log up; afterwards it is as before."""
    handlers, level = logging.root.handlers[:], logging.root.level
    logs.configure(LogSettings(level="warning"))
    yield
    structlog.reset_defaults()
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)


@pytest.fixture
def configure(tmp_path: Path) -> Callable[..., Options]:
    """Writes a configuration with a store that does not answer."""

    def write(interval: str) -> Options:
        file = tmp_path / "config.yaml"
        store = {"name": "main", "dsn": "postgresql://monitor@127.0.0.1:1/scheduler", "interval": interval}
        web = {"listen_address": ["127.0.0.1:0"]}
        file.write_text(yaml.safe_dump({"stores": [store], "state": {"path": ":memory:"}, "web": web}))
        return Options(config_file=file)

    return write


async def stubborn() -> None:
    """A question that is told to end, and takes a while for it."""
    try:
        await asyncio.Event().wait()
    finally:
        await asyncio.sleep(2 * A_WHILE)


@pytest.mark.parametrize("while_", ["reading", "applying", "over"])
async def test_a_reload_holds_no_end_up(
    configure: Callable[..., Options], monkeypatch: pytest.MonkeyPatch, while_: str
) -> None:
    options = configure("15s")
    app = App(options, options.load({}))
    run = asyncio.create_task(app.run())
    async with asyncio.timeout(60):
        while not hasattr(app, "_group"):  # noqa: ASYNC110 - it has no event for that
            await asyncio.sleep(0.01)
    app._watching.append(app._group.create_task(stubborn()))
    await asyncio.sleep(0)
    told = [time.monotonic()]

    async def end_meanwhile() -> None:
        app._stop.set()
        told.append(time.monotonic())
        await asyncio.sleep(A_WHILE if while_ == "applying" else 600)

    async def read(*arguments: Any) -> Any:
        if while_ == "reading":
            await end_meanwhile()
        return await load(*arguments)

    async def apply(*arguments: Any) -> None:
        if while_ == "applying":
            await end_meanwhile()
        await vault(*arguments)

    load, vault = running.load, app._vault.apply
    monkeypatch.setattr(running, "load", read)
    monkeypatch.setattr(app._vault, "apply", apply)
    configure("20s")
    if while_ == "over":
        app._stop.set()
    done = await asyncio.wait_for(app._reload(), 60)
    await asyncio.wait_for(run, 60)
    assert time.monotonic() - told[-1] < 30
    assert done.ok == (while_ == "applying")
    assert done.ok or "the exporter is ending" in done.problems[0]
