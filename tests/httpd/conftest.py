"""Looks at the web configuration's files often, so that rotations need no seconds."""

from __future__ import annotations

import pytest

from exporter.httpd import server


@pytest.fixture(autouse=True)
def quick_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "_LOOK", 0.05)
