"""The log as a sidecar writes it, held to the types that Elasticsearch is told (contrib/elk)."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

from support.polling import until
from support.ports import free_port
from support.sidecar import StartSidecar, one_store, target

TEMPLATE = Path(__file__).parents[2] / "contrib" / "elk" / "elasticsearch" / "index-template.json"


def fits(value: Any, kind: str) -> bool:
    """Whether Elasticsearch takes a value of JSON for a field of this type; a list is its items."""
    if isinstance(value, list):
        return all(fits(each, kind) for each in value)
    match kind:
        case "boolean":
            return isinstance(value, bool)
        case "long":
            return isinstance(value, int) and not isinstance(value, bool)
        case "double":
            return isinstance(value, int | float) and not isinstance(value, bool)
        case "date":
            return isinstance(value, str) and datetime.fromisoformat(value).tzinfo is not None
    return isinstance(value, str | int | float | bool)


def test_every_line_fits_its_template(start_sidecar: StartSidecar) -> None:
    gone = f"postgresql://monitor@127.0.0.1:{free_port()}/scheduler"
    sections = {
        "connections": {"interval": "1s", "targets": [target("away", free_port())]},
        "dependencies": [{"name": "api", "kind": "tcp", "host": "127.0.0.1", "port": free_port()}],
        "logging": {"level": "debug", "format": "json"},
        "web": {"enable_lifecycle": True},
    }
    sidecar = start_sidecar({**one_store(gone), **sections})
    until(lambda: sidecar.events("target is down") and sidecar.events("collector fails"), 60, "trouble is told")
    assert sidecar.get("/api/system/stats").status in (200, 503)
    sidecar.reload()
    assert sidecar.stop() == 0
    types = {name: kind["type"] for name, kind in json.loads(TEMPLATE.read_text())["template"]["mappings"][
        "properties"].items()}  # fmt: skip
    lines = sidecar.events()
    assert len(lines) > 10
    for line in lines:
        for name, value in line.items():
            assert name in types, line
            assert fits(value, types[name]), (name, value, types[name])
