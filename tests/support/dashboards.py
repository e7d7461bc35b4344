"""The dashboards' files, read once, and what their panels ask for."""

from __future__ import annotations

import functools
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import promql_parser as promql

from support.rules import selectors

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "dashboards"
UNITS = frozenset((ROOT / "tools" / "dashboards" / "units.txt").read_text(encoding="utf-8").split())
BOARDS: dict[str, dict[str, Any]] = {
    file.stem: json.loads(file.read_text(encoding="utf-8")) for file in sorted(FOLDER.glob("*.json"))
}
#: What Grafana puts in where a time range of six hours is looked at.
MACROS = {"$__rate_interval": "4m", "$__range": "6h", "$__interval": "1m"}


@dataclass(frozen=True)
class Panel:
    """A panel that is no row."""

    board: str
    json: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.board}: {self.json.get('title')}"


@dataclass(frozen=True)
class Asked:
    """A query, of a panel, a variable or an annotation."""

    board: str
    place: str
    expr: str
    instant: bool = False

    def __str__(self) -> str:
        return f"{self.board}: {self.place}"

    def filled(self, choices: dict[str, str] | None = None) -> str:
        """With variables and macros replaced; what ``choices`` leaves out stands for All."""
        text = self.expr
        for macro, value in MACROS.items():
            text = text.replace(macro, value)
        known = alls(self.board) | (choices or {})
        return re.sub(r"\$\{?(\w+)\}?", lambda match: known.get(match[1], match[0]), text)

    @functools.cached_property
    def selectors(self) -> list[Any]:
        """Its vector selectors."""
        return selectors(promql.parse(self.filled()))


def alls(board: str) -> dict[str, str]:
    """What "All" of each variable stands for."""
    return {v["name"]: v["allValue"] for v in BOARDS[board]["templating"]["list"] if v["type"] == "query"}


def _panels() -> list[Panel]:
    return [Panel(name, p) for name, board in BOARDS.items() for p in board["panels"] if p["type"] != "row"]


PANELS = tuple(_panels())
QUERIES = tuple(
    Asked(panel.board, f"{panel.json['title']} {target['refId']}", target["expr"], bool(target.get("instant")))
    for panel in PANELS
    for target in panel.json["targets"]
)
VARIABLES = tuple((name, v) for name, board in BOARDS.items() for v in board["templating"]["list"])
ANNOTATIONS = tuple(
    Asked(name, found["name"], found["expr"])
    for name, board in BOARDS.items()
    for found in board["annotations"]["list"]
)
LABEL_VALUES = re.compile(r"label_values\((?P<selector>.+), (?P<label>\w+)\)")


def _lookups() -> tuple[tuple[Asked, str], ...]:
    found = []
    for board, variable in VARIABLES:
        if variable["type"] == "query":
            match = LABEL_VALUES.fullmatch(variable["query"])
            assert match is not None, variable["query"]
            found.append((Asked(board, f"variable {variable['name']}", match["selector"]), match["label"]))
    return tuple(found)


#: (the selector, the label whose values are chosen from) of every variable that asks.
LOOKUPS = _lookups()
