"""Looks at the web configuration's files often, so that rotations need no seconds."""

from __future__ import annotations

import asyncio

import pytest
from support.serving import eventually

from exporter.httpd import server

#: What is logged where the web configuration cannot be taken over.
KEPT = "last good one stays in force"


@pytest.fixture(autouse=True)
def quick_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "_LOOK", 0.05)


async def told(capsys: pytest.CaptureFixture[str]) -> str:
    """What was logged until the last good configuration was kept, and during some more looks."""
    said = ""

    async def kept() -> bool:
        nonlocal said
        said += capsys.readouterr().out
        return KEPT in said

    await eventually(kept)
    await asyncio.sleep(0.3)
    return said + capsys.readouterr().out
