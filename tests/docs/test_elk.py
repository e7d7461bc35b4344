"""contrib/elk: what Elasticsearch, Logstash and Kibana get fits the log as the code writes it."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from exporter.logs.naming import CATEGORIES, public

ROOT = Path(__file__).parents[2]
ELK = ROOT / "contrib" / "elk"
TEMPLATE = ELK / "elasticsearch" / "index-template.json"
PIPELINE = (ELK / "logstash" / "scheduler-exporter.conf").read_text()
OBJECTS = [json.loads(line) for line in (ELK / "kibana" / "saved-objects.ndjson").read_text().splitlines()]
#: What the log's own docstring lists, and what ``Outage`` and the audit trail add.
ALWAYS = {
    *("timestamp", "level", "service", "category", "component", "operation", "duration", "message", "userId"),
    *("correlationId", "traceId", "spanId", "exception", "repeated", "window", "actor", "action", "result", "client"),
    "lost",
}
METHODS = ("debug", "info", "warning", "error", "exception", "critical")
TYPES = {"keyword", "text", "long", "double", "boolean", "date"}


def properties() -> dict[str, Any]:
    mappings = json.loads(TEMPLATE.read_text())["template"]["mappings"]
    found: dict[str, Any] = mappings["properties"]
    return found


def logged() -> Iterator[tuple[str, str]]:
    """Each field that the code gives a line, with its place."""
    for file in (ROOT / "exporter").rglob("*.py"):
        if "demo" in file.parts:
            continue
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in METHODS:
                who = node.func.value
                if (who.id if isinstance(who, ast.Name) else getattr(who, "attr", "")) in ("log", "_log"):
                    for given in node.keywords:
                        if given.arg is not None and given.arg != "exc_info":
                            yield public(given.arg), f"{file.relative_to(ROOT)}:{node.lineno}"


def test_every_field_of_the_log_has_a_type() -> None:
    known = properties()
    missing = {name: place for name, place in logged() if name not in known}
    assert missing == {}, f"add these to {TEMPLATE.relative_to(ROOT)}"
    assert known.keys() >= ALWAYS
    assert {kind["type"] for kind in known.values()} <= TYPES


def test_what_the_template_does_not_know_costs_no_line() -> None:
    template = json.loads(TEMPLATE.read_text())
    assert template["index_patterns"] == ["scheduler-exporter-*"]
    assert template["template"]["settings"]["index.mapping.ignore_malformed"] is True
    mappings = template["template"]["mappings"]
    assert mappings["dynamic"] is True
    assert mappings["date_detection"] is False
    caught = {rule["match_mapping_type"] for each in mappings["dynamic_templates"] for rule in each.values()}
    assert caught == {"object", "string", "long", "double"}


def plugins(text: str) -> list[tuple[str, ...]]:
    """Each plugin of a pipeline with the blocks round it; ValueError where brackets do not match."""
    bare = re.sub(r'"[^"]*"', '""', re.sub(r"#[^\n]*", "", text))
    found, stack = [], []
    for word, bracket in re.findall(r'([\w.]+|""|\])?\s*([{}])', bare):
        if bracket == "}":
            if not stack:
                raise ValueError("a bracket too many")
            stack.pop()
            continue
        stack.append(word)
        found.append(tuple(stack))
    if stack:
        raise ValueError(f"{stack} is not closed")
    return found


def test_the_pipeline_reads_json_and_guesses_nothing() -> None:
    found = plugins(PIPELINE)
    assert [block for block in found if len(block) == 1] == [("input",), ("filter",), ("output",)]
    assert ("filter", "json") in found
    names = {block[-1] for block in found}
    assert not names & {"grok", "dissect", "ruby"}
    assert {"beats", "json", "date", "mutate", "elasticsearch"} <= names
    assert '[service] == "scheduler-exporter"' in PIPELINE
    assert 'match => ["timestamp", "ISO8601"]' in PIPELINE
    with pytest.raises(ValueError, match="closed"):
        plugins(PIPELINE + "filter {")


def test_the_index_is_one_that_the_template_is_for() -> None:
    [index] = re.findall(r'index => "([^"]+)"', PIPELINE)
    for category in CATEGORIES:
        name = index.replace("%{category}", category)
        assert name.startswith("scheduler-exporter-")
        assert name == name.lower() or "YYYY" in name
    assert f"/{TEMPLATE.name}" in PIPELINE


def test_searches_ask_for_fields_that_there_are() -> None:
    known = properties()
    [view] = [each for each in OBJECTS if each["type"] == "index-pattern"]
    assert view["attributes"]["title"] == "scheduler-exporter-*"
    assert view["attributes"]["timeFieldName"] in known
    searches = [each for each in OBJECTS if each["type"] == "search"]
    assert len(searches) == 4
    for search in searches:
        attributes = search["attributes"]
        assert set(attributes["columns"]) <= known.keys()
        assert attributes["sort"] == [["@timestamp", "desc"]]
        source = json.loads(attributes["kibanaSavedObjectMeta"]["searchSourceJSON"])
        asked = re.findall(r"(\w+) (?::|>)", source["query"]["query"])
        assert asked
        assert set(asked) <= known.keys()
        [reference] = search["references"]
        assert (reference["id"], reference["name"]) == (view["id"], source["indexRefName"])


def test_the_readme_has_the_types_of_the_template() -> None:
    known = properties()
    rows = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \| ([\w, ]+) \|", (ELK / "README.md").read_text(), re.MULTILINE)
    assert len(rows) > 10
    for names, kinds in rows:
        fields = re.findall(r"`(\w+)`", names)
        types = kinds.split(", ") if ", " in kinds else [kinds] * len(fields)
        assert [known[field]["type"] for field in fields] == types, names
