"""The rule files, read once, and what their expressions ask for."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import promql_parser as promql
import yaml

ROOT = Path(__file__).parents[2]
RULES = ROOT / "rules"
#: What tells one thing that fails from another, beside the labels of its metric. Instance and pod do not.
IDENTITY = ("cluster", "namespace", "job")
COMPARISONS = {"==", "!=", "<", "<=", ">", ">="}


@dataclass(frozen=True)
class Rule:
    """A rule of a file: an alert, or (``alert`` empty) a recorded series."""

    file: Path
    alert: str
    record: str
    expr: str
    wait: str
    labels: dict[str, str]
    annotations: dict[str, str]

    def __str__(self) -> str:
        return f"{self.file.stem}: {self.alert or self.record}"

    @property
    def ast(self) -> Any:
        """The parsed expression."""
        return promql.parse(self.expr)


def _rules(folder: str) -> Iterator[Rule]:
    for file in sorted((RULES / folder).glob("*.yaml")):
        for group in yaml.safe_load(file.read_text(encoding="utf-8"))["groups"]:
            for rule in group["rules"]:
                yield Rule(
                    file=file,
                    alert=rule.get("alert", ""),
                    record=rule.get("record", ""),
                    expr=rule["expr"],
                    wait=rule.get("for", "0m"),
                    labels=rule.get("labels", {}),
                    annotations=rule.get("annotations", {}),
                )


ALERTS = tuple(_rules("alerts"))
RECORDS = tuple(_rules("recording"))
NAMES = tuple(sorted({rule.alert for rule in ALERTS}))


@dataclass(frozen=True)
class Check:
    """One ``alert_rule_test``: what fires of ``alert`` at ``seconds`` into a test."""

    file: str
    test: str
    alert: str
    seconds: int
    fires: tuple[dict[str, Any], ...]
    metrics: frozenset[str]


def _checks() -> Iterator[Check]:
    for file in sorted((RULES / "tests").glob("*.test.yaml")):
        for test in yaml.safe_load(file.read_text(encoding="utf-8"))["tests"]:
            metrics = frozenset(series["series"].partition("{")[0] for series in test.get("input_series", ()))
            for check in test.get("alert_rule_test", ()):
                yield Check(
                    file=file.name,
                    test=test["name"],
                    alert=check["alertname"],
                    seconds=seconds(check["eval_time"]),
                    fires=tuple(check["exp_alerts"]),
                    metrics=metrics,
                )


def seconds(duration: str) -> int:
    """Prometheus' ``1h30m`` in seconds."""
    units = {"w": 604800, "d": 86400, "h": 3600, "m": 60, "s": 1}
    return sum(int(number) * units[unit] for number, unit in re.findall(r"(\d+)([wdhms])", duration))


CHECKS = tuple(_checks())


def walk(node: Any) -> Iterator[Any]:
    """The node and all below it."""
    yield node
    for name in ("lhs", "rhs", "expr", "vector_selector", "param"):
        below = getattr(node, name, None)
        if below is not None:
            yield from walk(below)
    for argument in getattr(node, "args", None) or ():
        yield from walk(argument)


def selectors(node: Any) -> list[Any]:
    """Every vector selector of an expression."""
    return [found for found in walk(node) if isinstance(found, promql.VectorSelector)]


def operators(node: Any) -> list[Any]:
    """Every binary operation of an expression."""
    return [found for found in walk(node) if isinstance(found, promql.BinaryExpr)]


def grouped(node: Any) -> set[str]:
    """The labels that aggregations and matchings of an expression name."""
    found: set[str] = set()
    for part in walk(node):
        modifier = getattr(part, "modifier", None)
        for holder in (modifier, getattr(modifier, "matching", None)):
            found |= set(getattr(holder, "labels", None) or ())
    return found


def promtool(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run promtool; both outputs as text, whatever it returns."""
    return subprocess.run(["promtool", *map(str, arguments)], capture_output=True, text=True, check=False, timeout=300)
