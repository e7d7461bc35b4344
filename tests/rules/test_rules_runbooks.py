"""Runbooks: four sections, links that lead somewhere, commands and endpoints that exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from support.rules import NAMES, ROOT, RULES

from exporter import cli

FILES = sorted((RULES / "runbooks").glob("*.md"))
#: Other programs that a runbook may call.
PROGRAMS = {"curl", "kubectl", "openssl", "vault", "nc", "df", "promtool", "scheduler-exporter"}
README = (RULES / "README.md").read_text(encoding="utf-8")
OPERATIONS = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
#: Paths of the public contract that a build without actions or Alertmanager does not list.
CONTRACT = {
    "/api/scheduler-monitoring/alerts",
    "/api/scheduler-monitoring/jobs/trigger",
    "/api/v1/monitoring/connections/{id}/check",
}

#: What the scheduling worker's specification asks of three runbooks, step by step.
STEPS = {
    "SchedulingStoreDown": (
        "server's status",
        "connection string",
        "limits",
        "Restart",
        "Escalate to the database team",
    ),
    "SchedulingCalendarSyncFailing": ("Quota", "OAuth credentials", "Changes of the API", "exponentially", "support"),
    "SchedulingExporterMemoryHigh": ("leak", "recent deployment", "The limit", "Garbage collection", "Scale out"),
}


def commands(text: str) -> list[str]:
    """The commands of its shell blocks, continued lines joined."""
    blocks = re.findall(r"^ *```sh\n(.*?)^ *```", text, re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in re.sub(r"\\\n\s*", "", block).splitlines() if line.strip()]


def test_every_alert_has_one_and_none_is_left_over() -> None:
    assert [file.stem for file in FILES] == list(NAMES)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_it_has_the_four_sections(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    assert text.startswith(f"# {file.stem}\n")
    sections = re.split(r"^## ", text, flags=re.MULTILINE)[1:]
    assert [section.splitlines()[0] for section in sections] == ["Meaning", "Impact", "Diagnosis", "Mitigation"]
    assert all(len(section.split()) > 5 for section in sections)
    diagnosis, mitigation = sections[2], sections[3]
    assert "```promql" in diagnosis
    assert "$EXPORTER" in diagnosis, "an endpoint to ask"
    assert re.search(r"^(- |1\. )", mitigation, re.MULTILINE)


@pytest.mark.parametrize("name", STEPS)
def test_it_has_the_steps_of_the_specification(name: str) -> None:
    mitigation = (RULES / "runbooks" / f"{name}.md").read_text(encoding="utf-8").partition("## Mitigation")[2]
    found = [mitigation.find(step) for step in STEPS[name]]
    assert -1 not in found and found == sorted(found), dict(zip(STEPS[name], found, strict=True))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_its_links_lead_to_runbooks(file: Path) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", file.read_text(encoding="utf-8")):
        assert (file.parent / target).is_file(), target


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_its_endpoints_exist(file: Path) -> None:
    known = set(re.findall(r"^\| `(/[^`]*)`", OPERATIONS, re.MULTILINE)) | CONTRACT
    shapes = {re.sub(r"\{\w+\}", "*", path) for path in known}
    for path in re.findall(r"\$EXPORTER(/[^\"?]*)", file.read_text(encoding="utf-8")):
        assert re.sub(r"\$\w+", "*", path) in shapes, path


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_its_commands_parse(file: Path) -> None:
    parser = cli._parser()
    for command in commands(file.read_text(encoding="utf-8")):
        words = shlex.split(command)
        assert words[0] in PROGRAMS, command
        if words[0] == "scheduler-exporter":
            parser.parse_args(words[1:])  # exits, and so fails, on what it does not know
        if words[0] == "curl":
            assert words[1] == "-sS", "a connection that is refused has to be told"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_readme_tells_what_its_variables_are(file: Path) -> None:
    explained = set(re.findall(r"^\| `([A-Z_]+)` \|", README, re.MULTILINE))
    used = {name for command in commands(file.read_text(encoding="utf-8")) for name in re.findall(r"\$(\w+)", command)}
    assert used <= explained


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_its_queries_stand_more_than_one_exporter_and_what_else_is_scraped(file: Path) -> None:
    for query in re.findall(r"^ *```promql\n(.*?)^ *```", file.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL):
        for labels in re.findall(r"\bon \(([^)]*)\)", query):
            assert "job" in labels.split(", "), "two exporters may know the same store or server"
        if not query.startswith("count by (job) ") and re.search(r"\b(process_\w+|scrape_\w+|up)\b", query):
            assert "scheduling_exporter_" in query, "everything that is scraped has this metric"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_its_pods_are_found_wherever_the_exporter_runs(file: Path) -> None:
    """In a scheduler's pod it has neither labels of its own nor is it the first container."""
    container = (ROOT / "helm/scheduler-exporter/templates/_container.tpl").read_text(encoding="utf-8")
    [name] = re.findall(r'define "scheduler-exporter.container" -\}\}\nname: (\S+)', container)
    for words in map(shlex.split, commands(file.read_text(encoding="utf-8"))):
        if words[0] == "kubectl":
            assert words[words.index("-l") + 1] == "$SELECTOR"
            assert words[1] != "logs" or words[words.index("-c") + 1] == name
