"""``profile check`` of one store: what it says, to people and as JSON."""

from __future__ import annotations

import json
from typing import Any

from exporter.config.model import Config, Dsn, Duration, PostgresStore, Profile
from exporter.stores.check import check_stores

#: Of a statement: how slow the machine may be. What is too slow is tried with a shorter one.
PATIENCE = Duration(60)


async def check(dsn: str, profile: Profile | str = "auto", *, analyze: bool = False, **keys: Any) -> tuple[int, str]:
    """Exit status and output for one store."""
    said: list[str] = []
    keys.setdefault("timeout", PATIENCE)
    config = Config(stores=(PostgresStore(name="main", dsn=Dsn(dsn), profile=profile, **keys),))
    status = await check_stores(config, [], said.append, analyze=analyze)
    return status, "\n".join(said)


async def report(dsn: str, profile: Profile | str = "auto", **keys: Any) -> dict[str, Any]:
    """The JSON of one store."""
    said: list[str] = []
    keys.setdefault("timeout", PATIENCE)
    config = Config(stores=(PostgresStore(name="main", dsn=Dsn(dsn), profile=profile, **keys),))
    status = await check_stores(config, [], said.append, as_json=True)
    whole = json.loads(said[0])
    assert len(said) == 1
    assert whole["ok"] is (status == 0)
    store: dict[str, Any] = whole["stores"][0]
    return store


def findings(store: dict[str, Any], level: str = "warning") -> list[dict[str, Any]]:
    """What was found of that level, in the order of the report."""
    parts = [store, *store["entities"], *store["statements"]]
    return [finding for part in parts for finding in part["findings"] if finding["level"] == level]
