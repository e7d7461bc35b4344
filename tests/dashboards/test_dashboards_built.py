"""The committed dashboards are what the code builds."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from support.dashboards import BOARDS, FOLDER, ROOT
from support.rules import ALERTS, RULES

from dashboards.src import NAMES


def build(output: Path, *arguments: str) -> None:
    command = [sys.executable, "-m", "dashboards.src", f"--output={output}", *arguments]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True, timeout=120)


def test_building_again_gives_the_same_files(tmp_path: Path) -> None:
    build(tmp_path)
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == {
        file.name: file.read_text() for file in FOLDER.glob("*.json")
    }, "run `make dashboards` and commit what it writes"


def test_addresses_can_be_given(tmp_path: Path) -> None:
    build(tmp_path, "--exporter=https://exporter.example.org/", "--runbooks=https://wiki.example.org/runbooks")
    text = (tmp_path / "overview.json").read_text()
    assert '"query": "https://exporter.example.org"' in text
    assert '"query": "https://wiki.example.org/runbooks"' in text


def test_every_module_is_a_dashboard_and_every_dashboard_a_module() -> None:
    shared = {"__init__", "__main__", "board", "panels", "queries"}
    assert {file.stem for file in (FOLDER / "src").glob("*.py")} - shared == set(NAMES) == set(BOARDS)


@pytest.mark.parametrize("rule", ALERTS, ids=str)
def test_links_of_alerts_hit_a_dashboard_and_its_variables(rule: object) -> None:
    url = rule.annotations["dashboard_url"]  # type: ignore[attr-defined]
    uid, _, parameters = url.removeprefix("d/").partition("?")
    [board] = [found for found in BOARDS.values() if found["uid"] == uid]
    names = {variable["name"] for variable in board["templating"]["list"]}
    assert set(re.findall(r"var-(\w+)=", parameters)) <= names


def test_the_rules_readme_says_which_dashboard_is_whose() -> None:
    table = (RULES / "README.md").read_text(encoding="utf-8")
    for uid in re.findall(r"^\| `\w+` \| `(scheduling-\w+)` \|", table, re.MULTILINE):
        assert uid in {board["uid"] for board in BOARDS.values()}


def test_the_provisioning_that_the_documents_show_has_what_grafana_asks_for() -> None:
    text = (ROOT / "docs" / "dashboards.md").read_text(encoding="utf-8")
    [block] = re.findall(r"^```yaml grafana\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    settings = yaml.safe_load(block)
    assert settings["apiVersion"] == 1
    [provider] = settings["providers"]
    assert provider["type"] == "file"
    assert provider["options"]["path"].startswith("/")


def test_the_documents_name_every_dashboard() -> None:
    text = (ROOT / "docs" / "dashboards.md").read_text(encoding="utf-8")
    rows = re.findall(
        r"^\| \[([\w ]+)\]\(img/dashboard-(\w+)\.png\) \| `(\w+)\.json`, `([\w-]+)` \|", text, re.MULTILINE
    )
    assert rows == [(BOARDS[name]["title"], name, name, BOARDS[name]["uid"]) for name in NAMES]


#: Dashboard and panel -> over what its specification counts.
WINDOWS = {
    ("overview", "Success, 24 h"): "24h",
    ("overview", "Hourly trend"): "1h",
    ("overview", "Worker activity"): "24h",
    ("calendar", "Syncs by outcome"): "1h",
    ("ml", "Models"): "7d",
}


@pytest.mark.parametrize(("name", "title"), WINDOWS)
def test_panels_count_over_what_their_specification_says(name: str, title: str) -> None:
    (found,) = (one for one in BOARDS[name]["panels"] if one["title"] == title and one["type"] != "row")
    windows = {window for target in found["targets"] for window in re.findall(r"\[(\w+)\]", target["expr"])}
    assert windows == {WINDOWS[name, title]}
