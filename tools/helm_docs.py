"""Writes the chart's README.md, values.schema.json and files/alerting.yaml: ``python -m tools.helm_docs``.

The first two from its values.yaml, the last from ``exporter.alerting``. A test holds them to this output. A key's
description is the comment above it; a line ``# @schema {...}`` in it replaces what its default says about its form.
Maps with keys are closed, as deep as the defaults go; ``config`` as deep as the exporter's own model goes.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from exporter.config.model import Config
from exporter.config.shapes import Shape, keys_of, shape_of
from tools import helm_alerting

CHART = Path(__file__).parents[1] / "helm" / "scheduler-exporter"
#: In a comment: this and JSON schema in YAML.
MARK = "@schema "
#: In place of a schema: the exporter's configuration.
CONFIG = "$config"
TYPES = {bool: "boolean", int: "integer", str: "string"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """One key of values.yaml: where it is, its default, what is said about it, its form if that is written."""

    path: tuple[str, ...]
    default: Any
    text: str
    schema: dict[str, Any] | None
    children: tuple[Value, ...]


def read(text: str) -> tuple[Value, ...]:
    """The keys of a values file."""
    root = yaml.compose(text)
    if not isinstance(root, yaml.MappingNode):
        raise TypeError("values.yaml: expected a mapping")
    return _keys(root, text.splitlines(), ())


def _keys(node: yaml.MappingNode, lines: list[str], path: tuple[str, ...]) -> tuple[Value, ...]:
    found = []
    for key, value in node.value:
        here = (*path, key.value)
        text, schema = _comment(lines, key.start_mark.line)
        deeper = schema is None and isinstance(value, yaml.MappingNode) and bool(value.value)
        if schema is None and not deeper and value.tag.endswith((":null", ":map", ":seq")):
            raise ValueError(f"{'.'.join(here)}: its default says nothing about its form; write {MARK}above it")
        found.append(
            Value(
                path=here,
                default=yaml.safe_load(yaml.serialize(value)),
                text=text,
                schema=schema,
                children=_keys(value, lines, here) if deeper else (),
            )
        )
    return tuple(found)


def _comment(lines: list[str], line: int) -> tuple[str, dict[str, Any] | None]:
    above: list[str] = []
    while line > 0 and lines[line - 1].lstrip().startswith("#"):
        line -= 1
        above.insert(0, lines[line].lstrip().removeprefix("#").strip())
    marked = [each.removeprefix(MARK) for each in above if each.startswith(MARK)]
    return " ".join(each for each in above if not each.startswith(MARK)), yaml.safe_load(marked[0]) if marked else None


def schema(values: tuple[Value, ...]) -> dict[str, Any]:
    """values.schema.json."""
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Values of the chart scheduler-exporter",
        **_closed(values),
    }


def _closed(values: tuple[Value, ...]) -> dict[str, Any]:
    return {
        "type": "object",
        "additionalProperties": False,
        "properties": {value.path[-1]: _schema_of(value) for value in values},
    }


def _schema_of(value: Value) -> dict[str, Any]:
    if value.schema == {CONFIG: True}:
        return {"type": "object", **_of_shape(shape_of(Config))}
    if value.schema is not None:
        return value.schema
    if value.children:
        return _closed(value.children)
    return {"type": TYPES[type(value.default)]}


def _of_shape(shape: Shape) -> dict[str, Any]:
    """Which keys there may be. What a key takes is the exporter's to judge: any of them may be a reference."""
    found: dict[str, Any] = {}
    if shape.structs:
        keys: dict[str, Any] = {}
        for struct in shape.structs:
            for name, key in keys_of(struct).items():
                keys[name] = _either(keys.get(name), _of_shape(key.shape))
        found = {"additionalProperties": False, "properties": keys}
    elif shape.value:
        found = {"additionalProperties": _of_shape(shape.value)}
    if shape.item:
        found["items"] = _of_shape(shape.item)
    return found


def _either(one: dict[str, Any] | None, other: dict[str, Any]) -> dict[str, Any]:
    return other if one is None or one == other else {"anyOf": [one, other]}


def readme(values: tuple[Value, ...], chart: dict[str, Any]) -> str:
    """README.md."""
    rows = [f"| `{'.'.join(value.path)}` | {_default(value)} | {_cell(value.text)} |" for value in _leaves(values)]
    return f"""\
# {chart["name"]}

<!-- Written by tools/helm_docs.py from values.yaml: change that, then `make helm`. -->

{chart["description"]}. How it is installed, and what the choices mean: [docs/kubernetes.md](../../docs/kubernetes.md).
An example for each of its features: [ci/](ci).

Kubernetes {chart["kubeVersion"].removeprefix(">=").removesuffix(".0-0")} or newer. Tried with the engine of Helm 4.

## Values

| value | default | |
|---|---|---|
{chr(10).join(rows)}
"""


def _leaves(values: tuple[Value, ...]) -> list[Value]:
    found = []
    for value in values:
        if value.text or not value.children:
            found.append(value)
        found += _leaves(value.children)
    return found


def _default(value: Value) -> str:
    if value.children:
        return ""
    text = json.dumps(value.default, ensure_ascii=False)
    return f"`{text}`" if len(text) <= 60 else "see values.yaml"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def files() -> dict[Path, str]:
    """What is written, by its path."""
    values = read((CHART / "values.yaml").read_text())
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    return {
        CHART / "README.md": readme(values, chart),
        CHART / "values.schema.json": json.dumps(schema(values), indent=2) + "\n",
        CHART / "files" / "alerting.yaml": helm_alerting.text(),
    }


if __name__ == "__main__":
    for path, text in files().items():
        path.write_text(text)
        print(path)
